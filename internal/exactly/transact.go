package exactly

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/event"
)

// checkEvery is how many records are processed between two looks at whether
// writing has failed or time runs out.
const checkEvery = 64

// Nothing is processed while a transaction ends: under load one takes endShare
// times as long as that, but no more than endMost times CommitEvery.
const (
	endShare = 10
	endMost  = 2
)

// fewRecords are too few to tell how long one takes.
const fewRecords = 8

// waitError asks to go on in the same session after a pause: the transaction
// was aborted cleanly and everything is rewound.
type waitError struct {
	pause time.Duration
	err   error
}

func (w *waitError) Error() string { return w.err.Error() }
func (w *waitError) Unwrap() error { return w.err }

// errDoomed: the transaction must be aborted and tried again a little later.
var errDoomed = errors.New("a record is not ready to be processed")

// transact runs one transaction that starts with fetches. It returns nil when
// the transaction committed or was aborted by a rebalance, a *waitError to go on
// after a pause, or an error that ends the session.
func (s *session) transact(ctx context.Context, fetches kgo.Fetches) error {
	if err := s.gts.Begin(); err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	// The transaction is finished even when ctx ends meanwhile, but in no
	// more time than the broker gives it.
	txn, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.TransactionTimeout)
	defer cancel()
	begin := time.Now()
	s.begun, s.taken, s.letters, s.missed = begin, 0, 0, 0
	cause := s.fill(ctx, txn, fetches, begin)
	filled := time.Now()
	if cause == nil {
		cause = s.flush(txn)
	}
	committed, err := s.end(txn, cause)
	s.lastEnd = time.Now()
	if committed {
		s.endTook += (s.lastEnd.Sub(filled) - s.endTook) / 4
		s.commit(begin)
		return nil
	}
	s.rewind()
	if err != nil {
		return err
	}
	s.runner.stats.aborted.Add(1)
	return s.afterAbort(cause)
}

// fill processes fetches and what else is there, until the input is drained or
// the time is up.
func (s *session) fill(ctx, txn context.Context, fetches kgo.Fetches, begin time.Time) error {
	linger := begin.Add(s.patience())
	deadline := begin.Add(max(s.cfg.CommitEvery, min(endShare*s.endTook, endMost*s.cfg.CommitEvery, s.cfg.TransactionTimeout/4)))
	if deadline.Before(linger) {
		deadline = linger
	}
	if next := s.lastEnd.Add(s.cfg.Linger); linger.Before(next) {
		linger = next
	}
	now := begin
	for {
		from, before := now, s.taken
		if err := s.consume(txn, fetches); err != nil {
			return err
		}
		now = time.Now()
		if n := s.taken - before; n >= fewRecords {
			s.perRecord = (s.perRecord + now.Sub(from)/time.Duration(n)) / 2
		}
		if ctx.Err() != nil || !now.Before(deadline) || s.out.failed.Load() != nil {
			return nil
		}
		//nolint:staticcheck // a nil context is how the client is asked not to wait
		fetches = s.gts.PollRecords(nil, s.maxPoll())
		if len(fetches) == 0 {
			if !now.Before(linger) {
				return nil
			}
			wait, cancel := context.WithDeadline(ctx, linger)
			fetches = s.gts.PollRecords(wait, s.maxPoll())
			cancel()
		}
		if err := s.check(fetches); err != nil {
			return err
		}
		if fetches.NumRecords() == 0 {
			return nil
		}
		now = time.Now()
	}
}

// patience is how long to wait for more input that is drained.
func (s *session) patience() time.Duration {
	return min(time.Duration(s.cfg.Patience*float64(s.endTook)), s.cfg.TransactionTimeout/4)
}

