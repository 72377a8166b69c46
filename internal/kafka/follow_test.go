package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ell/internal/event"
	"ell/internal/kafka"
)

var errRefused = syscall.ECONNREFUSED

func countRequests(n *int) func(kmsg.Request) (kmsg.Response, error, bool) {
	return func(kmsg.Request) (kmsg.Response, error, bool) {
		*n++
		return nil, nil, false
	}
}

// following runs a Follower and collects what it hands over.
type following struct {
	f      *kafka.Follower
	got    chan string // "topic-partition@offset=value"
	caught chan struct{}
	done   chan error
	stop   context.CancelFunc
}

func follow(t *testing.T, f kafka.Follow) *following {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	g := &following{got: make(chan string, 10000), caught: make(chan struct{}), done: make(chan error, 1), stop: stop}
	f.Batch = func(_ context.Context, batch []event.Record) error {
		for _, r := range batch {
			g.got <- fmt.Sprintf("%s-%d@%d=%s", r.Topic, r.Partition, r.Offset, r.Value)
		}
		return nil
	}
	f.CaughtUp = func() { close(g.caught) }
	var err error
	if g.f, err = kafka.NewFollower(f); err != nil {
		t.Fatal(err)
	}
	go func() { g.done <- g.f.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-g.done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return g
}

func (g *following) waitCaughtUp(t *testing.T) {
	t.Helper()
	select {
	case <-g.caught:
	case err := <-g.done:
		g.done <- nil
		t.Fatalf("Run ended: %v", err)
	case <-time.After(5 * time.Second):
		t.Fatalf("not caught up: %+v", g.f.Progress())
	}
}

func (g *following) take(t *testing.T, n int) []string {
	t.Helper()
	var out []string
	for range n {
		select {
		case s := <-g.got:
			out = append(out, s)
		case <-time.After(5 * time.Second):
			t.Fatalf("only %d of %d records: %v", len(out), n, out)
		}
	}
	return out
}

func produce(t *testing.T, cl *kgo.Client, records ...*kgo.Record) {
	t.Helper()
	if err := cl.ProduceSync(deadline(t), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func rec(topic string, partition int32, key, value string) *kgo.Record {
	return &kgo.Record{Topic: topic, Partition: partition, Key: []byte(key), Value: []byte(value)}
}

func topic(t *testing.T, cfg kafka.Config, spec event.TopicSpec) {
	t.Helper()
	if _, err := kafka.EnsureTopics(deadline(t), client(t, cfg), []event.TopicSpec{spec}, 1); err != nil {
		t.Fatal(err)
	}
}

func transaction(t *testing.T, cfg kafka.Config, id string, end kgo.TransactionEndTry, records ...*kgo.Record) {
	t.Helper()
	cl := client(t, cfg, kgo.TransactionalID(id), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	produce(t, cl, records...)
	if err := cl.EndTransaction(deadline(t), end); err != nil {
		t.Fatal(err)
	}
}

func TestFollowReadsAllPartitionsFromTheBeginningAndCatchesUp(t *testing.T) {
	_, cfg := cluster(t)
	topic(t, cfg, event.TopicSpec{Name: "t", Partitions: 2})
	cl := client(t, cfg, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	produce(t, cl, rec("t", 0, "a", "1"), rec("t", 0, "a", "2"), rec("t", 1, "b", "3"))
	g := follow(t, kafka.Follow{Config: cfg, Topics: []string{"t"}})
	g.waitCaughtUp(t)
	got := map[string]bool{}
	for _, s := range g.take(t, 3) {
		got[s] = true
	}
	if d := cmp.Diff(map[string]bool{"t-0@0=1": true, "t-0@1=2": true, "t-1@0=3": true}, got); d != "" {
		t.Error(d)
	}
	produce(t, cl, rec("t", 1, "b", "4"))
	if s := g.take(t, 1); s[0] != "t-1@1=4" {
		t.Errorf("then got %v", s)
	}
}

func TestFollowCatchesUpOnEmptyTopicsAtOnce(t *testing.T) {
	_, cfg := cluster(t)
	topic(t, cfg, event.TopicSpec{Name: "t", Partitions: 12})
	follow(t, kafka.Follow{Config: cfg, Topics: []string{"t"}}).waitCaughtUp(t)
}

func TestFollowIsNotHeldUpByATailThatDeliversNothing(t *testing.T) {
	t.Run("an aborted transaction", func(t *testing.T) {
		_, cfg := cluster(t)
		topic(t, cfg, event.TopicSpec{Name: "t", Partitions: 1})
		produce(t, client(t, cfg), rec("t", 0, "a", "1"))
		transaction(t, cfg, "x", kgo.TryAbort, rec("t", 0, "a", "aborted"))
		g := follow(t, kafka.Follow{Config: cfg, Topics: []string{"t"}})
		g.waitCaughtUp(t)
		if s := g.take(t, 1); s[0] != "t-0@0=1" || len(g.got) != 0 {
			t.Errorf("got %v and %d more", s, len(g.got))
		}
		if p := g.f.Progress(); p[0].Lag != 0 || p[0].Behind != 0 {
			t.Errorf("lag of a reader at the end: %+v", p)
		}
	})
	t.Run("a log that retention emptied", func(t *testing.T) {
		c, cfg := cluster(t)
		topic(t, cfg, event.TopicSpec{Name: "t", Partitions: 1, Delete: true, RetentionMS: 1})
		produce(t, client(t, cfg), rec("t", 0, "a", "1"))
		time.Sleep(5 * time.Millisecond)
		c.ApplyRetention()
		follow(t, kafka.Follow{Config: cfg, Topics: []string{"t"}}).waitCaughtUp(t)
	})
	t.Run("an open transaction is beyond the end to reach", func(t *testing.T) {
		_, cfg := cluster(t)
		topic(t, cfg, event.TopicSpec{Name: "t", Partitions: 1})
		cl := client(t, cfg, kgo.TransactionalID("open"))
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		produce(t, cl, rec("t", 0, "a", "later"))
		g := follow(t, kafka.Follow{Config: cfg, Topics: []string{"t"}})
		g.waitCaughtUp(t)
		if err := cl.EndTransaction(deadline(t), kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
		if s := g.take(t, 1); s[0] != "t-0@0=later" {
			t.Errorf("got %v", s)
		}
	})
}

func TestFollowProbesATailWhoseMarkerIsMissing(t *testing.T) {
	// A client that drops every delivery of the tail stands for brokers that
	// leave nothing there to deliver (compacted batches, a lost marker): the
	// raw probe alone must prove the end.
	_, cfg := cluster(t)
	topic(t, cfg, event.TopicSpec{Name: "t", Partitions: 1})
	produce(t, client(t, cfg), rec("t", 0, "a", "1"))
	transaction(t, cfg, "x", kgo.TryAbort, rec("t", 0, "a", "aborted"))
	cl := client(t, cfg)
	next, err := kafka.EmptyUntil(deadline(t), cl, "t", 0, 1)
	if err != nil || next != 3 {
		t.Errorf("aborted tail: next offset %d, %v; want 3", next, err)
	}
	next, err = kafka.EmptyUntil(deadline(t), cl, "t", 0, 0)
	if err != nil || next != 0 {
		t.Errorf("a committed record in the way: next offset %d, %v; want 0", next, err)
	}
}

func TestFollowPicksUpTopicsCreatedLaterThatMatch(t *testing.T) {
	_, cfg := cluster(t)
	topic(t, cfg, event.TopicSpec{Name: "station.1", Partitions: 1})
	topic(t, cfg, event.TopicSpec{Name: "other", Partitions: 1})
	cl := client(t, cfg)
	produce(t, cl, rec("station.1", 0, "", "1"), rec("other", 0, "", "no"))
	g := follow(t, kafka.Follow{Config: cfg, Pattern: `^station\.`, Refresh: 20 * time.Millisecond})
	g.waitCaughtUp(t)
	topic(t, cfg, event.TopicSpec{Name: "station.2", Partitions: 1})
	produce(t, cl, rec("station.2", 0, "", "2"))
	if d := cmp.Diff([]string{"station.1-0@0=1", "station.2-0@0=2"}, g.take(t, 2)); d != "" {
		t.Error(d)
	}
}

func TestFollowReadsATopicThatIsMadeAnewFromItsBeginning(t *testing.T) {
	for name, f := range map[string]kafka.Follow{"by name": {Topics: []string{"t"}}, "by pattern": {Pattern: "^t$"}} {
		t.Run(name, func(t *testing.T) {
			_, cfg := cluster(t)
			topic(t, cfg, event.TopicSpec{Name: "t", Partitions: 1})
			cl := client(t, cfg)
			produce(t, cl, rec("t", 0, "a", "1"), rec("t", 0, "a", "2"))
			f.Config, f.Refresh = cfg, 100*time.Millisecond
			// The client believes that a topic is gone once it was told so six times.
			f.Options = []kgo.Opt{kgo.RetryBackoffFn(func(int) time.Duration { return 10 * time.Millisecond })}
			g := follow(t, f)
			g.take(t, 2)
			if _, err := kadm.NewClient(cl).DeleteTopics(t.Context(), "t"); err != nil {
				t.Fatal(err)
			}
			topic(t, cfg, event.TopicSpec{Name: "t", Partitions: 1})
			produce(t, client(t, cfg), rec("t", 0, "a", "3"))
			if s := g.take(t, 1); s[0] != "t-0@0=3" {
				t.Errorf("got %v", s)
			}
		})
	}
}

// Who reads a whole table must not take the end of the old topic, or nothing,
// for the end of the new one.
func TestFollowCatchesUpWithTheTopicThatWasMadeAnew(t *testing.T) {
	_, cfg := cluster(t)
	topic(t, cfg, event.TopicSpec{Name: "t", Partitions: 1})
	cl := client(t, cfg)
	for range 9 { // a batch each, of which a fetch brings one
		produce(t, cl, rec("t", 0, "a", "old"))
	}
	ctx, stop := context.WithCancel(t.Context())
	first, anew := make(chan struct{}), make(chan struct{})
	var seen []string
	f, err := kafka.NewFollower(kafka.Follow{
		Config: cfg, Topics: []string{"t"},
		Options: []kgo.Opt{
			kgo.FetchMaxPartitionBytes(1),
			kgo.RetryBackoffFn(func(int) time.Duration { return 10 * time.Millisecond }),
		},
		Batch: func(_ context.Context, batch []event.Record) error {
			if len(seen) == 0 {
				close(first)
				<-anew
			}
			for _, r := range batch {
				seen = append(seen, string(r.Value))
			}
			return nil
		},
		CaughtUp: stop,
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	<-first
	if _, err := kadm.NewClient(cl).DeleteTopics(t.Context(), "t"); err != nil {
		t.Fatal(err)
	}
	topic(t, cfg, event.TopicSpec{Name: "t", Partitions: 1})
	produce(t, client(t, cfg), rec("t", 0, "a", "new 1"))
	produce(t, client(t, cfg), rec("t", 0, "a", "new 2"))
	close(anew)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := len(seen); n > 10 || n < 3 || seen[n-2] != "new 1" || seen[n-1] != "new 2" {
		t.Errorf("caught up after %q", seen)
	}
}

func TestFollowEndsWithTheErrorOfBatch(t *testing.T) {
	_, cfg := cluster(t)
	topic(t, cfg, event.TopicSpec{Name: "t", Partitions: 1})
	produce(t, client(t, cfg), rec("t", 0, "a", "1"))
	boom := errors.New("boom")
	f, err := kafka.NewFollower(kafka.Follow{
		Config: cfg, Topics: []string{"t"},
		Batch: func(context.Context, []event.Record) error { return boom },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Run(deadline(t)); !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
	if p := f.Progress(); p[0].Position != 0 || p[0].Lag != 1 || p[0].Behind <= 0 {
		t.Errorf("a refused batch must stay ahead: %+v", p)
	}
}

func TestReadTableGivesTheLastCommittedRecordPerKey(t *testing.T) {
	_, cfg := cluster(t)
	topic(t, cfg, event.TopicSpec{Name: "t", Partitions: 1, Compact: true})
	cl := client(t, cfg)
	produce(t, cl, rec("t", 0, "a", "1"), rec("t", 0, "b", "2"), rec("t", 0, "a", "3"))
	produce(t, cl, &kgo.Record{Topic: "t", Key: []byte("b")})
	transaction(t, cfg, "x", kgo.TryAbort, rec("t", 0, "a", "aborted"))
	began := time.Now()
	table, err := kafka.ReadTable(deadline(t), cfg, "t", 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("read in %v", time.Since(began))
	if len(table) != 1 || string(table["a"].Value) != "3" {
		t.Errorf("got %v", table)
	}
	if _, err := kafka.ReadTable(deadline(t), cfg, "t", 1); !errors.Is(err, kafka.ErrTableTooLarge) {
		t.Errorf("a table over its bound: %v", err)
	}
}
