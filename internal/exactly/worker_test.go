package exactly_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"ell/internal/event"
	"ell/internal/exactly"
	"ell/internal/testkit"
)

func TestMain(m *testing.M) {
	if name := testkit.Child(); name != "" {
		os.Exit(child(name))
	}
	// Most of these tests wait for something to time out.
	if err := flag.Set("test.parallel", "4"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(testkit.ClosedClient()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// The stage of these tests keeps a running sum per key. An input value is
// "<id>:<amount>"; for each one the output topic gets "<id>:<sum so far>", and
// the changelog the sum.
const (
	topicIn    = "in"
	topicOut   = "out"
	topicState = "state"
	topicDead  = "dead"
	groupName  = "sums"
)

// sums is the reducer.
type sums struct {
	now, old map[string]int64 // old: what changed since the last commit
	fault    func(r *exactly.Record) error
	forget   bool // negative control: does not rewind
}

func newSums(exactly.Task) exactly.Reducer {
	return &sums{now: map[string]int64{}, old: map[string]int64{}}
}

func (s *sums) Restore(key, value []byte) error {
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		return fmt.Errorf("state of %q: %w", key, err)
	}
	s.now[string(key)] = n
	return nil
}

func (s *sums) Process(r *exactly.Record, out exactly.Output) error {
	if s.fault != nil {
		if err := s.fault(r); err != nil {
			return err
		}
	}
	id, amount, err := parse(string(r.Value))
	if err != nil {
		return err
	}
	k := string(r.Key)
	if _, ok := s.old[k]; !ok {
		s.old[k] = s.now[k]
	}
	s.now[k] += amount
	out.Emit(topicOut, -1, r.Key, []byte(id+":"+strconv.FormatInt(s.now[k], 10)))
	return nil
}

func (s *sums) Flush(out exactly.Output) error {
	for k := range s.old {
		out.State([]byte(k), []byte(strconv.FormatInt(s.now[k], 10)))
	}
	return nil
}

func (s *sums) Commit() { clear(s.old) }

func (s *sums) Rewind() {
	if !s.forget {
		maps.Copy(s.now, s.old)
	}
	clear(s.old)
}

func parse(v string) (id string, amount int64, err error) {
	id, text, ok := strings.Cut(v, ":")
	if !ok {
		return "", 0, fmt.Errorf("%w: no colon in %q", event.ErrPoison, v)
	}
	amount, err = strconv.ParseInt(text, 10, 64)
	if err != nil {
		return "", 0, fmt.Errorf("%w: amount in %q", event.ErrPoison, v)
	}
	return id, amount, nil
}

// model recomputes what the stage must have written.
func model(inputs []*kgo.Record) testkit.Want {
	want := testkit.Want{Streams: map[testkit.Key][]string{}, Tables: map[testkit.Key]string{}}
	now := map[string]int64{}
	for _, r := range inputs {
		id, amount, err := parse(string(r.Value))
		if err != nil {
			k := testkit.Key{Topic: topicDead, Key: string(r.Key)}
			want.Streams[k] = append(want.Streams[k], string(r.Value))
			continue
		}
		k := string(r.Key)
		now[k] += amount
		o := testkit.Key{Topic: topicOut, Key: k}
		want.Streams[o] = append(want.Streams[o], id+":"+strconv.FormatInt(now[k], 10))
		want.Tables[testkit.Key{Topic: topicState, Key: k}] = strconv.FormatInt(now[k], 10)
	}
	return want
}

func check(k *testkit.Kafka) testkit.Check {
	return testkit.Check{
		Client: k.Options(), Group: groupName, Inputs: []string{topicIn},
		Streams: []string{topicOut, topicDead}, Tables: []string{topicState}, Model: model,
	}
}

func stage() exactly.Stage {
	return exactly.Stage{Name: groupName, Topics: []string{topicIn}, Changelog: topicState, New: newSums}
}

// config has times that suit a test: a dead member is noticed within seconds.
func config(addrs []string, id string) exactly.Config {
	return exactly.Config{
		Stage: stage(), Client: testkit.Options(addrs...), TransactionalID: id, DeadLetter: topicDead,
		SessionTimeout: 3 * time.Second, Heartbeat: 200 * time.Millisecond, TransactionTimeout: 2 * time.Second,
		MetadataEvery: 500 * time.Millisecond, CommitEvery: 50 * time.Millisecond,
	}
}

// testLogger writes to the test's log, up to its end.
func testLogger(t testing.TB) *slog.Logger {
	if !testing.Verbose() {
		return nil
	}
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
}

// running is a runner in the test's own process.
type running struct {
	*exactly.Runner
	cancel context.CancelFunc
	done   chan struct{}
	err    error // valid once done is closed
}

func run(t testing.TB, cfg exactly.Config) *running {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = testLogger(t)
	}
	r, err := exactly.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &running{Runner: r, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		w.err = r.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-w.done })
	return w
}