// consume feeds fetches to the reducers.
func (s *session) consume(txn context.Context, fetches kgo.Fetches) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = panicked("reducer", v)
		}
	}()
	var doomed error
	for i := range fetches {
		for j := range fetches[i].Topics {
			ft := &fetches[i].Topics[j]
			for k := range ft.Partitions {
				fp := &ft.Partitions[k]
				if len(fp.Records) == 0 {
					continue
				}
				p := s.owned.part(ft.Topic, fp.Partition)
				if p == nil || !p.task.ready {
					return fmt.Errorf("%w: %s-%d@%d", errUnowned, ft.Topic, fp.Partition, fp.Records[0].Offset)
				}
				if first := fp.Records[0].Offset; first < p.next {
					return fmt.Errorf("%w: %s-%d@%d, expected %d or later", errRepeated, ft.Topic, fp.Partition, first, p.next)
				}
				if err := s.consumePart(txn, p, fp.Records); err != nil {
					if !errors.Is(err, errDoomed) {
						return err
					}
					doomed = errors.Join(doomed, err)
				}
				s.advance(p, fp)
				for _, r := range fp.Records {
					r.Recycle()
				}
			}
		}
	}
	return doomed
}

// consumePart feeds the records of one partition to its reducer. A record with
// an unknown schema dooms the transaction, but the rest is looked at all the
// same, so that several unknown schemas are waited for together.
func (s *session) consumePart(txn context.Context, p *part, records []*kgo.Record) (doomed error) {
	t := p.task
	if !t.touched {
		t.touched = true
		s.touched = append(s.touched, t)
	}
	s.out.state = t.log
	rec := &s.rec
	for n, r := range records {
		if r.Attrs.IsControl() {
			continue
		}
		s.taken++
		if n%checkEvery == checkEvery-1 {
			if s.out.failed.Load() != nil {
				return doomed // noticed by flush
			}
			if err := s.slow(); err != nil {
				return err
			}
		}
		fillRecord(rec, r)
		if err := t.reducer.Process(rec, s.out); err != nil {
			if err := s.misprocessed(rec, err); err != nil {
				if !errors.Is(err, errDoomed) {
					return err
				}
				if doomed == nil {
					doomed = err
				}
			}
		}
		if s.out.arena.n == s.out.sent {
			continue
		}
		if doomed != nil {
			s.out.discard()
			continue
		}
		s.out.send(txn)
	}
	return doomed
}

// slow gives a transaction up that would take longer than the broker allows,
// and has fewer records taken from now on.
func (s *session) slow() error {
	d := time.Since(s.begun)
	if d < s.cfg.TransactionTimeout/2 {
		return nil
	}
	s.perRecord = max(d/time.Duration(s.taken), 1)
	return &waitError{err: errSlow}
}

// fillRecord makes a Record of the client's, without allocation.
func fillRecord(dst *Record, src *kgo.Record) {
	headers := dst.Headers[:0]
	for i := range src.Headers {
		headers = append(headers, event.Header{Key: src.Headers[i].Key, Value: src.Headers[i].Value})
	}
	dst.Topic, dst.Partition, dst.Offset = src.Topic, src.Partition, src.Offset
	dst.Appended = src.Timestamp.UnixMilli()
	dst.Key, dst.Value, dst.Headers = src.Key, src.Value, headers
}

// misprocessed decides what an error of Process means. nil: the record is on
// its way to the dead letter topic.
func (s *session) misprocessed(r *Record, err error) error {
	s.out.discard()
	at := fmt.Sprintf("%s-%d@%d", r.Topic, r.Partition, r.Offset)
	switch {
	case errors.Is(err, event.ErrUnknownSchema):
		if !s.runner.unknown.expired(r, time.Now(), s.cfg.SchemaWait) {
			return fmt.Errorf("%w: %s: %w", errDoomed, at, err)
		}
		s.deadLetter(r, "unknown_schema", err)
		return nil
	case poison(err):
		s.deadLetter(r, "poison", err)
		return nil
	case again(err):
		return &waitError{err: fmt.Errorf("process %s: %w", at, err)}
	}
	return fmt.Errorf("%w: process %s: %w", errFatal, at, err)
}

