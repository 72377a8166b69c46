package exactly_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"ell/internal/exactly"
	"ell/internal/testkit"
)

// Negative controls: a verifier that passes these proves nothing.

func TestControlAtLeastOnceWorkerFailsTheVerifier(t *testing.T) {
	t.Parallel()
	k := cluster(t, 4)
	cl := k.Client(t)
	k.Produce(t, cl, inputs(0, 4000, 50)...)
	lost, end := loseCommits(k)
	env := []string{"BROKERS=" + strings.Join(k.Addrs, ",")}
	for range 5 {
		before := lost.Load()
		w := testkit.Start(t, "at-least-once", env...)
		// It dies where it hurts: its output is written, its offsets are not.
		testkit.Wait(t, 20*time.Second, "the worker commits", func() bool { return lost.Load() > before })
		w.Kill()
	}
	end()
	w := testkit.Start(t, "at-least-once", env...)
	testkit.Wait(t, 30*time.Second, "the worker is through", func() bool { return committed(k) >= 4000 })
	_ = w.Term(10 * time.Second)
	rep := verdict(t, k)
	if rep.Duplicates+rep.Wrong == 0 {
		t.Fatalf("the verifier saw nothing wrong with an at-least-once worker: %s", rep)
	}
	t.Logf("caught: %.300s", rep)
}

func TestControlMemoryThatIsNotRewoundFailsTheVerifier(t *testing.T) {
	t.Parallel()
	rep := abortedRun(t, true)
	if rep.Wrong == 0 {
		t.Fatalf("the verifier saw nothing wrong with memory that is not rewound: %s", rep)
	}
	t.Logf("caught: %.300s", rep)
}

func TestFault09_AbortByRebalanceRewindsMemory(t *testing.T) {
	t.Parallel()
	if rep := abortedRun(t, false); !rep.OK() {
		t.Fatalf("not exactly once: %s", rep)
	}
}

// abortedRun lets offset commits fail now and then as they do when the group
// rebalances, so that transactions abort with records in memory.
func abortedRun(t *testing.T, forget bool) *testkit.Report {
	t.Helper()
	k := cluster(t, 4)
	cl := k.Client(t)
	cfg := config(k.Addrs, "a")
	cfg.Stage.New = func(exactly.Task) exactly.Reducer {
		r := newSums(exactly.Task{}).(*sums)
		r.forget = forget
		return r
	}
	w := run(t, cfg)
	for i := range 10 {
		failCommit(k)
		k.Produce(t, cl, inputs(i*200, 200, 20)...)
		testkit.Wait(t, 20*time.Second, "the input is processed", func() bool { return w.Stats().In == int64(i+1)*200 })
	}
	if n := w.Stats().Aborted; n == 0 {
		t.Fatal("no transaction aborted: the test tests nothing")
	}
	w.stop(t)
	return verdict(t, k)
}

// verdict verifies without judging.
func verdict(t *testing.T, k *testkit.Kafka) *testkit.Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	rep, err := check(k).Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}
