package exactly_test

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/testkit"
)

// feed produces n records in small batches until all are there or ctx ends.
func feed(ctx context.Context, cl *kgo.Client, n, keys, batch int, pause time.Duration) error {
	for at := 0; at < n && ctx.Err() == nil; at += batch {
		if err := cl.ProduceSync(ctx, inputs(at, min(batch, n-at), keys)...).FirstErr(); err != nil {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

func TestFault05_WorkerKilledMidTransaction(t *testing.T) {
	t.Parallel()
	kills, records := 20, 20_000
	if longForm() {
		kills, records = 200, 200_000
	}
	k := cluster(t, 4)
	cl := k.Client(t)
	env := []string{"BROKERS=" + strings.Join(k.Addrs, ","), "TXN=worker", "INSTANCE=worker"}
	var fed error
	var wg sync.WaitGroup
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	wg.Go(func() { fed = feed(ctx, cl, records, 50, 100, 20*time.Millisecond) })
	open := 0
	for i := range kills {
		before := committed(k)
		w := testkit.Start(t, "sums", env...)
		testkit.Wait(t, 30*time.Second, "the worker commits", func() bool { return committed(k) > before || committed(k) >= int64(records) || w.Ended() })
		if i%2 == 0 {
			time.Sleep(rand.N(60 * time.Millisecond)) // a moment that nobody chose
		} else {
			testkit.Within(500*time.Millisecond, func() bool { return hasOpenTransaction(k) })
		}
		if hasOpenTransaction(k) {
			open++
		}
		w.Kill()
	}
	w := testkit.Start(t, "sums", env...)
	testkit.Wait(t, 30*time.Second, "the last worker starts", func() bool { return w.Said("worker started") })
	wg.Wait()
	if fed != nil {
		t.Fatal(fed)
	}
	testkit.Wait(t, 60*time.Second, "the input is processed", func() bool { return committed(k) >= int64(records) })
	if err := w.Term(10 * time.Second); err != nil {
		t.Fatalf("the last worker: %v\n%s", err, w.Output())
	}
	t.Logf("%d kills, a transaction was open at %d of them", kills, open)
	check(k).Must(t)
}

// hasOpenTransaction says whether something written is not yet stable.
func hasOpenTransaction(k *testkit.Kafka) bool {
	for _, topic := range []string{topicOut, topicState} {
		for _, p := range k.PartitionInfos(topic) {
			if p.LastStableOffset < p.HighWatermark {
				return true
			}
		}
	}
	return false
}

func TestFault06_ZombieIsFencedAndExits(t *testing.T) {
	t.Parallel()
	for name, instance := range map[string]string{"dynamic member": "", "static member": "INSTANCE=worker"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k, env := cluster(t, 4), []string{"TXN=worker"}
			if instance != "" {
				env = append(env, instance)
			}
			env = append(env, "BROKERS="+strings.Join(k.Addrs, ","))
			stop := feedUntilStopped(t, k)
			zombie := testkit.Start(t, "sums", env...)
			testkit.Wait(t, 30*time.Second, "the worker commits", func() bool { return committed(k) > 500 })
			zombie.Pause()
			time.Sleep(3500 * time.Millisecond) // longer than its session and its transaction live
			before := committed(k)
			twin := testkit.Start(t, "sums", env...)
			testkit.Wait(t, 30*time.Second, "the twin starts", func() bool { return twin.Said("worker started") })
			testkit.Wait(t, 30*time.Second, "the twin commits", func() bool { return committed(k) > before })
			zombie.Continue()
			// One of the two has to go. It is the zombie, unless its commit ran out of
			// time on a busy machine before it was refused: then it starts again, is the
			// newer one, and takes the place back.
			testkit.Wait(t, 30*time.Second, "one of the two ends", func() bool { return zombie.Ended() || twin.Ended() })
			fenced, survivor := zombie, twin
			if twin.Ended() {
				fenced, survivor = twin, zombie
			}
			if err := fenced.Wait(time.Second); err == nil || !fenced.Said("another instance has taken this one's place") {
				t.Fatalf("the one that ended did with %v, said:\n%s", err, fenced.Output())
			}
			stop()
			testkit.Wait(t, 30*time.Second, "the survivor is through", func() bool { return committed(k) >= inputEnd(k) || survivor.Ended() })
			if err := survivor.Term(10 * time.Second); err != nil {
				t.Fatalf("the survivor ended with %v, said:\n%s", err, survivor.Output())
			}
			check(k).Must(t)
		})
	}
}

func TestPausedInstanceWithoutTwinGoesOn(t *testing.T) {
	t.Parallel()
	k := cluster(t, 4)
	stop := feedUntilStopped(t, k)
	w := testkit.Start(t, "sums", "TXN=worker", "INSTANCE=worker", "BROKERS="+strings.Join(k.Addrs, ","))
	for range 3 {
		before := committed(k)
		testkit.Wait(t, 30*time.Second, "the worker commits", func() bool { return committed(k) > before+100 || w.Ended() })
		// Paused with a transaction open, it finds itself fenced.
		testkit.Within(time.Second, func() bool { return hasOpenTransaction(k) })
		w.Pause()
		time.Sleep(2500 * time.Millisecond) // its transaction ends meanwhile
		w.Continue()
	}
	stop()
	testkit.Wait(t, 30*time.Second, "the worker is through", func() bool { return committed(k) >= inputEnd(k) || w.Ended() })
	if err := w.Term(10 * time.Second); err != nil {
		t.Fatalf("the worker ended with %v, said:\n%s", err, w.Output())
	}
	check(k).Must(t)
}

// feedUntilStopped produces all the time until the returned function is called.
func feedUntilStopped(t *testing.T, k *testkit.Kafka) (stop func()) {
	t.Helper()
	cl := k.Client(t)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = feed(ctx, cl, 1<<30, 50, 50, 10*time.Millisecond) })
	stop = func() { cancel(); wg.Wait() }
	t.Cleanup(stop)
	return stop
}

