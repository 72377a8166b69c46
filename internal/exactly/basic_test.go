package exactly_test

import (
	"testing"
	"time"

	"ell/internal/exactly"
	"ell/internal/testkit"
)

func TestEveryRecordShowsOnce(t *testing.T) {
	t.Parallel()
	k := cluster(t, 4)
	cl := k.Client(t)
	k.Produce(t, cl, inputs(0, 5000, 50)...)
	w := run(t, config(k.Addrs, "a"))
	w.caughtUp(t, 20*time.Second)
	k.Produce(t, cl, inputs(5000, 1000, 50)...)
	testkit.Wait(t, 10*time.Second, "all is processed", func() bool { return w.Stats().In == 6000 })
	w.stop(t)
	check(k).Must(t)
}

func TestRestartGoesOnFromCommittedState(t *testing.T) {
	t.Parallel()
	k := cluster(t, 4)
	cl := k.Client(t)
	for i := range 4 {
		k.Produce(t, cl, inputs(i*500, 500, 20)...)
		w := run(t, config(k.Addrs, "a"))
		w.caughtUp(t, 20*time.Second)
		testkit.Wait(t, 10*time.Second, "the new input is processed", func() bool { return w.Stats().In == 500 })
		w.stop(t)
	}
	check(k).Must(t)
}

func TestQuietInputIsCommittedWithinMilliseconds(t *testing.T) {
	k := cluster(t, 1)
	cl := k.Client(t)
	w := run(t, config(k.Addrs, "a"))
	w.caughtUp(t, 20*time.Second)
	var worst, sum time.Duration
	const n = 20
	for i := range n {
		begin := time.Now()
		k.Produce(t, cl, inputs(i, 1, 1)...)
		testkit.Wait(t, 5*time.Second, "the record is committed", func() bool { return w.Stats().In == int64(i+1) })
		d := time.Since(begin)
		worst, sum = max(worst, d), sum+d
	}
	t.Logf("produce to commit, noticed by polling every 5 ms: mean %s, worst %s", sum/n, worst)
	w.stop(t)
	check(k).Must(t)
	_ = exactly.Stats{}
}
