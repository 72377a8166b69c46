package exactly_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"ell/internal/event"
	"ell/internal/exactly"
	"ell/internal/testkit"
)

func TestInputThatRetentionTakesFromARunningStageIsCountedUnlessItWasReplaced(t *testing.T) {
	t.Run("a log", func(t *testing.T) {
		if st := retained(t, nil); st.In+st.Missed != retainedRecords || st.Missed == 0 {
			t.Errorf("%d processed and %d missed, want %d together and some missed", st.In, st.Missed, retainedRecords)
		}
	})
	t.Run("a table", func(t *testing.T) {
		if st := retained(t, []string{topicIn}); st.In == retainedRecords || st.Missed != 0 {
			t.Errorf("%d processed and %d missed, want fewer than %d and none", st.In, st.Missed, retainedRecords)
		}
	})
}

const retainedRecords = 20_000

// retained lets a stage stand still while most of its input is deleted.
func retained(t *testing.T, compacted []string) exactly.Stats {
	t.Helper()
	const n = retainedRecords
	k := cluster(t, 1)
	cl := k.Client(t)
	k.Produce(t, cl, inputs(0, 100, 5)...)
	open := make(chan struct{})
	cfg := config(k.Addrs, "a")
	cfg.SessionTimeout, cfg.TransactionTimeout = 20*time.Second, 10*time.Second
	cfg.MaxPoll, cfg.Stage.Compacted = 50, compacted
	var standing atomic.Bool
	w := run(t, withFault(cfg, func(*exactly.Record) error {
		standing.Store(true)
		<-open
		return nil
	}))
	testkit.Wait(t, 10*time.Second, "the stage stands still", standing.Load)
	for i := 100; i < n; i += 1990 {
		k.Produce(t, cl, inputs(i, 1990, 5)...)
	}
	gone := kadm.Offsets{}
	gone.AddOffset(topicIn, 0, n*3/4, -1)
	if _, err := kadm.NewClient(cl).DeleteRecords(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	close(open)
	testkit.Wait(t, 20*time.Second, "the stage goes on", func() bool { return committed(k) >= n })
	w.stop(t)
	return w.Stats()
}

func TestAStageThatIsStuckIsBehindByAllTheTimeSince(t *testing.T) {
	k := cluster(t, 1)
	cl := k.Client(t)
	k.Produce(t, cl, inputs(0, 10, 2)...)
	cfg := config(k.Addrs, "a")
	cfg.SchemaWait = time.Minute
	w := run(t, withFault(cfg, func(r *exactly.Record) error {
		if strings.HasPrefix(string(r.Value), "10:") {
			return fmt.Errorf("%w: 7", event.ErrUnknownSchema)
		}
		return nil
	}))
	w.caughtUp(t, 10*time.Second)
	begin := time.Now()
	looks, short := 0, 0
	for i := 10; time.Since(begin) < 4*time.Second; i++ {
		k.Produce(t, cl, inputs(i, 1, 2)...)
		time.Sleep(20 * time.Millisecond) // input comes all the while
		if stuck := time.Since(begin); stuck > 2*time.Second {
			if looks++; w.Stats().Behind < stuck*3/4 {
				short++ // while it tries again, all is read and nothing committed
			}
		}
	}
	if looks == 0 || short > looks/4 {
		t.Errorf("stuck for up to 4 s, yet less behind in %d of %d looks", short, looks)
	}
	w.stop(t)
}

func TestMoreUnknownSchemasThanAreRememberedStillEndAsDeadLetters(t *testing.T) {
	const n = 1200
	k := cluster(t, 1)
	cl := k.Client(t)
	for i := range n {
		b := binary.BigEndian.AppendUint32([]byte{0}, uint32(1000+i))
		k.Produce(t, cl, poisoned(fmt.Sprintf("framed-%d", i), string(b)+"x"))
	}
	cfg := config(k.Addrs, "a")
	cfg.SchemaWait = 500 * time.Millisecond
	w := run(t, withFault(cfg, func(r *exactly.Record) error {
		if len(r.Value) > 0 && r.Value[0] == 0 {
			return fmt.Errorf("%w: %d", event.ErrUnknownSchema, r.Value[4])
		}
		return nil
	}))
	testkit.Wait(t, 40*time.Second, "the input is processed", func() bool { return committed(k) >= n })
	w.stop(t)
}
