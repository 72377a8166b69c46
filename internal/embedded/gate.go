package embedded

import (
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// gate sees every request before the broker handles it. It keeps the journal
// of ending transactions, finds a moment for compaction, and turns requests
// away when the broker must not write.
//
// The library calls observe serially and handles nothing else until it
// returns, except while observe sleeps.
type gate struct {
	b *broker

	mu       sync.Mutex // guards all below
	open_    map[string]*openTxn
	closed   chan struct{} // not nil: new transactions wait until it is closed
	deadline time.Time     // when waiting for the open ones ends
	last     time.Time     // last compaction
	checked  time.Time     // last attempt
	put      int           // attempts put off in a row
}

// openTxn is a transaction under way.
type openTxn struct {
	since   time.Time
	offsets map[groupEntry]groupEntry // by group, topic, partition
}

const (
	// gateWait is how long new transactions are held back so that the open
	// ones end: a few commit intervals.
	gateWait = 300 * time.Millisecond
	// gateStep is how often a held request looks again.
	gateStep = 5 * time.Millisecond
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
	g.maybeCompact()
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

// begin notes that id is under way. If it is new and the gate is closed, the
// request waits.
func (g *gate) begin(id string) {
	for {
		g.mu.Lock()
		if g.open_ == nil {
			g.open_ = make(map[string]*openTxn)
		}
		if _, ok := g.open_[id]; ok || g.closed == nil {
			if !ok {
				g.open_[id] = &openTxn{since: time.Now()}
			}
			g.mu.Unlock()
			return
		}
		closed := g.closed
		g.mu.Unlock()
		g.b.cluster.SleepControl(func() {
			t := time.NewTimer(gateStep)
			defer t.Stop()
			select {
			case <-closed:
			case <-t.C:
			}
		})
		// The broker went on meanwhile; from here on it stands still again.
		if err := g.b.journal.done(); err != nil {
			g.b.fail(err)
			return
		}
		g.maybeCompact()
	}
}

// stage remembers offsets that the transaction will commit.
func (g *gate) stage(r *kmsg.TxnOffsetCommitRequest) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t, ok := g.open_[r.TransactionalID]
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
	if t, ok := g.open_[r.TransactionalID]; ok && r.Commit {
		for _, o := range t.offsets {
			p.Offsets = append(p.Offsets, o)
		}
	}
	delete(g.open_, r.TransactionalID)
	return p
}

// request asks for a compaction at the next good moment: from now on new
// transactions wait until those that are open have ended, at most gateWait.
func (g *gate) request() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed == nil {
		g.closed = make(chan struct{})
		g.deadline = time.Now().Add(gateWait)
	}
}

// open lets everything through.
func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed != nil {
		close(g.closed)
		g.closed = nil
	}
}

func (g *gate) lastCompaction() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.last.IsZero() {
		g.last = time.Now() // the start counts as one: recovery just read it all
	}
	return g.last
}

// maybeCompact compacts if that was asked for and nothing is in the way.
func (g *gate) maybeCompact() {
	now := time.Now()
	g.mu.Lock()
	if g.closed == nil {
		g.mu.Unlock()
		return
	}
	late := now.After(g.deadline)
	// With transactions open it is not worth asking the broker every time.
	try := len(g.open_) == 0 || late || now.Sub(g.checked) > gateStep
	if try {
		g.checked = now
	}
	g.mu.Unlock()
	done := try && g.b.compact()
	if !done && !late {
		return
	}
	g.mu.Lock()
	for id, t := range g.open_ {
		if now.Sub(t.since) > forgetTxn {
			delete(g.open_, id)
		}
	}
	if done {
		g.last, g.put = now, 0
	} else if g.put++; g.put%12 == 0 { // about once a minute
		g.b.log.Warn("compaction is put off again and again: a transaction stays open", "times", g.put)
	}
	g.mu.Unlock()
	g.open()
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
