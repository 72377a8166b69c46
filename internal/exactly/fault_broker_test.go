package exactly_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ell/internal/exactly"
	"ell/internal/testkit"
)

// disturbed processes a stream while disturb is called again and again, and
// verifies the outcome.
func disturbed(t *testing.T, k *testkit.Kafka, records int, cfg exactly.Config, disturb func(i int)) *running {
	t.Helper()
	cl := k.Client(t)
	w := run(t, cfg)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			disturb(i)
			time.Sleep(100 * time.Millisecond)
		}
	})
	if err := feed(ctx, cl, records, 50, 50, 5*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	cancel()
	wg.Wait()
	testkit.Wait(t, 30*time.Second, "the input is processed", func() bool { return committed(k) >= int64(records) })
	w.stop(t)
	st := w.Stats()
	t.Logf("%d transactions committed, %d aborted, %d restarts", st.Committed, st.Aborted, st.Restarts)
	check(k).Must(t)
	return w
}

func threeBrokers(t *testing.T) *testkit.Kafka {
	t.Helper()
	k := testkit.Cluster(t, kfake.NumBrokers(3))
	topics(t, k, 4)
	return k
}

func TestFault02_LeadersMove(t *testing.T) {
	t.Parallel()
	k := threeBrokers(t)
	disturbed(t, k, 5000, config(k.Addrs, "a"), func(int) { k.ShufflePartitionLeaders() })
}

func TestFault04_CoordinatorsMoveMidTransaction(t *testing.T) {
	t.Parallel()
	k := threeBrokers(t)
	disturbed(t, k, 5000, config(k.Addrs, "a"), func(int) { k.RehashCoordinators() })
}

func TestFault04_NotCoordinatorAtTheWorstMoments(t *testing.T) {
	t.Parallel()
	k := threeBrokers(t)
	keys := []kmsg.Key{kmsg.TxnOffsetCommit, kmsg.EndTxn, kmsg.InitProducerID, kmsg.Heartbeat, kmsg.OffsetFetch}
	disturbed(t, k, 3000, config(k.Addrs, "a"), func(i int) {
		k.Fault(kfake.Fault{Keys: []kmsg.Key{keys[i%len(keys)]}, Err: kerr.NotCoordinator})
	})
}

func TestFault10_LateEndTxnDoesNotEndALaterTransaction(t *testing.T) {
	t.Parallel()
	k := cluster(t, 4)
	cfg := config(k.Addrs, "a")
	// The request reaches the broker only after the client gave up and took
	// the transactional id anew.
	var late atomic.Int32
	k.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		if n := late.Load(); n < 2 && late.CompareAndSwap(n, n+1) {
			k.SleepControl(func() { time.Sleep(3 * time.Second) }) // the client waits 2 s
		}
		return nil, nil, false
	})
	w := disturbed(t, k, 3000, cfg, func(int) {})
	if late.Load() < 2 || w.Stats().Restarts == 0 {
		t.Fatalf("%d ends were late, %d restarts: the test tests nothing", late.Load(), w.Stats().Restarts)
	}
}

func TestFault10_EndTxnConnectionLost(t *testing.T) {
	t.Parallel()
	k := cluster(t, 4)
	var n atomic.Int32
	// Every third request to end a transaction gets no answer: the connection
	// goes before the broker has acted.
	k.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		if n.Add(1)%3 == 0 {
			return nil, errors.New("connection lost"), true
		}
		return nil, nil, false
	})
	disturbed(t, k, 3000, config(k.Addrs, "a"), func(int) {})
	if n.Load() < 3 {
		t.Fatalf("%d requests, none lost: the test tests nothing", n.Load())
	}
}

// The state counts what the old topic held. Where the input begins again,
// going on would add to it what it knows of nothing: the operator has to say.
// The client by itself would ask for the old topic for ever, without a pause.
func TestInputThatIsMadeAnewUnderItsStateEndsTheStageWithAClearError(t *testing.T) {
	t.Parallel()
	k := cluster(t, 4)
	cl := k.Client(t)
	k.Produce(t, cl, inputs(0, 200, 20)...)
	w := run(t, config(k.Addrs, "a"))
	testkit.Wait(t, 20*time.Second, "the input is processed", func() bool { return committed(k) >= 200 })
	if _, err := kadm.NewClient(cl).DeleteTopics(t.Context(), topicIn); err != nil {
		t.Fatal(err)
	}
	k.Topics(t, 4, topicIn)
	k.Produce(t, k.Client(t), inputs(200, 300, 20)...)
	if err := w.ended(t, 60*time.Second); !errors.Is(err, exactly.ErrStateLost) {
		t.Errorf("ended with %v", err)
	}
}

func TestFault10_EndTxnUnknownServerError(t *testing.T) {
	t.Parallel()
	k := cluster(t, 4)
	disturbed(t, k, 3000, config(k.Addrs, "a"), func(int) {
		k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.UnknownServerError})
	})
}

