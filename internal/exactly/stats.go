package exactly

import (
	"context"
	"sync/atomic"
	"time"
)

// watchEvery is how often the ends of the input are looked up.
const watchEvery = 5 * time.Second

// Stats is a snapshot of what a Runner has done and how far it is. Counters
// count from the Runner's start.
type Stats struct {
	Committed, Aborted int64 // transactions
	In, Out            int64 // records of committed transactions; Out includes state
	DeadLetters        int64
	Restarts           int64 // sessions after the first
	Missed             int64 // offsets deleted before they were processed

	LastCommit     time.Time     // zero: none yet
	CommitTook     time.Duration // the last committed transaction, begin to end
	Restored       int64         // changelog records read
	RestoreTook    time.Duration // the last restore
	CaughtUp       bool          // everything owned reached the end it had when it came
	Partitions     []PartitionStats
	Lag            int64         // records, over all partitions
	Behind         time.Duration // age of the last record processed, the most of all partitions that lag
	HangingFor     time.Duration // longest time that an unfinished transaction has held back an input partition
	HangingTopic   string
	HangingAtPart  int32
	HangingAtPoint int64 // offset
}

// PartitionStats is how far one owned input partition is.
type PartitionStats struct {
	Topic     string
	Partition int32
	Position  int64 // next offset to process
	End       int64 // high watermark, as last seen
	Stable    int64 // end of what read_committed readers may see
	Lag       int64 // End - Position
	Behind    time.Duration
	Ready     bool // restored, input flowing
}

// counters are the atomic parts of Stats.
type counters struct {
	committed, aborted, in, out, letters, restarts, missed atomic.Int64
	commitTook, commitAt, restored, restoreTook            atomic.Int64
}

// Stats returns a snapshot. It may be called from any goroutine.
func (r *Runner) Stats() Stats {
	c := &r.stats
	st := Stats{
		Committed: c.committed.Load(), Aborted: c.aborted.Load(), In: c.in.Load(), Out: c.out.Load(),
		DeadLetters: c.letters.Load(), Restarts: c.restarts.Load(), Missed: c.missed.Load(),
		CommitTook: time.Duration(c.commitTook.Load()), Restored: c.restored.Load(),
		RestoreTook: time.Duration(c.restoreTook.Load()), CaughtUp: r.isCaughtUp(),
	}
	if at := c.commitAt.Load(); at > 0 {
		st.LastCommit = time.UnixMilli(at)
	}
	now := time.Now()
	parts := r.parts.Load()
	if parts == nil {
		return st
	}
	st.Partitions = make([]PartitionStats, 0, len(*parts))
	for _, p := range *parts {
		ps := PartitionStats{
			Topic: p.topic, Partition: p.id, Position: p.position.Load(), End: p.hwm.Load(), Stable: p.lso.Load(),
			Ready: p.flowing.Load(),
		}
		ps.Lag = max(0, ps.End-ps.Position)
		if last := p.last.Load(); ps.Lag > 0 && last > 0 {
			ps.Behind = max(0, now.Sub(time.UnixMilli(last)))
		}
		st.Lag += ps.Lag
		st.Behind = max(st.Behind, ps.Behind)
		if since := p.stuck.Load(); since > 0 {
			if d := now.Sub(time.UnixMilli(since)); d > st.HangingFor {
				st.HangingFor, st.HangingTopic, st.HangingAtPart, st.HangingAtPoint = d, p.topic, p.id, ps.Stable
			}
		}
		st.Partitions = append(st.Partitions, ps)
	}
	return st
}

// watch looks up the ends of the input now and then: a partition from which
// nothing comes says nothing about its end, and an unfinished transaction that
// holds readers back shows only here.
func (s *session) watch(ctx context.Context) {
	tick := time.NewTicker(s.cfg.watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		list := s.runner.parts.Load()
		if list == nil || len(*list) == 0 {
			continue
		}
		ends, err := s.lookUpEnds(ctx, *list)
		if err != nil {
			if ctx.Err() == nil {
				s.log.Debug("look up the ends of the input", "err", err)
			}
			continue
		}
		for p, sp := range ends {
			s.noteEnds(ctx, p, sp)
		}
	}
}

// noteEnds notes where a partition ends. It is stuck while its stable end stays
// where it is below its end: what was stable at the last look is kept apart from
// lso, which every fetch moves.
func (s *session) noteEnds(ctx context.Context, p *part, sp span) {
	p.lso.Store(sp.stable)
	p.hwm.Store(sp.end)
	now := time.Now().UnixMilli()
	switch since := p.stuck.Load(); {
	case sp.stable >= sp.end:
		p.stuck.Store(0)
	case since == 0 || sp.stable != p.stuckAt:
		p.stuckAt = sp.stable
		p.stuck.Store(now)
	case now-since > s.cfg.TransactionTimeout.Milliseconds()*2:
		s.log.WarnContext(ctx, "a transaction that does not end holds the input back", "topic", p.topic, "partition", p.id,
			"offset", sp.stable, "for", (time.Duration(now-since) * time.Millisecond).Round(time.Second))
	}
}
