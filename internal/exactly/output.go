package exactly

import (
	"context"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/event"
)

const (
	arenaChunk = 256 // records
	arenaKeep  = 64  // chunks kept from one transaction to the next: 16384 records

	headersKeep = 2 * arenaKeep * arenaChunk // headers kept, two for each of those records
	bytesKeep   = 1 << 20                    // bytes of headers kept
)

// arena holds the records of one transaction, so that the next one can use
// them again. Records keep their address until reset.
type arena struct {
	chunks  [][]kgo.Record
	n       int
	headers []kgo.RecordHeader
	bytes   []byte // of the headers
}

func (a *arena) next() *kgo.Record {
	c := a.n / arenaChunk
	if c == len(a.chunks) {
		a.chunks = append(a.chunks, make([]kgo.Record, arenaChunk))
	}
	r := &a.chunks[c][a.n%arenaChunk]
	a.n++
	return r
}

func (a *arena) at(i int) *kgo.Record { return &a.chunks[i/arenaChunk][i%arenaChunk] }

// copyHeaders returns hs as the client wants them. When a backing array
// grows, slices handed out before keep the old one.
func (a *arena) copyHeaders(hs []event.Header) []kgo.RecordHeader {
	if len(hs) == 0 {
		return nil
	}
	from := len(a.headers)
	for _, h := range hs {
		var value []byte
		if h.Value != nil {
			at := len(a.bytes)
			a.bytes = append(a.bytes, h.Value...)
			value = a.bytes[at:len(a.bytes):len(a.bytes)]
		}
		a.headers = append(a.headers, kgo.RecordHeader{Key: h.Key, Value: value})
	}
	return a.headers[from:len(a.headers):len(a.headers)]
}

// reset makes all records free again and lets go of what they pointed to. The
// client must be done with every one of them.
func (a *arena) reset() {
	used := (a.n + arenaChunk - 1) / arenaChunk
	for i := range min(used, len(a.chunks)) {
		clear(a.chunks[i])
	}
	if len(a.chunks) > arenaKeep {
		clear(a.chunks[arenaKeep:])
		a.chunks = a.chunks[:arenaKeep]
	}
	clear(a.headers)
	a.headers, a.bytes = emptied(a.headers, headersKeep), emptied(a.bytes, bytesKeep)
	a.n = 0
}

// emptied is s without its elements. What grew beyond most is given back once a
// transaction no longer needs it: a backlog's are large one after another, and
// growing anew for each cost a tenth of the processor time and half as much memory again.
func emptied[T any](s []T, most int) []T {
	if cap(s) > most && len(s) < cap(s)/4 {
		return nil
	}
	return s[:0]
}

// produceError is the first record of a transaction that could not be written.
type produceError struct {
	topic string
	err   error
}

// output collects what reducers emit and hands it to the producer once the
// call that emitted it succeeded. It belongs to the session's goroutine, except
// for failed, which the client's goroutines set.
type output struct {
	arena  arena
	sent   int // records of the arena that the producer has
	failed atomic.Pointer[produceError]

	produce   func(context.Context, *kgo.Record, func(*kgo.Record, error))
	promise   func(*kgo.Record, error) // one for all records
	changelog string
	state     int32 // changelog partition of the task being processed
	misuse    bool  // State was called on a stage without a changelog
}

func newOutput(changelog string, produce func(context.Context, *kgo.Record, func(*kgo.Record, error))) *output {
	o := &output{changelog: changelog, produce: produce}
	o.promise = func(r *kgo.Record, err error) {
		if err != nil {
			o.failed.CompareAndSwap(nil, &produceError{topic: r.Topic, err: err})
		}
	}
	return o
}

// Emit implements Output.
func (o *output) Emit(topic string, partition int32, key, value []byte, headers ...event.Header) {
	r := o.arena.next()
	r.Topic, r.Partition, r.Key, r.Value = topic, partition, key, value
	r.Headers = o.arena.copyHeaders(headers)
}

// State implements Output.
func (o *output) State(key, value []byte) {
	if o.changelog == "" {
		o.misuse = true
		return
	}
	r := o.arena.next()
	r.Topic, r.Partition, r.Key, r.Value = o.changelog, o.state, key, value
}

// send gives the producer what was emitted since the last send. It blocks
// while the producer's buffer is full.
func (o *output) send(ctx context.Context) {
	for ; o.sent < o.arena.n; o.sent++ {
		o.produce(ctx, o.arena.at(o.sent), o.promise)
	}
}

// discard drops what was emitted since the last send.
func (o *output) discard() {
	for o.arena.n > o.sent {
		o.arena.n--
		*o.arena.at(o.arena.n) = kgo.Record{}
	}
}

// reset is for the end of a transaction.
func (o *output) reset() {
	o.arena.reset()
	o.sent = 0
	o.failed.Store(nil)
}

// partitioner takes the partition that Emit named, or Kafka's own choice by
// key. Records without a key go round.
type partitioner struct{}

func (partitioner) ForTopic(string) kgo.TopicPartitioner { return &topicPartitioner{} }

type topicPartitioner struct{ turn int }

// RequiresConsistency keeps the client from moving a record to another
// partition when one is not writable.
func (*topicPartitioner) RequiresConsistency(*kgo.Record) bool { return true }

func (p *topicPartitioner) Partition(r *kgo.Record, n int) int {
	switch {
	case r.Partition >= 0:
		return int(r.Partition) // out of range: the client fails the record
	case r.Key == nil:
		p.turn++
		return p.turn % n
	default:
		return int(event.Partition(r.Key, int32(n)))
	}
}