func TestFault11_HangingTransactionIsSeenAndOutlived(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1)
	cl := k.Client(t)
	k.Produce(t, cl, inputs(0, 100, 10)...)
	cfg := config(k.Addrs, "a").WatchEvery(50 * time.Millisecond)
	w := run(t, cfg)
	w.caughtUp(t, 20*time.Second)
	// Another producer opens a transaction on the input and stalls.
	hung := k.Client(t, kgo.TransactionalID("hung"), kgo.TransactionTimeout(3*time.Second))
	if err := hung.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	k.Produce(t, hung, inputs(500, 1, 10)...)
	k.Produce(t, cl, inputs(100, 100, 10)...) // behind it: held back
	testkit.Wait(t, 2500*time.Millisecond, "the hanging transaction is seen", func() bool {
		st := w.Stats()
		return st.HangingFor > 500*time.Millisecond && st.HangingTopic == topicIn && st.HangingAtPoint == 100 && st.Lag > 0
	})
	if n := w.Stats().In; n != 100 {
		t.Fatalf("%d records processed, want 100: the rest is not stable", n)
	}
	testkit.Wait(t, 10*time.Second, "the input flows again", func() bool { st := w.Stats(); return st.In == 200 && st.HangingFor == 0 })
	w.stop(t)
	check(k).Must(t)
}

func TestFault34_LostStateIsRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		lose func(t *testing.T, k *testkit.Kafka)
		want string
	}{
		"the changelog's beginning was deleted": {func(t *testing.T, k *testkit.Kafka) {
			if err := k.DeleteRecords(topicState, 0, 10); err != nil {
				t.Fatal(err)
			}
		}, "lost its beginning"},
		"the changelog was made anew": {func(t *testing.T, k *testkit.Kafka) {
			if err := k.DeleteTopic(topicState); err != nil {
				t.Fatal(err)
			}
			k.Topics(t, 1, topicState)
		}, "is empty"},
		"the group's offsets are gone": {func(t *testing.T, k *testkit.Kafka) {
			if _, err := kadm.NewClient(k.Client(t)).DeleteGroups(t.Context(), groupName); err != nil {
				t.Fatal(err)
			}
		}, "no committed offset"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := cluster(t, 1)
			cl := k.Client(t)
			k.Produce(t, cl, inputs(0, 100, 20)...)
			w := run(t, config(k.Addrs, "a"))
			testkit.Wait(t, 20*time.Second, "the input is processed", func() bool { return committed(k) >= 100 })
			w.stop(t)
			tc.lose(t, k)
			w = run(t, config(k.Addrs, "a"))
			if err := w.ended(t, 20*time.Second); !errors.Is(err, exactly.ErrStateLost) || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("ended with %v, want lost state and %q", err, tc.want)
			}
		})
	}
}

func TestCompactionKeepsStateRestorable(t *testing.T) {
	t.Parallel()
	k := testkit.Cluster(t)
	k.Topics(t, 2, topicIn, topicOut)
	k.Topics(t, 1, topicDead)
	if err := k.CreateTopic(topicState, 2, map[string]string{"cleanup.policy": "compact", "min.compaction.lag.ms": "0", "delete.retention.ms": "0"}); err != nil {
		t.Fatal(err)
	}
	cl := k.Client(t)
	for i := range 5 {
		k.Produce(t, cl, inputs(i*200, 200, 20)...)
		w := run(t, config(k.Addrs, "a"))
		testkit.Wait(t, 20*time.Second, "the input is processed", func() bool { return committed(k) >= int64(i+1)*200 })
		w.stop(t)
		k.Compact()
	}
	check(k).Must(t)
}

func TestFault37_ForbiddenInputIsFatalAndNamed(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1)
	k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: topicIn, Err: kerr.TopicAuthorizationFailed, Count: -1})
	w := run(t, config(k.Addrs, "a"))
	if err := w.ended(t, 20*time.Second); !errors.Is(err, exactly.ErrMisconfigured) || !strings.Contains(err.Error(), "in-0") {
		t.Fatalf("ended with %v", err)
	}
}

func TestFault35_ChangelogWithTooFewPartitionsIsNamed(t *testing.T) {
	t.Parallel()
	k := testkit.Cluster(t)
	k.Topics(t, 4, topicIn, topicOut)
	k.Topics(t, 2, topicState)
	k.Topics(t, 1, topicDead)
	w := run(t, config(k.Addrs, "a"))
	if err := w.ended(t, 20*time.Second); !errors.Is(err, exactly.ErrMisconfigured) || !strings.Contains(err.Error(), topicState) {
		t.Fatalf("ended with %v", err)
	}
}

func TestFault35_MissingChangelogIsNamed(t *testing.T) {
	t.Parallel()
	k := testkit.Cluster(t)
	k.Topics(t, 1, topicIn, topicOut, topicDead)
	cfg := config(k.Addrs, "a")
	cfg.MaxRestarts = 1
	w := run(t, cfg)
	if err := w.ended(t, 30*time.Second); !errors.Is(err, exactly.ErrGaveUp) || !strings.Contains(err.Error(), topicState) {
		t.Fatalf("ended with %v", err)
	}
}