func inputEnd(k *testkit.Kafka) (n int64) {
	for _, p := range k.PartitionInfos(topicIn) {
		n += p.HighWatermark
	}
	return n
}

func TestFault07_SameInstanceTwiceLeavesTheNewerOne(t *testing.T) {
	t.Parallel()
	for name, txn := range map[string][2]string{
		"same transactional id":   {"worker", "worker"},
		"other transactional ids": {"worker-1", "worker-2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := cluster(t, 4)
			cl := k.Client(t)
			k.Produce(t, cl, inputs(0, 1000, 20)...)
			first := config(k.Addrs, txn[0])
			first.InstanceID = "one"
			older := run(t, first)
			older.caughtUp(t, 20*time.Second)
			second := config(k.Addrs, txn[1])
			second.InstanceID = "one"
			newer := run(t, second)
			newer.caughtUp(t, 20*time.Second)
			k.Produce(t, cl, inputs(1000, 1000, 20)...)
			err := older.ended(t, 20*time.Second)
			if err == nil || !strings.Contains(err.Error(), "another instance has taken this one's place") {
				t.Fatalf("the older one ended with %v", err)
			}
			testkit.Wait(t, 20*time.Second, "the newer one is through", func() bool { return committed(k) >= 2000 })
			if n := newer.Stats().Restarts; n > 0 {
				t.Errorf("the newer one started again %d times: they fight", n)
			}
			newer.stop(t)
			check(k).Must(t)
		})
	}
}

func TestFault08_RebalanceStorm(t *testing.T) {
	t.Parallel()
	rounds := 12
	if longForm() {
		rounds = 200
	}
	k := cluster(t, 4)
	cl := k.Client(t)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var fed atomic.Int64
	wg.Go(func() {
		for ctx.Err() == nil {
			at := int(fed.Load())
			if cl.ProduceSync(context.Background(), inputs(at, 50, 50)...).FirstErr() != nil {
				return
			}
			fed.Add(50)
			time.Sleep(5 * time.Millisecond)
		}
	})
	stay := run(t, config(k.Addrs, "stay"))
	stay.caughtUp(t, 20*time.Second)
	// Up to ten workers on four partitions: some have nothing to do.
	var workers []*running
	next := 0
	for i := range rounds {
		id := "guest-" + string(rune('a'+next%26)) + string(rune('a'+next/26))
		next++
		workers = append(workers, run(t, config(k.Addrs, id)))
		time.Sleep(200 * time.Millisecond)
		if len(workers) > 9 || i%3 == 2 {
			workers[0].stop(t)
			workers = workers[1:]
		}
	}
	for _, w := range workers {
		w.stop(t)
	}
	quiet := time.Now()
	cancel()
	wg.Wait()
	testkit.Wait(t, 20*time.Second, "the backlog is gone after the storm", func() bool { return committed(k) >= inputEnd(k) })
	t.Logf("caught up %s after the storm; %d records; the one that stayed: %d committed, %d aborted, %d restarts",
		time.Since(quiet).Round(time.Millisecond), fed.Load(), stay.Stats().Committed, stay.Stats().Aborted, stay.Stats().Restarts)
	stay.stop(t)
	check(k).Must(t)
}

func TestMoreWorkersThanPartitions(t *testing.T) {
	t.Parallel()
	k := cluster(t, 2)
	cl := k.Client(t)
	k.Produce(t, cl, inputs(0, 500, 20)...)
	var ws []*running
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		ws = append(ws, run(t, config(k.Addrs, id)))
	}
	for _, w := range ws {
		w.caughtUp(t, 30*time.Second) // those with nothing to do, too
	}
	k.Produce(t, cl, inputs(500, 500, 20)...)
	testkit.Wait(t, 20*time.Second, "the input is processed", func() bool { return committed(k) >= 1000 })
	for _, w := range ws {
		w.stop(t)
	}
	check(k).Must(t)
}
