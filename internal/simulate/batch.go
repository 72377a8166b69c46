package simulate

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/event"
)

// batch is the city's events of one transaction as records. It keeps its
// memory from one transaction to the next: nothing is allocated per event
// once it has grown to the size of the busiest transaction.
type batch struct {
	enc        *event.Encoder
	names      event.Names
	arrivals   map[int32]string // topic by station id
	turnstiles map[int32]string
	headers    map[string][]kgo.RecordHeader // by pattern

	bytes   []byte
	spans   []span
	records []kgo.Record
}

// span is where a record's key and value stand in batch.bytes; slices are cut
// only when the batch is complete, since appending moves the bytes.
type span struct{ key, value, end int }

// Arrival implements sim.Sink.
func (b *batch) Arrival(a *event.Arrival) {
	headers, ok := b.headers[a.Pattern]
	if !ok {
		headers = []kgo.RecordHeader{{Key: event.HeaderPattern, Value: []byte(a.Pattern)}}
		b.headers[a.Pattern] = headers
	}
	key := len(b.bytes)
	b.bytes = b.enc.AppendArrivalKey(b.bytes, a.StationID, a.Timestamp)
	value := len(b.bytes)
	b.bytes = b.enc.AppendArrival(b.bytes, a)
	b.add(b.arrivals[a.StationID], b.names.ArrivalPartition(a.Line), headers, span{key, value, len(b.bytes)})
}

// Turnstile implements sim.Sink.
func (b *batch) Turnstile(t *event.Turnstile) {
	key := len(b.bytes)
	b.bytes = b.enc.AppendTurnstileKey(b.bytes, t.StationID, t.Timestamp)
	value := len(b.bytes)
	b.bytes = b.enc.AppendTurnstile(b.bytes, t)
	b.add(b.turnstiles[t.StationID], b.names.TurnstilePartition(t.StationID), nil, span{key, value, len(b.bytes)})
}

func (b *batch) add(topic string, partition int32, headers []kgo.RecordHeader, s span) {
	b.spans = append(b.spans, s)
	b.records = append(b.records, kgo.Record{Topic: topic, Partition: partition, Headers: headers})
}

// cut gives every record its key and value and returns the records.
func (b *batch) cut() []kgo.Record {
	for i, s := range b.spans {
		b.records[i].Key = b.bytes[s.key:s.value:s.value]
		b.records[i].Value = b.bytes[s.value:s.end:s.end]
	}
	return b.records
}

// reset empties the batch; its records must not be in use any more.
func (b *batch) reset() {
	clear(b.records)
	b.bytes, b.spans, b.records = b.bytes[:0], b.spans[:0], b.records[:0]
}

func (b *batch) empty() bool { return len(b.records) == 0 }

// discard is a sink for the way from a snapshot to the checkpoint, whose
// events are on the log already.
type discard struct{}

func (discard) Arrival(*event.Arrival)     {}
func (discard) Turnstile(*event.Turnstile) {}
