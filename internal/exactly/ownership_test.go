package exactly_test

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ell/internal/event"
	"ell/internal/exactly"
	"ell/internal/testkit"
)

func TestRegexTopicsThatAppearLater(t *testing.T) {
	t.Parallel()
	k := testkit.Cluster(t)
	k.Topics(t, 2, topicOut)
	k.Topics(t, 1, topicDead, "in.a")
	k.Topics(t, 3, topicState)
	cl := k.Client(t)
	cfg := config(k.Addrs, "a")
	// Several topics of one partition keep their state in three partitions of
	// one changelog; its key says whose it is.
	cfg.Stage.Topics, cfg.Stage.Regex = []string{`^in\.[a-z]$`}, true
	cfg.Stage.ChangelogPartition = func(t exactly.Task) int32 { return int32(t.Topic[len(t.Topic)-1]) % 3 }
	cfg.Stage.Owner = func(key []byte, _ int32) exactly.Task {
		return exactly.Task{Topic: "in." + string(key[:1])}
	}
	produce := func(topic string, first, n int) {
		t.Helper()
		rs := inputs(first, n, 10)
		for _, r := range rs {
			r.Topic, r.Key = topic, append([]byte(topic[len(topic)-1:]+"-"), r.Key...)
		}
		k.Produce(t, cl, rs...)
	}
	produce("in.a", 0, 100)
	total := int64(100)
	for range 2 {
		w := run(t, cfg)
		w.caughtUp(t, 20*time.Second)
		for i, topic := range []string{"in.b", "in.c", "in.d", "in.e"} {
			if k.TopicInfo(topic) == nil {
				k.Topics(t, 1, topic)
			}
			produce(topic, i*100, 50)
			produce("in.a", 1000+i*100, 50)
			total += 100
			testkit.Wait(t, 20*time.Second, topic+" is found and processed", func() bool { return committed(k) >= total })
		}
		w.stop(t)
	}
	c := check(k)
	c.Inputs = []string{"in.a", "in.b", "in.c", "in.d", "in.e"}
	c.Must(t)
}

func TestJoinedTopicsShareATaskPerPartition(t *testing.T) {
	t.Parallel()
	const partitions = 4
	k := testkit.Cluster(t)
	k.Topics(t, partitions, "left", "right", topicOut, topicState)
	k.Topics(t, 1, topicDead)
	cl := k.Client(t)
	joined := func(id string) exactly.Config {
		cfg := config(k.Addrs, id)
		cfg.Stage.Topics, cfg.Stage.CoPartitioned = []string{"left", "right"}, true
		cfg.Stage.New = func(task exactly.Task) exactly.Reducer {
			if task.Topic != "" {
				t.Errorf("task %v names a topic", task)
			}
			return newSums(task)
		}
		return cfg
	}
	produce := func(first, n int) {
		t.Helper()
		for _, topic := range []string{"left", "right"} {
			rs := inputs(first, n, 20)
			for _, r := range rs {
				r.Topic, r.Value = topic, append([]byte(topic+"-"), r.Value...)
			}
			k.Produce(t, cl, rs...)
		}
	}
	all := func() int64 { return committed(k) }
	produce(0, 500)
	a := run(t, joined("a"))
	a.caughtUp(t, 20*time.Second)
	b := run(t, joined("b"))
	b.caughtUp(t, 20*time.Second)
	produce(500, 500)
	testkit.Wait(t, 20*time.Second, "the input is processed", func() bool { return all() >= 2000 })
	for _, w := range []*running{a, b} {
		mine := map[int32]int{}
		for _, p := range w.Stats().Partitions {
			mine[p.Partition]++
		}
		for p, n := range mine {
			if n != 2 {
				t.Errorf("a worker owns partition %d of %d topics, want both", p, n)
			}
		}
	}
	b.stop(t)
	produce(1000, 500)
	testkit.Wait(t, 20*time.Second, "the input is processed", func() bool { return all() >= 3000 })
	a.stop(t)
	// A key's records come from two topics in an order nobody can recompute;
	// the last sum of each key and the count of outputs can be.
	out, err := testkit.ReadCommitted(t.Context(), k.Options(), topicOut)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, r := range out {
		id, _, _ := strings.Cut(string(r.Value), ":")
		seen[id]++
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s came out %d times", id, n)
		}
	}
	if len(seen) != 3000 {
		t.Errorf("%d of 3000 came out", len(seen))
	}
	c := check(k)
	c.Inputs, c.Streams = []string{"left", "right"}, nil
	c.Must(t)
}

func TestHeartbeatsGoOnWhileALargeStateIsRestored(t *testing.T) {
	t.Parallel()
	k := cluster(t, 4)
	cl := k.Client(t)
	k.Produce(t, cl, inputs(0, 4000, 400)...)
	w := run(t, config(k.Addrs, "a"))
	testkit.Wait(t, 20*time.Second, "the input is processed", func() bool { return committed(k) >= 4000 })
	w.stop(t)
	k.Produce(t, cl, inputs(4000, 100, 400)...)
	// Each of 400 state records takes 10 ms: more than a session of 3 s.
	cfg := config(k.Addrs, "a")
	cfg.Stage.New = func(task exactly.Task) exactly.Reducer { return slowRestore{newSums(task)} }
	begin := time.Now()
	w = run(t, cfg)
	testkit.Wait(t, 30*time.Second, "the input is processed", func() bool { return committed(k) >= 4100 })
	if d := time.Since(begin); d < 3*time.Second {
		t.Fatalf("restored in %s: the test tests nothing", d)
	}
	if st := w.Stats(); st.Restarts > 0 || st.Restored < 400 {
		t.Errorf("%d restarts, %d records restored", st.Restarts, st.Restored)
	}
	w.stop(t)
	check(k).Must(t)
}

