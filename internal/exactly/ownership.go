package exactly

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
)

// part is one input partition that this instance owns. Its plain fields belong
// to the session's goroutine; the atomic ones are read by Stats.
type part struct {
	topic string
	id    int32
	task  *task

	known     bool  // the group's committed offset has been fetched
	committed int64 // next offset to read as of the last commit; -1: none yet
	next      int64 // no record before this offset may come any more
	start     int64 // first offset of the partition when it came to us
	moved     bool  // next has moved since the last commit
	since     int64 // timestamp of the first record since then, ms

	position atomic.Int64 // next offset to process
	hwm      atomic.Int64 // end of the partition as last seen
	lso      atomic.Int64 // end of what is stable as last seen
	target   atomic.Int64 // reaching it is having caught up; -1: not known yet
	last     atomic.Int64 // timestamp of the last record processed, ms
	flowing  atomic.Bool  // its task is ready
	stuck    atomic.Int64 // wall ms since when the stable end stands still below the end; 0: it does not
	stuckAt  int64        // where it stands; of the watch alone
}

// begin is where reading begins: the committed offset, or the partition's start.
func (p *part) begin() int64 {
	if p.committed >= 0 {
		return p.committed
	}
	return p.start
}

// task is one reducer with its state. A task that is given up and comes back
// is a new object unless its memory is known to be still right, so that a
// pointer tells one tenure from the next.
type task struct {
	id       Task
	parts    []*part
	reducer  Reducer
	log      int32 // changelog partition
	restored bool
	ready    bool // restored, offsets known, input flowing
	touched  bool // has processed something in this transaction
	started  bool // a restore has been started for it

	hadState bool // the changelog holds live state of it
	fresh    bool // the changelog partition was empty before this tenure
}

// parked is a task that was revoked and may come back at once.
type parked struct {
	task       *task
	member     string
	generation int32
}

// change is something that happened to what this instance owns.
type change struct {
	assigned, revoked, lost bool
	parts                   map[string][]int32
	offsets                 map[string]map[int32]kgo.Offset
	member                  string
	generation              int32
	restored                *restoreResult
}

// mailbox carries changes from the client's goroutines to the session's, and
// wakes its poll.
type mailbox struct {
	mu   sync.Mutex
	list []change           // guarded by mu
	wake context.CancelFunc // guarded by mu; nil while nobody polls
}

func (m *mailbox) put(c change) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.list = append(m.list, c)
	if m.wake != nil {
		m.wake()
	}
}

func (m *mailbox) take() []change {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.list
	m.list = nil
	return l
}

// interrupted says whether something was taken away that nobody noted yet.
func (m *mailbox) interrupted() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.list {
		if m.list[i].revoked || m.list[i].lost {
			return true
		}
	}
	return false
}

// poll runs fn with a context that ends early when a change arrives.
func (m *mailbox) poll(ctx context.Context, fn func(context.Context)) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m.mu.Lock()
	if len(m.list) > 0 {
		cancel()
	}
	m.wake = cancel
	m.mu.Unlock()
	fn(ctx)
	m.mu.Lock()
	m.wake = nil
	m.mu.Unlock()
}

// groupOptions are the callbacks of the group. They only note what happened:
// reducers belong to the session's goroutine. New partitions stay paused until
// their task is ready.
func (m *mailbox) groupOptions() []kgo.Opt {
	return []kgo.Opt{
		kgo.OnPartitionsAssigned(func(_ context.Context, cl *kgo.Client, parts map[string][]int32) {
			cl.PauseFetchPartitions(parts)
			member, generation := cl.GroupMetadata()
			m.put(change{assigned: true, parts: parts, member: member, generation: generation})
		}),
		kgo.OnPartitionsRevoked(func(_ context.Context, cl *kgo.Client, parts map[string][]int32) {
			member, generation := cl.GroupMetadata()
			m.put(change{revoked: true, parts: parts, member: member, generation: generation})
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
			m.put(change{lost: true, parts: parts})
		}),
		kgo.AdjustFetchOffsetsFn(func(_ context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
			seen := make(map[string]map[int32]kgo.Offset, len(offsets))
			for t, ps := range offsets {
				seen[t] = maps.Clone(ps)
			}
			m.put(change{offsets: seen})
			return offsets, nil
		}),
	}
}

// owned is what this instance owns. It belongs to the session's goroutine.
type owned struct {
	stage    *Stage
	parts    map[string][]*part // by topic, then by partition number; nil where not owned
	tasks    map[Task]*task
	parked   map[Task]parked
	assigned bool // an assignment has come, maybe an empty one
}

