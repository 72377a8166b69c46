package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/event"
)

// Follow says what a Follower reads and whom it tells.
type Follow struct {
	Config Config
	// Topics are read by name. A topic that does not exist yet is read from
	// when it does.
	Topics []string
	// Pattern, if set instead of Topics, is a regular expression (RE2, matched
	// anywhere unless anchored); topics created later are picked up within Refresh.
	Pattern string
	// Batch gets committed records: each partition's in order, partitions
	// mixed, once each. The slice and its values are used again after the call
	// returns; the bytes they point to are not. An error ends Run.
	Batch func(ctx context.Context, batch []event.Record) error
	// CaughtUp, if set, is called once, between two calls of Batch, when
	// everything committed at the start of Run has been handed over.
	CaughtUp func()
	// MaxBatch bounds the records of one call; 0 means 4096.
	MaxBatch int
	// Refresh is how often end offsets and new topics are asked for; 0 means 2 s.
	Refresh time.Duration
	// Logger gets warnings (broker away, records lost to retention); nil: discard.
	Logger *slog.Logger
	// Options go to the client last; tests use them.
	Options []kgo.Opt
}

// Follower reads all partitions of topics from the beginning, read_committed
// and without a consumer group.
//
// How it knows that it has caught up: at the start it asks for every
// partition's last stable offset, the target. A partition has passed when a
// record or a transaction's control record at or behind target-1 was seen
// (control records are kept by the client and swallowed here), or when its log
// begins at the target. A tail that is only aborted or compacted records
// delivers neither; so once nothing arrives for quietProbe, the partitions
// still behind are each fetched raw at their position, and the client
// library's own batch reader says how far the offset goes without a single
// record to deliver. That is proof, not patience: a stalled broker only delays
// the signal.
type Follower struct {
	f       Follow
	pattern *regexp.Regexp
	log     *slog.Logger

	mu     sync.Mutex // guards all below
	parts  map[place]*followed
	caught bool
	began  time.Time
}

type place struct {
	topic     string
	partition int32
}

// followed is what is known of one partition.
type followed struct {
	position int64 // next offset to hand over; everything before has been
	target   int64 // to have caught up
	end      int64 // last stable offset, as last heard
	appended int64 // of the last record handed over, ms
}

const (
	quietProbe      = 50 * time.Millisecond
	defaultRefresh  = 2 * time.Second
	defaultMaxBatch = 4096
)

// NewFollower checks f. Nothing is contacted before Run.
func NewFollower(f Follow) (*Follower, error) {
	var pattern *regexp.Regexp
	switch {
	case f.Batch == nil:
		return nil, errors.New("follow: no Batch function")
	case (f.Pattern == "") == (len(f.Topics) == 0):
		return nil, errors.New("follow: set either topics or a pattern")
	case f.Pattern != "":
		var err error
		if pattern, err = regexp.Compile(f.Pattern); err != nil {
			return nil, fmt.Errorf("follow topics: %w", err)
		}
	}
	if err := f.Config.Validate(); err != nil {
		return nil, err
	}
	if f.MaxBatch <= 0 {
		f.MaxBatch = defaultMaxBatch
	}
	if f.Refresh <= 0 {
		f.Refresh = defaultRefresh
	}
	log := f.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Follower{f: f, pattern: pattern, log: log, parts: make(map[place]*followed)}, nil
}

// Run reads until ctx ends (then it returns nil), Batch returns an error, or
// an error comes that repetition does not mend. Brokers that are away are
// waited for. Run may be called once.
func (f *Follower) Run(ctx context.Context) error {
	opts := []kgo.Opt{
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		kgo.MetadataMaxAge(max(f.f.Refresh, metadataMinAge)),
	}
	if f.pattern != nil {
		opts = append(opts, kgo.ConsumeRegex(), kgo.ConsumeTopics(f.f.Pattern))
	} else {
		opts = append(opts, kgo.ConsumeTopics(f.f.Topics...))
	}
	cl, err := f.f.Config.New(append(opts, f.f.Options...)...)
	if err != nil {
		return err
	}
	defer cl.Close()

	f.mu.Lock()
	f.began = time.Now()
	f.mu.Unlock()
	if err := f.setTargets(ctx, cl); err != nil {
		return endOf(ctx, err)
	}
	refreshing, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { f.refresh(refreshing, cl) })
	defer wg.Wait()
	defer stop()
	return endOf(ctx, f.poll(ctx, cl))
}

// endOf turns the error of a context that was asked to end into nil.
func endOf(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return nil
	}
	return err
}