type slowRestore struct{ exactly.Reducer }

func (s slowRestore) Restore(key, value []byte) error {
	time.Sleep(10 * time.Millisecond)
	return s.Reducer.Restore(key, value)
}

func TestRebalanceDuringRestore(t *testing.T) {
	t.Parallel()
	k := cluster(t, 4)
	cl := k.Client(t)
	k.Produce(t, cl, inputs(0, 2000, 200)...)
	w := run(t, config(k.Addrs, "seed"))
	testkit.Wait(t, 20*time.Second, "the input is processed", func() bool { return committed(k) >= 2000 })
	w.stop(t)
	k.Produce(t, cl, inputs(2000, 1000, 200)...)
	var ws []*running
	for i := range 4 {
		cfg := config(k.Addrs, fmt.Sprintf("slow-%d", i))
		cfg.Stage.New = func(task exactly.Task) exactly.Reducer { return slowRestore{newSums(task)} }
		ws = append(ws, run(t, cfg))
		time.Sleep(300 * time.Millisecond) // each comes while the one before restores
	}
	testkit.Wait(t, 30*time.Second, "the input is processed", func() bool { return committed(k) >= 3000 })
	for _, w := range ws {
		w.stop(t)
	}
	check(k).Must(t)
}

func TestStatelessStageForwardsToNamedPartitionsWithHeadersOfItsOwn(t *testing.T) {
	t.Parallel()
	k := cluster(t, 4)
	cl := k.Client(t)
	k.Produce(t, cl, inputs(0, 1000, 50)...)
	cfg := config(k.Addrs, "a")
	cfg.Stage.Changelog = ""
	cfg.Stage.New = func(exactly.Task) exactly.Reducer { return &forward{} }
	w := run(t, cfg)
	testkit.Wait(t, 20*time.Second, "the input is processed", func() bool { return committed(k) >= 1000 })
	w.stop(t)
	out, err := testkit.ReadCommitted(t.Context(), k.Options(), topicOut)
	if err != nil || len(out) != 1000 {
		t.Fatalf("%d records came out, err %v", len(out), err)
	}
	for _, r := range out {
		if want := int32(r.Key[len(r.Key)-1]) % 4; r.Partition != want || !bytes.Equal(r.Headers[0].Value, r.Key) || r.Headers[1].Value != nil {
			t.Fatalf("record %q in partition %d with headers %v, want partition %d and headers of its key and of nil", r.Key, r.Partition, r.Headers, want)
		}
	}
}

// forward sends each record on to a partition of its choice. It uses the memory
// of its headers again at once, as reducers may.
type forward struct {
	headers [2]event.Header
	value   []byte
}

func (*forward) Restore(_, _ []byte) error { return nil }
func (f *forward) Process(r *exactly.Record, out exactly.Output) error {
	f.value = append(f.value[:0], r.Key...)
	f.headers = [2]event.Header{{Key: "key", Value: f.value}, {Key: "nothing"}}
	out.Emit(topicOut, int32(r.Key[len(r.Key)-1])%4, r.Key, r.Value, f.headers[:]...)
	return nil
}
func (*forward) Flush(exactly.Output) error { return nil }
func (*forward) Commit()                    {}
func (*forward) Rewind()                    {}

func TestStateWithoutChangelogIsNamed(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1)
	cl := k.Client(t)
	k.Produce(t, cl, inputs(0, 10, 2)...)
	cfg := config(k.Addrs, "a")
	cfg.Stage.Changelog = ""
	w := run(t, cfg)
	if err := w.ended(t, 20*time.Second); err == nil || !regexp.MustCompile(`writes state.*no changelog`).MatchString(err.Error()) {
		t.Fatalf("ended with %v", err)
	}
}

func TestConfigurationFaultsAreReportedTogether(t *testing.T) {
	t.Parallel()
	_, err := exactly.New(exactly.Config{
		Stage:              exactly.Stage{Topics: []string{"("}, Regex: true},
		TransactionTimeout: time.Minute, SessionTimeout: 10 * time.Second,
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"no name", "no reducer", "topic expression", "no client options", "no transactional id", "no dead letter topic", "transaction timeout"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

func TestAStaticMemberThatIsStoppedKeepsItsPlaceUnlessItIsToLeave(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		leave bool
		left  []string // who has a place afterwards
	}{
		"it keeps its place":       {false, []string{"one", "two"}},
		"it leaves, for the other": {true, []string{"one"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := cluster(t, 4)
			cl := k.Client(t)
			k.Produce(t, cl, inputs(0, 200, 20)...)
			member := func(id string) *running {
				cfg := config(k.Addrs, id)
				cfg.InstanceID, cfg.Leave = id, tc.leave
				cfg.SessionTimeout = time.Minute // nobody is put out for being away in this test
				return run(t, cfg)
			}
			one, two := member("one"), member("two")
			testkit.Wait(t, 20*time.Second, "both share the work", func() bool { return settled(k) && len(members(k)) == 2 })
			two.stop(t)
			if got := members(k); !slices.Equal(got, tc.left) {
				t.Fatalf("places are held by %v, want %v", got, tc.left)
			}
			if !tc.leave {
				return // the verifier would wait for the places to be given up
			}
			k.Produce(t, cl, inputs(200, 200, 20)...)
			testkit.Wait(t, 20*time.Second, "the other does all of the work", func() bool { return committed(k) == 400 })
			one.stop(t)
			check(k).Must(t)
		})
	}
}
