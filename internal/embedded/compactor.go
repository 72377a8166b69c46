package embedded

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"
)

// compactor compacts partitions of compacted topics, each by itself: while one
// is read and rewritten (some milliseconds, two fsyncs for each of its
// segments) the broker stands still, and for all of them in a row that would
// be a quarter of a second in which no train moves.
//
// The library counts an open transaction's records as newer values, and drops
// the older committed ones for them: if the transaction then aborts, both are
// gone. So a partition is compacted only at a moment when no transaction is
// open on it.
type compactor struct {
	b      *broker
	growth int64            // bytes by which a partition must have grown
	sizes  map[string]int64 // by folder: bytes after its last compaction
	done   atomic.Int64     // partitions compacted
	late   int              // rounds in a row that left something undone
}

const (
	// compactGrowth is the least by which a partition grows before it is
	// compacted; it also has to have doubled, so that what is rewritten never
	// is more than what was written.
	compactGrowth = 64 << 10
	// compactRest lets requests through between two partitions.
	compactRest = 40 * time.Millisecond
	// compactTry is how often a partition with an open transaction is looked at
	// again, compactWait for how long: a few commit intervals.
	compactTry  = 2 * time.Millisecond
	compactWait = 300 * time.Millisecond
	// compactLate is how many rounds may be unfinished before that is worth a word.
	compactLate = 12
)

// run compacts every partition that pays, unless a transaction stays open on it.
func (c *compactor) run(ctx context.Context, topics []storedTopic) {
	undone := 0
	for _, t := range topics {
		if !compacted(t) {
			continue
		}
		for _, p := range c.b.cluster.PartitionInfos(t.Name) {
			name := filepath.Base(partitionDir(c.b.dir, t.Name, p.Partition))
			grown := p.NumBytes - c.sizes[name]
			if grown < c.growth || grown < c.sizes[name] {
				continue
			}
			done, err := c.patiently(ctx, t.Name, p.Partition, name)
			if err != nil {
				c.b.fail(err)
			}
			if c.b.broken.Load() || !pause(ctx, compactRest) {
				return
			}
			if !done {
				undone++
			}
		}
	}
	if undone == 0 {
		c.late = 0
	} else if c.late++; c.late%compactLate == 0 {
		c.b.log.Warn("compaction is put off again and again: a transaction stays open", "partitions", undone, "times", c.late)
	}
}

// patiently compacts a partition once no transaction is open on it, and says
// whether that was the case within compactWait.
func (c *compactor) patiently(ctx context.Context, topic string, partition int32, name string) (done bool, err error) {
	began := time.Now()
	for {
		runInBroker(c.b.cluster, func() { done, err = c.one(topic, partition, name) })
		if done || err != nil || time.Since(began) > compactWait || !pause(ctx, compactTry) {
			return done, err
		}
	}
}

// one compacts a partition, unless a transaction is open on it. The library
// handles nothing meanwhile.
func (c *compactor) one(topic string, partition int32, name string) (done bool, err error) {
	p, err := findPartition(c.b.cluster, topic, partition)
	if err != nil || p == nil {
		return true, err
	}
	if p.open() {
		return false, nil
	}
	if err := sparePartitions(c.b.dir, []string{name}); err != nil {
		return false, err
	}
	if err := settle(filepath.Join(c.b.dir, "partitions", name)); err != nil {
		return false, err
	}
	p.compact()
	if c.b.broken.Load() {
		return false, nil // the spare names stay for the next start
	}
	p.forgetAborted()
	if err := dropSpare(c.b.dir); err != nil {
		return false, fmt.Errorf("finish compaction: %w", err)
	}
	c.sizes[name] = p.bytes()
	c.done.Add(1)
	return true, nil
}

// pause waits for d and says whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