// flush lets the reducers emit what changed and waits until everything is
// written.
func (s *session) flush(txn context.Context) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = panicked("flush", v)
		}
	}()
	for _, t := range s.touched {
		s.out.state = t.log
		if err := t.reducer.Flush(s.out); err != nil {
			return fmt.Errorf("%w: flush %s: %w", errFatal, t.id, err)
		}
		s.out.send(txn)
	}
	if s.out.misuse {
		return fmt.Errorf("%w: a reducer of stage %s writes state, but the stage has no changelog", ErrMisconfigured, s.cfg.Stage.Name)
	}
	if err := s.cl.Flush(txn); err != nil {
		return fmt.Errorf("write the outputs within the transaction's time: %w", err)
	}
	// The client would commit what succeeded: the rest must be noticed here.
	if f := s.out.failed.Load(); f != nil {
		return fmt.Errorf("write to %s: %w", f.topic, f.err)
	}
	return nil
}

// end commits, or with a cause aborts. An error means that the outcome is
// unknown or the producer unusable: the session must be abandoned.
func (s *session) end(txn context.Context, cause error) (committed bool, err error) {
	if cause == nil {
		committed, err = s.gts.End(txn, kgo.TryCommit)
		if err != nil {
			return false, fmt.Errorf("end transaction: %w", err)
		}
		return committed, nil
	}
	// An abort gets time of its own: the cause may be that time was up.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(txn), s.cfg.TransactionTimeout)
	defer cancel()
	if _, err := s.gts.End(ctx, kgo.TryAbort); err != nil {
		return false, fmt.Errorf("abort transaction: %w (aborted because: %w)", err, cause)
	}
	return false, nil
}

// commit takes note of a committed transaction.
func (s *session) commit(begin time.Time) {
	for _, t := range s.touched {
		t.reducer.Commit()
		t.touched = false
	}
	for _, p := range s.moved {
		p.committed, p.moved = p.next, false
	}
	st := &s.runner.stats
	st.committed.Add(1)
	st.in.Add(int64(s.taken))
	st.out.Add(int64(s.out.sent - s.letters))
	st.letters.Add(int64(s.letters))
	st.missed.Add(s.missed)
	took := s.lastEnd.Sub(begin)
	st.commitTook.Store(int64(took))
	s.cfg.Committed(took)
	st.commitAt.Store(s.lastEnd.UnixMilli())
	if s.letters > 0 {
		s.runner.logLetters(s.letters, s.letter, s.lastEnd)
	}
	s.touched, s.moved = s.touched[:0], s.moved[:0]
	s.out.reset()
	s.runner.failures.Store(0)
	s.runner.aborts.Store(0)
	s.noteCaughtUp()
}

// rewind puts memory and positions back to the last commit.
func (s *session) rewind() {
	for _, t := range s.touched {
		t.reducer.Rewind()
		t.touched = false
	}
	s.touched = s.touched[:0]
	s.rewindParts()
	s.out.discard()
}

// afterAbort decides how to go on after a clean abort.
func (s *session) afterAbort(cause error) error {
	s.out.reset()
	var w *waitError
	switch {
	case cause == nil: // a rebalance, or a group error that the client mends
		s.log.Info("transaction aborted: the group is rebalancing")
		if n := s.runner.aborts.Add(1); n > 1 {
			return &waitError{pause: backoff(int(n), 5*time.Millisecond, 500*time.Millisecond), err: errors.New("aborted")}
		}
		return nil
	case errors.Is(cause, errDoomed):
		s.log.Info("waiting for a schema", "err", cause)
		n := s.runner.aborts.Add(1)
		return &waitError{pause: backoff(int(n), 50*time.Millisecond, time.Second), err: cause}
	case errors.As(cause, &w):
		n := s.runner.aborts.Add(1)
		s.log.Warn("transaction given up, trying again", "err", cause, "attempt", n)
		return &waitError{pause: backoff(int(n), 50*time.Millisecond, 5*time.Second), err: cause}
	case (definite(cause) || errors.Is(cause, context.DeadlineExceeded)) && s.cfg.verdict(cause) == nil:
		// Not a new session: that would take the transactional id anew, also
		// from a twin that came while we stood still. The next transaction
		// shows whose it is.
		n := s.runner.failures.Add(1)
		if s.cfg.MaxRestarts >= 0 && int(n) > s.cfg.MaxRestarts {
			return cause
		}
		s.log.Warn("transaction aborted, trying again", "err", cause, "attempt", n)
		return &waitError{pause: backoff(int(n), 50*time.Millisecond, 5*time.Second), err: cause}
	}
	return cause
}