// stop ends the runner and fails the test if it ended badly.
func (w *running) stop(t testing.TB) {
	t.Helper()
	w.cancel()
	select {
	case <-w.done:
	case <-time.After(20 * time.Second):
		t.Fatal("the runner did not stop within 20 s")
	}
	if w.err != nil {
		t.Fatalf("run: %v", w.err)
	}
}

// ended waits for the runner to end by itself and returns its error.
func (w *running) ended(t testing.TB, limit time.Duration) error {
	t.Helper()
	select {
	case <-w.done:
		return w.err
	case <-time.After(limit):
		t.Fatalf("the runner still ran after %s", limit)
		return nil
	}
}

// caughtUp waits until the runner has processed everything.
func (w *running) caughtUp(t testing.TB, limit time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	go func() {
		select {
		case <-w.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := w.CaughtUp(ctx); err != nil {
		select {
		case <-w.done:
			t.Fatalf("the runner ended: %v", w.err)
		default:
		}
		t.Fatalf("not caught up after %s: %+v", limit, w.Stats())
	}
}

// cluster makes a cluster with the topics of the stage.
func cluster(t testing.TB, partitions int32) *testkit.Kafka {
	t.Helper()
	k := testkit.Cluster(t)
	topics(t, k, partitions)
	return k
}

func topics(t testing.TB, k *testkit.Kafka, partitions int32) {
	t.Helper()
	k.Topics(t, partitions, topicIn, topicOut, topicState)
	k.Topics(t, 1, topicDead)
}

// inputs makes n records with ids from first on, over some keys.
func inputs(first, n, keys int) []*kgo.Record {
	rs := make([]*kgo.Record, n)
	for i := range rs {
		id := first + i
		rs[i] = &kgo.Record{
			Topic: topicIn, Key: fmt.Appendf(nil, "key-%02d", id%keys),
			Value: fmt.Appendf(nil, "%d:%d", id, id%7+1),
		}
	}
	return rs
}

// child is a worker process.
func child(name string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	addrs := strings.Split(os.Getenv("BROKERS"), ",")
	log := slog.New(slog.NewTextHandler(os.Stdout, nil))
	switch name {
	case "sums":
		cfg := config(addrs, os.Getenv("TXN"))
		cfg.InstanceID = os.Getenv("INSTANCE")
		cfg.Logger = log
		r, err := exactly.New(cfg)
		if err == nil {
			fmt.Println("worker started")
			err = r.Run(ctx)
		}
		if err != nil {
			fmt.Println("worker ended:", err)
			return 3
		}
		return 0
	case "broker":
		if err := broker(ctx); err != nil {
			fmt.Println("broker ended:", err)
			return 3
		}
		return 0
	case "at-least-once":
		if err := atLeastOnce(ctx, addrs); err != nil {
			fmt.Println("worker ended:", err)
			return 3
		}
		return 0
	}
	fmt.Println("no such worker:", name)
	return 2
}