// poll is the loop: fetch, hand over, look whether the end was reached.
func (f *Follower) poll(ctx context.Context, cl *kgo.Client) error {
	buf := make([]event.Record, f.f.MaxBatch)
	for {
		f.noteCaughtUp()
		wait, cancel := ctx, context.CancelFunc(func() {})
		if !f.HasCaughtUp() {
			wait, cancel = context.WithTimeout(ctx, quietProbe)
		}
		fetches := cl.PollFetches(wait)
		quiet := wait.Err() != nil
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		anew, err := f.faults(fetches)
		if err != nil {
			return err
		}
		n, err := f.handOver(ctx, fetches, buf)
		if err != nil {
			return err
		}
		if len(anew) > 0 { // after the last of the old topics was handed over
			if err := f.readAnew(ctx, cl, slices.Sorted(maps.Keys(anew))); err != nil {
				return err
			}
		}
		if quiet && n == 0 && !f.HasCaughtUp() {
			f.probe(ctx, cl)
		}
	}
}

// faults looks through the errors of a poll: those that pass are logged. It
// returns the topics that were deleted or made anew.
func (f *Follower) faults(fetches kgo.Fetches) (anew map[string]struct{}, err error) {
	var fatal error
	fetches.EachError(func(topic string, partition int32, err error) {
		if errors.Is(err, context.DeadlineExceeded) && topic == "" {
			return // our own short wait
		}
		var loss *kgo.ErrDataLoss
		switch {
		case errors.As(err, &loss):
			// Retention was faster than this reader. It goes on at the log's
			// start; whoever needs every record must not be this slow.
			f.log.Warn("records were removed before they were read", "topic", topic, "partition", partition, "err", err)
		case errors.Is(err, kerr.UnknownTopicID):
			if anew == nil {
				anew = make(map[string]struct{})
			}
			anew[topic] = struct{}{}
		case Classify(err) == Transient:
			f.log.Info("follow: fetch will be repeated", "topic", topic, "partition", partition, "err", err)
		case fatal == nil:
			fatal = fmt.Errorf("follow %s-%d: %w", topic, partition, err)
		}
	})
	return anew, fatal
}

// readAnew makes the client forget topics, which otherwise keeps to the one it
// first met under a name, and reads what there is now from the beginning. Who
// has not caught up yet has to catch up with that.
func (f *Follower) readAnew(ctx context.Context, cl *kgo.Client, topics []string) error {
	f.log.Warn("topics were deleted, or made anew: reading them from their beginning", "topics", topics)
	cl.PurgeTopicsFromClient(topics...)
	f.mu.Lock()
	maps.DeleteFunc(f.parts, func(at place, _ *followed) bool { return slices.Contains(topics, at.topic) })
	caught := f.caught
	f.mu.Unlock()
	if f.pattern == nil {
		cl.AddConsumeTopics(topics...)
	}
	if caught {
		return nil
	}
	return f.setTargets(ctx, cl)
}

// handOver passes the fetched records on and moves positions; it returns how
// many records of any kind there were.
func (f *Follower) handOver(ctx context.Context, fetches kgo.Fetches, buf []event.Record) (seen int, err error) {
	n := 0
	type moved struct {
		at       place
		position int64
		end      int64
		appended int64
	}
	var moves []moved
	flush := func() error {
		if n > 0 {
			if err := f.f.Batch(ctx, buf[:n]); err != nil {
				return err
			}
			n = 0
		}
		return nil
	}
	for i := range fetches {
		for j := range fetches[i].Topics {
			t := &fetches[i].Topics[j]
			for k := range t.Partitions {
				p := &t.Partitions[k]
				if len(p.Records) == 0 {
					continue
				}
				seen += len(p.Records)
				for _, r := range p.Records {
					if r.Attrs.IsControl() {
						continue
					}
					FromKgo(r, &buf[n])
					if n++; n == len(buf) {
						if err := flush(); err != nil {
							return seen, err
						}
					}
				}
				last := p.Records[len(p.Records)-1]
				moves = append(moves, moved{
					at: place{t.Topic, p.Partition}, position: last.Offset + 1,
					end: p.LastStableOffset, appended: last.Timestamp.UnixMilli(),
				})
			}
		}
	}
	if err := flush(); err != nil {
		return seen, err
	}
	// Positions move only now that everything before them was handed over.
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range moves {
		p := f.part(m.at)
		p.position = max(p.position, m.position)
		p.end = max(p.end, m.end, m.position)
		p.appended = m.appended
	}
	return seen, nil
}

// part returns the entry of at, making it; f.mu is held.
func (f *Follower) part(at place) *followed {
	p, ok := f.parts[at]
	if !ok {
		p = &followed{}
		f.parts[at] = p
	}
	return p
}

// noteCaughtUp tells the listener once.
func (f *Follower) noteCaughtUp() {
	f.mu.Lock()
	if f.caught {
		f.mu.Unlock()
		return
	}
	for _, p := range f.parts {
		if p.position < p.target {
			f.mu.Unlock()
			return
		}
	}
	f.caught = true
	f.mu.Unlock()
	if f.f.CaughtUp != nil {
		f.f.CaughtUp()
	}
}

// HasCaughtUp reports whether everything that was committed when Run began has
// been handed over.
func (f *Follower) HasCaughtUp() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.caught
}
