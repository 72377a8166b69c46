package exactly_test

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

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
}

// A partition may end in transaction markers and aborted records, which nobody
// is shown: the end is reached all the same, and reaching it costs nothing.
func TestTransactionalInputIsReadToItsEndAndThenAtRest(t *testing.T) {
	t.Parallel()
	k := cluster(t, 4)
	upstream := k.Client(t, kgo.TransactionalID("upstream"))
	end := func(first, n int, how kgo.TransactionEndTry) {
		t.Helper()
		if err := upstream.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		k.Produce(t, upstream, inputs(first, n, 20)...)
		if err := upstream.EndTransaction(t.Context(), how); err != nil {
			t.Fatal(err)
		}
	}
	end(0, 500, kgo.TryCommit)
	end(10_000, 100, kgo.TryAbort)
	w := run(t, config(k.Addrs, "a"))
	w.caughtUp(t, 20*time.Second)
	for i := range 3 {
		end(500+i*100, 100, kgo.TryCommit)
		end(20_000, 100, kgo.TryAbort)
	}
	testkit.Wait(t, 20*time.Second, "the input is processed", func() bool { st := w.Stats(); return st.In == 800 && st.Lag == 0 })
	before := w.Stats().Committed
	for range 20 {
		end(30_000, 10, kgo.TryAbort) // nothing but markers to see
	}
	testkit.Wait(t, 20*time.Second, "the position is at the end", func() bool {
		var at int64
		for _, p := range w.Stats().Partitions {
			at += p.Position
		}
		return at == inputEnd(k)
	})
	if after := w.Stats().Committed; after != before {
		t.Errorf("%d transactions for nothing but markers", after-before)
	}
	w.stop(t)
	check(k).Must(t)
}

// On a broker whose commits take at least as long as here, a transaction that
// waits for n times that leaves room for so many transactions and no more.
func TestPatientStageCommitsSeldomWhereCommitsTakeLong(t *testing.T) {
	t.Parallel()
	const takes, patience, window = 40 * time.Millisecond, 4, 2 * time.Second
	k := cluster(t, 1)
	k.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		k.SleepControl(func() { time.Sleep(takes) })
		return nil, nil, false
	})
	cl := k.Client(t)
	cfg := config(k.Addrs, "a")
	cfg.Patience = patience
	w := run(t, cfg)
	n := 0
	feed := func(d time.Duration) {
		for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			k.Produce(t, cl, inputs(n, 1, 10)...)
			n++
		}
	}
	feed(2 * time.Second) // until it knows how long a commit takes
	before, begin := w.Stats().Committed, time.Now()
	feed(window)
	got := w.Stats().Committed - before
	if most := int64(time.Since(begin)/(takes*patience)) + 1; got > most || got == 0 {
		t.Errorf("%d transactions, want some, at most %d", got, most)
	}
	testkit.Wait(t, 20*time.Second, "everything is processed", func() bool { return committed(k) == int64(n) })
	w.stop(t)
	check(k).Must(t)
}
