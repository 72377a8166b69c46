package exactly

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ell/internal/event"
)

// closeWait bounds how long leaving the group may take.
const closeWait = 3 * time.Second

// session is one life of the client: from joining the group to an error or the
// end. Everything but the mailbox and the counters belongs to the goroutine
// that calls run.
type session struct {
	runner *Runner
	cfg    *Config
	log    *slog.Logger
	gts    *kgo.GroupTransactSession
	cl     *kgo.Client
	adm    *kadm.Client
	mail   *mailbox
	owned  *owned

	out     *output
	rec     Record
	headers []event.Header
	touched []*task
	moved   []*part
	letters int // dead letters in this transaction
	taken   int // records in this transaction

	restoring bool
	dropped   bool // fetched records were thrown away and must be fetched again
	caughtUp  bool
	wg        sync.WaitGroup // the restoring and the watching goroutine
	cancel    context.CancelFunc

	lastEnd   time.Time     // when the last transaction ended
	perRecord time.Duration // how long a record takes, smoothed
}

// open joins the group. It returns before the group has answered.
func (r *Runner) open() (*session, error) {
	cfg := &r.cfg
	mail := &mailbox{}
	opts := append([]kgo.Opt(nil), cfg.Client...)
	opts = append(opts,
		kgo.ConsumerGroup(cfg.Stage.Name),
		kgo.ConsumeTopics(cfg.Stage.Topics...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // so that the position reaches the end of a partition
		kgo.BlockRebalanceOnPoll(),
		kgo.SessionTimeout(cfg.SessionTimeout),
		kgo.RebalanceTimeout(cfg.SessionTimeout),
		kgo.HeartbeatInterval(cfg.Heartbeat),
		kgo.TransactionalID(cfg.TransactionalID),
		kgo.TransactionTimeout(cfg.TransactionTimeout),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(partitioner{}),
		kgo.MetadataMaxAge(cfg.MetadataEvery),
	)
	if cfg.Stage.CoPartitioned {
		opts = append(opts, kgo.Balancers(kgo.RangeBalancer()))
	} else {
		opts = append(opts, kgo.Balancers(kgo.CooperativeStickyBalancer()))
	}
	if cfg.Stage.Regex {
		opts = append(opts, kgo.ConsumeRegex())
	}
	if cfg.InstanceID != "" {
		opts = append(opts, kgo.InstanceID(cfg.InstanceID))
	}
	gts, err := kgo.NewGroupTransactSession(append(opts, mail.groupOptions()...)...)
	if err != nil {
		return nil, fmt.Errorf("%w: make the client: %w", ErrMisconfigured, err)
	}
	s := &session{
		runner: r, cfg: cfg, log: r.log, gts: gts, cl: gts.Client(), mail: mail,
		owned: newOwned(&cfg.Stage),
		out:   newOutput(cfg.Stage.Changelog, gts.Produce),
	}
	s.adm = kadm.NewClient(s.cl)
	return s, nil
}

// run works until ctx ends (nil) or the session cannot go on.
func (s *session) run(ctx context.Context) (err error) {
	inner, cancel := context.WithCancel(ctx)
	s.cancel = cancel
	defer func() {
		cancel()
		s.wg.Wait()
		s.runner.publish(nil)
		s.close()
	}()
	if err := s.fence(ctx); err != nil {
		return stopped(ctx, err)
	}
	s.wg.Go(func() { s.watch(inner) })
	for ctx.Err() == nil {
		if err := s.settle(inner); err != nil {
			return stopped(ctx, err)
		}
		var fetches kgo.Fetches
		s.mail.poll(ctx, func(ctx context.Context) {
			fetches = s.gts.PollRecords(ctx, s.maxPoll())
		})
		err := s.check(fetches)
		switch {
		case err != nil, ctx.Err() != nil:
		case s.mail.interrupted():
			// A rebalance came between settling and polling: what was
			// fetched may belong to others by now.
			s.dropped = true
		case s.carries(fetches):
			err = s.transact(ctx, fetches)
		}
		s.gts.AllowRebalance()
		if err == nil {
			continue
		}
		var w *waitError
		if !errors.As(err, &w) {
			return stopped(ctx, err)
		}
		sleep(ctx, w.pause)
	}
	return nil
}

// stopped drops the errors that come of ctx's end.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, kgo.ErrClientClosed)) {
		return nil
	}
	return err
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// close leaves the group and waits for the client, each for a bounded time.
func (s *session) close() {
	s.gts.AllowRebalance()
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	// Leaving is a courtesy: a member that cannot say goodbye times out.
	if err := s.cl.LeaveGroupContext(ctx); err != nil {
		s.log.Debug("leave the group", "err", err)
	}
	s.gts.CloseAllowingRebalance()
}

