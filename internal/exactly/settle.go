package exactly

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// settle takes changes of ownership in, starts restores and lets the input of
// finished tasks flow.
func (s *session) settle(ctx context.Context) error {
	changes := s.mail.take()
	if len(changes) == 0 {
		return nil
	}
	reset := s.dropped
	s.dropped, s.caughtUp = false, false
	for i := range changes {
		c := &changes[i]
		if c.member != "" {
			s.member = c.member
		}
		if c.restored == nil {
			reset = s.owned.apply(c) || reset
			continue
		}
		s.restoring = false
		if err := s.accept(c.restored); err != nil {
			return err
		}
	}
	if reset {
		// The group session notes a revocation until the next End, would
		// fail a transaction that begins only now, and hears of no further
		// revocation before. No transaction is open here.
		endCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.TransactionTimeout)
		_, err := s.gts.End(endCtx, kgo.TryAbort)
		cancel()
		if err != nil {
			return fmt.Errorf("clear the session after a rebalance: %w", err)
		}
		s.rewindParts()
	}
	s.startRestore(ctx)
	if err := s.release(); err != nil {
		return err
	}
	s.runner.publish(s.owned.all())
	s.noteCaughtUp()
	return nil
}

// startRestore gives everything that waits for it to the restoring goroutine,
// unless that is at work: then its end brings us here again.
func (s *session) startRestore(ctx context.Context) {
	if s.restoring {
		return
	}
	var job restoreJob
	for _, t := range s.owned.tasks {
		if !t.restored {
			switch {
			case s.cfg.Stage.Changelog == "":
				t.restored = true
			case !t.started:
				t.started = true
				job.tasks = append(job.tasks, t)
			}
		}
		for _, p := range t.parts {
			if p.target.Load() < 0 {
				job.parts = append(job.parts, p)
			}
		}
	}
	if len(job.tasks) == 0 && len(job.parts) == 0 {
		return
	}
	s.restoring = true
	s.wg.Go(func() { s.mail.put(change{restored: s.restore(ctx, job)}) })
}

// accept takes back what the restoring goroutine had.
func (s *session) accept(res *restoreResult) error {
	if res.err != nil {
		return res.err
	}
	for _, t := range res.job.tasks {
		t.restored = true
	}
	for p, sp := range res.ends {
		p.hwm.Store(sp.end)
		p.lso.Store(sp.stable)
		p.target.Store(sp.stable)
		p.start = sp.start
	}
	if len(res.job.tasks) > 0 {
		s.runner.stats.restored.Add(res.read)
		s.runner.stats.restoreTook.Store(int64(res.took))
		s.log.Info("state restored", "tasks", len(res.job.tasks), "records", res.read, "took", res.took.Round(time.Millisecond))
	}
	return nil
}

// release lets the input of tasks flow whose state and offsets are there.
func (s *session) release() error {
	resume := map[string][]int32{}
	for _, t := range s.owned.tasks {
		if t.ready || !t.restored {
			continue
		}
		committed, whole := false, true
		for _, p := range t.parts {
			whole = whole && p.known && p.target.Load() >= 0
			committed = committed || p.committed >= 0
		}
		if !whole {
			continue
		}
		if err := s.plausible(t, committed); err != nil {
			return err
		}
		t.ready = true
		for _, p := range t.parts {
			resume[p.topic] = append(resume[p.topic], p.id)
			p.flowing.Store(true)
			p.next = max(p.committed, 0)
			p.position.Store(p.begin())
			if p.committed >= 0 {
				s.runner.stats.missed.Add(s.gone(p, p.committed, p.start))
			}
		}
	}
	if len(resume) > 0 {
		s.cl.ResumeFetchPartitions(resume)
	}
	return nil
}

// gone says how many offsets from the next one to process to the partition's
// start were deleted before they were processed.
func (s *session) gone(p *part, next, start int64) int64 {
	if start <= next || slices.Contains(s.cfg.Stage.Compacted, p.topic) {
		return 0
	}
	s.log.Warn("input was deleted before it was processed", "topic", p.topic, "partition", p.id, "offsets", start-next)
	return start - next
}

// plausible refuses state and offsets that cannot belong together.
func (s *session) plausible(t *task, committed bool) error {
	switch {
	case s.cfg.Stage.Changelog == "":
	case t.fresh && committed:
		return fmt.Errorf("%w: group %s has committed offsets for %s, but changelog %s is empty: it was deleted; delete the stage's outputs and the group too, and process from the beginning",
			ErrStateLost, s.cfg.Stage.Name, t.id, s.cfg.Stage.Changelog)
	case t.hadState && !committed:
		return fmt.Errorf("%w: changelog %s holds state of %s, but group %s has no committed offset for it: processing from the beginning would count twice; delete the changelog and the stage's outputs too",
			ErrStateLost, s.cfg.Stage.Changelog, t.id, s.cfg.Stage.Name)
	}
	t.hadState, t.fresh = false, false // checked: later commits make both true
	return nil
}

// advance notes that everything fp holds is done.
func (s *session) advance(p *part, fp *kgo.FetchPartition) {
	last := fp.Records[len(fp.Records)-1]
	s.missed += s.gone(p, p.position.Load(), min(fp.LogStartOffset, fp.Records[0].Offset))
	p.next = last.Offset + 1
	if !p.moved {
		p.moved, p.since = true, fp.Records[0].Timestamp.UnixMilli()
		s.moved = append(s.moved, p)
	}
	p.position.Store(p.next)
	p.hwm.Store(max(fp.HighWatermark, p.next))
	p.lso.Store(max(fp.LastStableOffset, p.next))
	p.last.Store(last.Timestamp.UnixMilli())
}

// rewindParts puts positions back to what is committed, as the client did.
func (s *session) rewindParts() {
	for _, ps := range s.owned.parts {
		for _, p := range ps {
			if p == nil {
				continue
			}
			p.next = max(p.committed, 0)
			if p.moved {
				p.position.Store(p.begin())
				p.last.Store(p.since) // it is as old as that, and not done
			}
			p.moved = false
		}
	}
	s.moved = s.moved[:0]
}

// noteCaughtUp publishes whether everything owned has reached what was its end
// when it came to us.
func (s *session) noteCaughtUp() {
	if s.caughtUp {
		return
	}
	done := s.owned.assigned
	for _, t := range s.owned.tasks {
		done = done && t.ready
		for _, p := range t.parts {
			done = done && p.position.Load() >= p.target.Load()
		}
	}
	s.caughtUp = done
	s.runner.setCaughtUp(done)
}