func newOwned(stage *Stage) *owned {
	return &owned{stage: stage, parts: map[string][]*part{}, tasks: map[Task]*task{}, parked: map[Task]parked{}}
}

func (o *owned) taskOf(topic string, partition int32) Task {
	if o.stage.CoPartitioned {
		return Task{Partition: partition}
	}
	return Task{Topic: topic, Partition: partition}
}

func (o *owned) part(topic string, partition int32) *part {
	ps := o.parts[topic]
	if int(partition) >= len(ps) || partition < 0 {
		return nil
	}
	return ps[partition]
}

// remove takes a partition away. Its task goes with its last partition: to the
// park if this was an orderly revocation.
func (o *owned) remove(topic string, partition int32, c *change) {
	p := o.part(topic, partition)
	if p == nil {
		return
	}
	o.parts[topic][partition] = nil
	t := p.task
	for i, q := range t.parts {
		if q == p {
			t.parts = append(t.parts[:i:i], t.parts[i+1:]...)
			break
		}
	}
	if len(t.parts) > 0 || o.tasks[t.id] != t {
		return
	}
	delete(o.tasks, t.id)
	if c != nil && c.revoked && t.ready {
		o.parked[t.id] = parked{task: t, member: c.member, generation: c.generation}
	}
}

// add takes a partition in. Memory of the last tenure is used again only if
// nobody can have owned the partition in between: the same member, in the same
// or the very next generation of the group.
func (o *owned) add(topic string, partition int32, c *change) {
	id := o.taskOf(topic, partition)
	if p := o.part(topic, partition); p != nil {
		// It is ours already as far as we know: a revocation was missed, so
		// the memory cannot be trusted.
		stale := p.task
		for _, q := range append([]*part(nil), stale.parts...) {
			o.parts[q.topic][q.id] = nil
		}
		delete(o.tasks, stale.id)
		o.addNew(id, topic, partition)
		for _, q := range stale.parts {
			if q != p {
				o.addNew(id, q.topic, q.id)
			}
		}
		return
	}
	if k, ok := o.parked[id]; ok {
		delete(o.parked, id)
		d := c.generation - k.generation
		if k.member == c.member && d >= 0 && d <= 1 && o.tasks[id] == nil {
			k.task.ready = false
			o.tasks[id] = k.task
		}
	}
	o.addNew(id, topic, partition)
}

func (o *owned) addNew(id Task, topic string, partition int32) {
	t := o.tasks[id]
	if t == nil {
		t = &task{id: id, reducer: o.stage.New(id)}
		if o.stage.Changelog != "" {
			t.log = o.stage.ChangelogPartition(id)
		}
		o.tasks[id] = t
	}
	p := &part{topic: topic, id: partition, task: t, committed: -1}
	p.target.Store(-1)
	t.ready = false
	t.parts = append(t.parts, p)
	ps := o.parts[topic]
	for int(partition) >= len(ps) {
		ps = append(ps, nil)
	}
	ps[partition] = p
	o.parts[topic] = ps
}

// apply takes a change in. reset says that the group session marked its next
// transaction as failed, which must be cleared.
func (o *owned) apply(c *change) (reset bool) {
	switch {
	case c.assigned:
		o.assigned = true
		for topic, ids := range c.parts {
			for _, id := range ids {
				o.add(topic, id, c)
			}
		}
		// Whoever waits to come back must come back now.
		for id, k := range o.parked {
			if c.generation > k.generation+1 || k.member != c.member {
				delete(o.parked, id)
			}
		}
	case c.revoked:
		for topic, ids := range c.parts {
			for _, id := range ids {
				o.remove(topic, id, c)
			}
		}
		return true
	case c.lost:
		// The group has given everything away, whatever the client lists.
		clear(o.parts)
		clear(o.tasks)
		clear(o.parked)
		return true
	case c.offsets != nil:
		for topic, ids := range c.offsets {
			for id, off := range ids {
				p := o.part(topic, id)
				if p == nil {
					continue
				}
				p.known = true
				if at := off.EpochOffset().Offset; at >= 0 {
					p.committed, p.next = at, at
					p.position.Store(at)
				} else {
					p.committed, p.next = -1, 0
				}
			}
		}
	}
	return false
}

// all returns every part, for Stats.
func (o *owned) all() []*part {
	var all []*part
	for _, ps := range o.parts {
		for _, p := range ps {
			if p != nil {
				all = append(all, p)
			}
		}
	}
	return all
}