// fence takes the transactional id before anything is read: what a former self
// left open ends now, not at its timeout. It also makes sure that the cluster
// runs transactions safely.
func (s *session) fence(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.SessionTimeout)
	defer cancel()
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "ell", "1"
	resp, err := req.RequestWith(ctx, s.cl)
	if err != nil {
		return fmt.Errorf("ask the cluster for its features: %w", err)
	}
	level := int16(-1)
	for _, f := range resp.FinalizedFeatures {
		if f.Name == "transaction.version" {
			level = f.MaxVersionLevel
		}
	}
	if level < 2 {
		return fmt.Errorf("%w: the cluster runs transaction.version %d, under which a delayed end of one transaction can end the next: run `kafka-features.sh --bootstrap-server … upgrade --feature transaction.version=2` (Kafka 4.0 or later)", ErrMisconfigured, level)
	}
	if _, _, err := s.cl.ProducerID(ctx); err != nil {
		return fmt.Errorf("take transactional id %q: %w", s.cfg.TransactionalID, err)
	}
	return nil
}

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
			if gone := p.start - p.committed; p.committed >= 0 && gone > 0 {
				s.log.Warn("input was deleted before it was processed", "topic", p.topic, "partition", p.id, "offsets", gone)
				s.runner.stats.missed.Add(gone)
			}
		}
	}
	if len(resume) > 0 {
		s.cl.ResumeFetchPartitions(resume)
	}
	return nil
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

// check looks at the errors that came with fetches. Those that the client
// mends by itself are only logged.
func (s *session) check(fetches kgo.Fetches) error {
	var first error
	fetches.EachError(func(topic string, partition int32, err error) {
		var group *kgo.ErrGroupSession
		switch {
		case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		case errors.Is(err, kgo.ErrClientClosed):
			first = errors.Join(first, err)
		case errors.Is(err, kerr.FencedInstanceID), errors.Is(err, kerr.UnreleasedInstanceID), refused(err):
			if !errors.As(err, &group) {
				err = fmt.Errorf("read %s-%d: %w", topic, partition, err)
			}
			first = errors.Join(first, err)
		case errors.As(err, &group):
			s.log.Warn("the group lost us, joining again", "err", err)
		default:
			s.log.Warn("read", "topic", topic, "partition", partition, "err", err)
		}
	})
	return first
}

// maxPoll is how many records to take at once so that processing them takes
// about one commit interval.
func (s *session) maxPoll() int {
	if s.perRecord <= 0 {
		return min(s.cfg.MaxPoll, 4096)
	}
	return max(1, min(s.cfg.MaxPoll, int(s.cfg.CommitEvery/s.perRecord)))
}

// carries says whether fetches hold anything to process. Markers of other
// transactions alone only move the position: a transaction for them would write
// a marker of its own, and stages that feed each other would never come to rest.
func (s *session) carries(fetches kgo.Fetches) bool {
	for i := range fetches {
		for j := range fetches[i].Topics {
			t := &fetches[i].Topics[j]
			for k := range t.Partitions {
				for _, r := range t.Partitions[k].Records {
					if !r.Attrs.IsControl() {
						return true
					}
				}
			}
		}
	}
	for i := range fetches {
		for j := range fetches[i].Topics {
			t := &fetches[i].Topics[j]
			for k := range t.Partitions {
				fp := &t.Partitions[k]
				if p := s.owned.part(t.Topic, fp.Partition); p != nil && len(fp.Records) > 0 {
					s.advance(p, fp)
				}
			}
		}
	}
	s.noteCaughtUp()
	return false
}

// advance notes that everything fp holds is done.
func (s *session) advance(p *part, fp *kgo.FetchPartition) {
	last := fp.Records[len(fp.Records)-1]
	p.next = last.Offset + 1
	if !p.moved {
		p.moved = true
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
