package embedded_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/embedded"
	"ell/internal/event"
	"ell/internal/kafka"
)

// TestMain lets the test binary be the process that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("ELL_TEST_CHILD"); dir != "" {
		if err := child(dir); err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(1)
		}
		return
	}
	if dir := os.Getenv("ELL_TEST_FULL"); dir != "" {
		if err := fillUp(dir); err != nil {
			fmt.Fprintln(os.Stderr, "ell:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

const (
	killTopics = 24
	killGroup  = "copier"
)

func killSpecs() []event.TopicSpec {
	specs := []event.TopicSpec{
		{Name: "state", Partitions: 4, Compact: true, SegmentBytes: 16 << 10},
		{Name: "copy", Partitions: 1, Delete: true, SegmentBytes: 64 << 10},
		{Name: "copied", Partitions: 1, Compact: true, SegmentBytes: 16 << 10},
	}
	for i := range killTopics {
		specs = append(specs, event.TopicSpec{Name: "t" + strconv.Itoa(i), Partitions: 1, Delete: true, SegmentBytes: 64 << 10})
	}
	return specs
}

// child runs a stack and two workers until it is killed. The writer puts the
// number i into every topic t0..t23 and into the compacted state, one
// transaction for each i, going on from the state. The copier copies t0 to
// copy in transactions with its group's offsets and counts in the compacted
// topic copied.
func child(dir string) error {
	ctx := context.Background()
	o := options(dir)
	embedded.Hurry(&o, 40*time.Millisecond, 4<<10)
	s, err := embedded.Open(ctx, o)
	if err != nil {
		return err
	}
	cfg := kafka.Config{Brokers: []string{s.KafkaAddr()}}
	cl, err := cfg.New()
	if err != nil {
		return err
	}
	if _, err := kafka.EnsureTopics(ctx, cl, killSpecs(), 1); err != nil {
		return err
	}
	errs := make(chan error, 3)
	go func() { errs <- writer(ctx, cfg) }()
	go func() { errs <- copier(ctx, cfg) }()
	go func() { errs <- s.Watch(ctx) }()
	b, err := json.Marshal(s.Recovered())
	if err != nil {
		return err
	}
	fmt.Printf("running %s\n", b)
	return <-errs
}

// count is the last committed number under key, 0 without one.
func count(ctx context.Context, cfg kafka.Config, topic, key string) (int, error) {
	table, err := kafka.ReadTable(ctx, cfg, topic, 0)
	if err != nil {
		return 0, err
	}
	r, ok := table[key]
	if !ok {
		return 0, nil
	}
	return strconv.Atoi(string(r.Value))
}

func writer(ctx context.Context, cfg kafka.Config) error {
	// The same id at every boot: the harder case for the log.
	cl, err := cfg.New(kgo.TransactionalID("writer"))
	if err != nil {
		return err
	}
	if _, _, err := cl.ProducerID(ctx); err != nil {
		return err
	}
	done, err := count(ctx, cfg, "state", "writer")
	if err != nil {
		return err
	}
	for i := done + 1; ; i++ {
		if err := cl.BeginTransaction(); err != nil {
			return err
		}
		n := []byte(strconv.Itoa(i))
		for t := range killTopics {
			cl.Produce(ctx, &kgo.Record{Topic: "t" + strconv.Itoa(t), Value: n}, nil)
		}
		for k := range 8 {
			cl.Produce(ctx, &kgo.Record{Topic: "state", Key: []byte("k" + strconv.Itoa(k)), Value: n}, nil)
		}
		cl.Produce(ctx, &kgo.Record{Topic: "state", Key: []byte("writer"), Value: n}, nil)
		if err := cl.Flush(ctx); err != nil {
			return err
		}
		// Some end by an abort: they must leave no trace.
		if i%7 == 0 && rand.IntN(2) == 0 {
			if err := cl.EndTransaction(ctx, kgo.TryAbort); err != nil {
				return err
			}
			i--
			continue
		}
		if err := cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
			return err
		}
	}
}

func copier(ctx context.Context, cfg kafka.Config) error {
	base := []kgo.Opt{
		kgo.SeedBrokers(cfg.Brokers...), kgo.TransactionalID("copier"),
		kgo.ConsumerGroup(killGroup), kgo.ConsumeTopics("t0"), kgo.InstanceID("copier-1"),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	}
	s, err := kgo.NewGroupTransactSession(base...)
	if err != nil {
		return err
	}
	if _, _, err := s.Client().ProducerID(ctx); err != nil {
		return err
	}
	n, err := count(ctx, cfg, "copied", "n")
	if err != nil {
		return err
	}
	for {
		fetches := s.PollRecords(ctx, 50)
		if err := fetches.Err(); err != nil {
			return err
		}
		if fetches.NumRecords() == 0 {
			continue
		}
		if err := s.Begin(); err != nil {
			return err
		}
		before := n
		for _, r := range fetches.Records() {
			s.Produce(ctx, &kgo.Record{Topic: "copy", Value: r.Value}, nil)
			n++
		}
		s.Produce(ctx, &kgo.Record{Topic: "copied", Key: []byte("n"), Value: []byte(strconv.Itoa(n))}, nil)
		ok, err := s.End(ctx, kgo.TryCommit)
		if err != nil {
			return err
		}
		if !ok {
			n = before
		}
	}
}

// run starts a child and kills it after d. It returns what the child recovered.
func run(t *testing.T, dir string, d time.Duration) embedded.Recovered {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "ELL_TEST_CHILD="+dir)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = cmd.Wait()
		t.Fatalf("child did not start: %s", stderr.String())
	}
	var r embedded.Recovered
	if err := json.Unmarshal([]byte(strings.TrimPrefix(line, "running ")), &r); err != nil {
		t.Fatal(err)
	}
	time.Sleep(d)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	if stderr.Len() > 0 {
		t.Fatalf("child ended by itself: %s", stderr.String())
	}
	return r
}

