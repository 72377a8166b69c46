package embedded

import (
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// gate sees every request before the broker handles it. It keeps the journal
// of ending transactions and turns requests away when the broker must not
// write.
//
// The library calls observe serially and handles no request until it returns.
type gate struct {
	b *broker

	mu   sync.Mutex
	open map[string]*openTxn // by transactional id; guarded by mu
}

// openTxn is a transaction under way.
type openTxn struct {
	since   time.Time
	offsets map[groupEntry]groupEntry // by group, topic, partition
}

const (
	// forgetTxn is when a transaction that never ended is forgotten here.
	forgetTxn = 20 * time.Minute

	listGroupsKey = 16
)

var errBroken = errors.New("the broker cannot write to its folder")

// observe is called for every request. It never answers in the broker's place
// except when the disk is full or failed.
func (g *gate) observe(req kmsg.Request) (kmsg.Response, error, bool) {
	if g.b.broken.Load() {
		g.b.cluster.KeepControl()
		return nil, errBroken, true // closes the connection
	}
	// Whatever end of a transaction came before this request is carried out.
	if err := g.b.journal.done(); err != nil {
		g.b.fail(err)
	}
	if id, opens := opensTransaction(req); opens {
		g.begin(id)
	}
	switch r := req.(type) {
	case *kmsg.ProduceRequest:
		if g.b.full.Load() && r.Acks != 0 {
			g.b.cluster.KeepControl()
			return refuseProduce(r), nil, true
		}
	case *kmsg.TxnOffsetCommitRequest:
		g.stage(r)
	case *kmsg.EndTxnRequest:
		if err := g.b.journal.begin(g.end(r)); err != nil {
			g.b.fail(err)
			g.b.cluster.KeepControl()
			return nil, errBroken, true
		}
	}
	return nil, nil, false
}

// opensTransaction reports whether req may be the first of a transaction.
func opensTransaction(req kmsg.Request) (id string, ok bool) {
	switch r := req.(type) {
	case *kmsg.ProduceRequest:
		if r.TransactionID != nil {
			return *r.TransactionID, true
		}
	case *kmsg.AddPartitionsToTxnRequest:
		return r.TransactionalID, r.TransactionalID != ""
	case *kmsg.AddOffsetsToTxnRequest:
		return r.TransactionalID, true
	case *kmsg.TxnOffsetCommitRequest:
		return r.TransactionalID, true
	}
	return "", false
}

// begin notes that id is under way.
func (g *gate) begin(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open == nil {
		g.open = make(map[string]*openTxn)
	}
	if _, ok := g.open[id]; !ok {
		g.open[id] = &openTxn{since: time.Now()}
	}
}

// forget drops what never ended: whoever began it is long gone.
func (g *gate) forget(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for id, t := range g.open {
		if now.Sub(t.since) > forgetTxn {
			delete(g.open, id)
		}
	}
}

// stage remembers offsets that the transaction will commit.
func (g *gate) stage(r *kmsg.TxnOffsetCommitRequest) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t, ok := g.open[r.TransactionalID]
	if !ok {
		return
	}
	if t.offsets == nil {
		t.offsets = make(map[groupEntry]groupEntry)
	}
	for _, topic := range r.Topics {
		for _, p := range topic.Partitions {
			key := groupEntry{Group: r.Group, Topic: topic.Topic, Part: p.Partition}
			e := key
			e.Offset, e.Epoch, e.Metadata = p.Offset, p.LeaderEpoch, p.Metadata
			t.offsets[key] = e
		}
	}
}

// end takes the transaction of r out and says what its end will do.
func (g *gate) end(r *kmsg.EndTxnRequest) pendingEnd {
	p := pendingEnd{Producer: r.ProducerID, Epoch: r.ProducerEpoch, Commit: r.Commit, Bumps: r.Version >= 5}
	g.mu.Lock()
	defer g.mu.Unlock()
	if t, ok := g.open[r.TransactionalID]; ok && r.Commit {
		for _, o := range t.offsets {
			p.Offsets = append(p.Offsets, o)
		}
	}
	delete(g.open, r.TransactionalID)
	return p
}

// refuseProduce answers that the disk is full, which clients repeat.
func refuseProduce(r *kmsg.ProduceRequest) kmsg.Response {
	resp, ok := r.ResponseKind().(*kmsg.ProduceResponse)
	if !ok {
		return nil
	}
	for _, t := range r.Topics {
		rt := kmsg.NewProduceResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewProduceResponseTopicPartition()
			rp.Partition = p.Partition
			rp.ErrorCode = kerr.KafkaStorageError.Code
			rp.BaseOffset = -1
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// lowerTypes makes ListGroups' type filter lower case, as this library
// compares it and Java's clients do not send it.
func lowerTypes(req kmsg.Request) (kmsg.Response, error, bool) {
	if r, ok := req.(*kmsg.ListGroupsRequest); ok {
		for i, t := range r.TypesFilter {
			r.TypesFilter[i] = lowerASCII(t)
		}
	}
	return nil, nil, false
}

func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
