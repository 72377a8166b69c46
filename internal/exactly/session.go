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
	"ell/internal/kafka"
)

// closeWait bounds how long leaving the group may take.
const closeWait = 3 * time.Second

// fetchBytes bounds what one broker answers at once. The client asks for more
// only when all of an answer was taken, so that an answer has to be taken whole for
// the next to come while it is processed; and with hundreds of partitions one
// answer must not be hundreds of megabytes.
const fetchBytes = 2 << 20

// A stage that commits this seldom lets the brokers gather input meanwhile, up
// to so many bytes: it would not look at it sooner, and every answer costs a
// broker the same however little is in it.
const (
	gatherFrom  = 50 * time.Millisecond
	gatherBytes = 64 << 10
)

// firstPoll is how many records to take while nobody knows how long one takes.
const firstPoll = 256

// session is one life of the client: from joining the group to an error or the
// end. Everything but the mailbox and the counters belongs to the goroutine
// that calls run.
type session struct {
	runner *Runner
	cfg    *Config
	log    *slog.Logger
	gts    *kgo.GroupTransactSession
	cl     *kgo.Client
	quit   context.CancelFunc // ends what the client still waits for
	adm    *kadm.Client
	mail   *mailbox
	owned  *owned

	out     *output
	rec     Record
	headers []event.Header
	touched []*task
	moved   []*part
	letters int    // dead letters in this transaction
	letter  string // the first of them, in words
	taken   int    // records in this transaction
	missed  int64  // offsets that retention had removed before this transaction came to them

	member    string // our id in the group, as last known
	restoring bool
	dropped   bool // fetched records were thrown away and must be fetched again
	caughtUp  bool
	wg        sync.WaitGroup // the restoring and the watching goroutine

	begun     time.Time     // when this transaction began
	lastEnd   time.Time     // when the last transaction ended
	perRecord time.Duration // how long a record takes, smoothed
	// endTook is how long it takes from the last record of a transaction
	// until its commit is answered, smoothed.
	endTook time.Duration
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
		kgo.FetchMaxBytes(fetchBytes),
		kgo.WithPools(&r.pool),
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
	if cfg.Linger >= gatherFrom {
		opts = append(opts, kgo.FetchMinBytes(gatherBytes), kgo.FetchMaxWait(cfg.Linger))
	}
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
	life, quit := context.WithCancel(context.Background())
	opts = append(opts, kgo.WithContext(life))
	gts, err := kgo.NewGroupTransactSession(append(opts, mail.groupOptions()...)...)
	if err != nil {
		quit()
		return nil, fmt.Errorf("%w: make the client: %w", ErrMisconfigured, err)
	}
	s := &session{
		runner: r, cfg: cfg, log: r.log, gts: gts, cl: gts.Client(), quit: quit, mail: mail,
		owned: newOwned(&cfg.Stage),
		out:   newOutput(cfg.Stage.Changelog, gts.Produce),
	}
	s.adm = kadm.NewClient(s.cl)
	return s, nil
}

// run works until ctx ends (nil) or the session cannot go on.
func (s *session) run(ctx context.Context) (err error) {
	inner, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		s.wg.Wait()
		s.runner.publish(nil)
		if kafka.Fenced(err) && s.alone() {
			err = fmt.Errorf("%w: %w", errLate, err)
		}
		s.close()
		if ctx.Err() != nil && err == nil && s.cfg.Leave && s.cfg.InstanceID != "" {
			s.leave()
		}
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

// alone says for sure that no twin has taken our place in the group. A fenced
// producer then only means that our transaction outlived its time: the process
// was paused, or a reducer stood still. Without a static membership nobody can
// tell.
func (s *session) alone() bool {
	if s.cfg.Sole {
		return true
	}
	if s.cfg.InstanceID == "" {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	groups, err := s.adm.DescribeGroups(ctx, s.cfg.Stage.Name)
	if err != nil || groups.Error() != nil {
		return false
	}
	own, _ := s.cl.GroupMetadata()
	for _, m := range groups[s.cfg.Stage.Name].Members {
		if m.InstanceID != nil && *m.InstanceID == s.cfg.InstanceID && m.MemberID != own && m.MemberID != s.member {
			return false
		}
	}
	return true
}

// close leaves the group and waits for the client, each for a bounded time.
func (s *session) close() {
	s.gts.AllowRebalance()
	defer s.quit()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		s.gts.CloseAllowingRebalance() // which says goodbye to the group
	}()
	select {
	case <-closed:
	case <-time.After(closeWait):
		// Leaving is a courtesy. A join that waits for members who are gone would
		// hold it up for as long as their session lasts.
		s.log.Debug("the group does not let go: closing without a goodbye")
		s.quit()
		<-closed
	}
}

// leave gives the place of a static member up, which closing a client does not. It
// asks by a client of its own: this session's would join again at once. That nobody
// may be there to hear it costs no more than the wait for the session's end.
func (s *session) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	err := func() error {
		cl, err := kgo.NewClient(s.cfg.Client...)
		if err != nil {
			return err
		}
		defer cl.Close()
		req := kmsg.NewPtrLeaveGroupRequest()
		req.Group = s.cfg.Stage.Name
		m := kmsg.NewLeaveGroupRequestMember()
		// Both, so that a twin who has the place keeps it; but a join that was not
		// answered yet may have got us a place as well.
		m.MemberID, m.InstanceID = s.member, &s.cfg.InstanceID
		req.Members = append(req.Members, m)
		resp, err := req.RequestWith(ctx, cl)
		if err != nil {
			return err
		}
		err = kerr.ErrorForCode(resp.ErrorCode)
		for _, m := range resp.Members {
			err = errors.Join(err, kerr.ErrorForCode(m.ErrorCode))
		}
		return err
	}()
	if err != nil {
		s.log.Warn("the place in the group is kept until the session ends", "after", s.cfg.SessionTimeout, "err", err)
	}
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

// check looks at the errors that came with fetches. Those that the client
// mends by itself are only logged.
func (s *session) check(fetches kgo.Fetches) error {
	var first error
	fetches.EachError(func(topic string, partition int32, err error) {
		var group *kgo.ErrGroupSession
		var loss *kgo.ErrDataLoss
		switch {
		case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		case errors.Is(err, kgo.ErrClientClosed):
			first = errors.Join(first, err)
		case errors.Is(err, kerr.FencedInstanceID), errors.Is(err, kerr.UnreleasedInstanceID), refused(err):
			if !errors.As(err, &group) {
				err = fmt.Errorf("read %s-%d: %w", topic, partition, err)
			}
			first = errors.Join(first, err)
		case errors.As(err, &loss):
			first = errors.Join(first, err) // committed state may be ahead of the log
		case errors.Is(err, kerr.UnknownTopicID):
			// The client keeps to the topic it first met under this name and
			// asks for it without a pause; another client meets the new one.
			if !errors.Is(first, kerr.UnknownTopicID) { // said once, not for each partition
				first = errors.Join(first, fmt.Errorf("topic %s was deleted, or made anew: %w", topic, err))
			}
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
		return min(s.cfg.MaxPoll, firstPoll)
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
	s.runner.stats.missed.Add(s.missed)
	s.missed = 0
	s.noteCaughtUp()
	return false
}