// verify opens the folder once more and checks that every transaction is
// there whole or not at all.
func verify(t *testing.T, dir string) (written int) {
	t.Helper()
	s := open(t, options(dir))
	defer closeStack(t, s)
	cfg := kafka.Config{Brokers: []string{s.KafkaAddr()}}
	written, err := count(t.Context(), cfg, "state", "writer")
	if err != nil {
		t.Fatal(err)
	}
	want := make([]string, written)
	for i := range want {
		want[i] = "=" + strconv.Itoa(i+1)
	}
	same := func(topic string, got, want []string) {
		t.Helper()
		for i := range max(len(got), len(want)) {
			if i >= len(got) || i >= len(want) || got[i] != want[i] {
				t.Fatalf("%s holds %d records, want %d; the first difference is at %d", topic, len(got), len(want), i)
			}
		}
	}
	for i := range killTopics {
		topic := "t" + strconv.Itoa(i)
		same(topic, records(t, s.KafkaAddr(), topic), want)
	}
	table, err := kafka.ReadTable(t.Context(), cfg, "state", 0)
	if err != nil {
		t.Fatal(err)
	}
	for k, r := range table {
		if string(r.Value) != strconv.Itoa(written) {
			t.Errorf("state of %s is %s, want %d", k, r.Value, written)
		}
	}
	if len(table) != 9 {
		t.Errorf("%d keys of state, want 9", len(table))
	}
	copied := records(t, s.KafkaAddr(), "copy")
	same("copy", copied, want[:min(len(copied), len(want))])
	n, err := count(t.Context(), cfg, "copied", "n")
	if err != nil || n != len(copied) {
		t.Errorf("%d records copied, counted %d, %v", len(copied), n, err)
	}
	if t.Failed() {
		t.FailNow()
	}
	return written
}

func TestKilledAtAnyMomentEveryTransactionIsWholeOrAbsent(t *testing.T) {
	rounds := 12
	if n, err := strconv.Atoi(os.Getenv("ELL_TEST_KILLS")); err == nil {
		rounds = n
	}
	dir := t.TempDir()
	var sum embedded.Recovered
	compactions, written := 0, 0
	for i := range rounds {
		r := run(t, dir, 100*time.Millisecond+rand.N(400*time.Millisecond))
		sum.Aborted += r.Aborted
		sum.Committed += r.Committed
		sum.Torn += r.Torn
		sum.Indexes += r.Indexes
		if r.Compaction {
			compactions++
		}
		if i%4 == 3 || i == rounds-1 {
			now := verify(t, dir)
			if now <= written {
				t.Errorf("after %d kills nothing was written since %d", i+1, written)
			}
			written = now
		}
	}
	t.Logf("%d kills, %d transactions: aborted %d, commits completed in %d partitions, torn %d, indexes %d, compactions undone %d",
		rounds, written, sum.Aborted, sum.Committed, sum.Torn, sum.Indexes, compactions)
}
