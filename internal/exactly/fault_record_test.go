package exactly_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ell/internal/event"
	"ell/internal/exactly"
	"ell/internal/testkit"
)

// withFault returns the configuration with reducers that ask fault first.
func withFault(cfg exactly.Config, fault func(r *exactly.Record) error) exactly.Config {
	cfg.Stage.New = func(t exactly.Task) exactly.Reducer {
		r := newSums(t).(*sums)
		r.fault = fault
		return r
	}
	return cfg
}

// poisoned is a record that the stage cannot understand.
func poisoned(key, value string) *kgo.Record {
	return &kgo.Record{
		Topic: topicIn, Key: []byte(key), Value: []byte(value),
		Headers: []kgo.RecordHeader{{Key: "own", Value: []byte("kept")}},
	}
}

func TestFault18_PoisonGoesToTheDeadLetterTopicOnce(t *testing.T) {
	t.Parallel()
	k := cluster(t, 4)
	cl := k.Client(t)
	bad := []string{"", "\x00\x00\x00", "no colon", "1:", "\x01\x00\x00\x00\x07rest", "x:9999999999999999999999", strings.Repeat("z", 100_000)}
	for i := range 10 {
		k.Produce(t, cl, inputs(i*100, 100, 20)...)
		for j, b := range bad {
			k.Produce(t, cl, poisoned(fmt.Sprintf("bad-%d-%d", i, j), b))
		}
		failCommit(k) // letters of an aborted transaction must not stay
		w := run(t, config(k.Addrs, "a"))
		w.caughtUp(t, 20*time.Second)
		testkit.Wait(t, 20*time.Second, "the input is processed", func() bool { return committed(k) >= inputEnd(k) })
		w.stop(t) // so that it has counted what is committed
		if n := w.Stats().DeadLetters; n != int64(len(bad)) {
			t.Fatalf("round %d: %d dead letters, want %d: a restart must not repeat them", i, n, len(bad))
		}
	}
	check(k).Must(t)
	letters, err := testkit.ReadCommitted(t.Context(), k.Options(), topicDead)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range letters {
		h := map[string]string{}
		for _, x := range r.Headers {
			h[x.Key] = string(x.Value)
		}
		if h["own"] != "kept" || h[exactly.HeaderTopic] != topicIn || h[exactly.HeaderPartition] == "" || h[exactly.HeaderOffset] == "" ||
			h[exactly.HeaderClass] != "poison" || !strings.Contains(h[exactly.HeaderError], "poison record") || h[exactly.HeaderStage] != groupName {
			t.Fatalf("headers of a dead letter: %v", h)
		}
	}
}

func TestPoisonDiscardsWhatTheCallEmitted(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1)
	cl := k.Client(t)
	k.Produce(t, cl, inputs(0, 10, 2)...)
	cfg := config(k.Addrs, "a")
	cfg.Stage.New = func(exactly.Task) exactly.Reducer { return hasty{newSums(exactly.Task{})} }
	w := run(t, cfg)
	testkit.Wait(t, 20*time.Second, "the input is processed", func() bool { return committed(k) >= 10 })
	w.stop(t)
	out, err := testkit.ReadCommitted(t.Context(), k.Options(), topicOut)
	if err != nil || len(out) != 0 {
		t.Fatalf("%d records came out, err %v", len(out), err)
	}
	if n := w.Stats().DeadLetters; n != 10 {
		t.Fatalf("%d dead letters, want 10", n)
	}
}

// hasty emits before it notices that the record is poison.
type hasty struct{ exactly.Reducer }

func (hasty) Process(r *exactly.Record, out exactly.Output) error {
	out.Emit(topicOut, -1, r.Key, r.Value)
	return fmt.Errorf("%w: seen too late", event.ErrPoison)
}

func TestFault19_DeadLetterTopicNotWritable(t *testing.T) {
	t.Parallel()
	k := cluster(t, 4)
	cl := k.Client(t)
	refuse := k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topicDead, Err: kerr.PolicyViolation, Count: -1})
	k.Produce(t, cl, inputs(0, 100, 20)...)
	k.Produce(t, cl, poisoned("bad", "no colon"))
	k.Produce(t, cl, inputs(100, 100, 20)...)
	w := run(t, config(k.Addrs, "a"))
	if err := refuse.Wait(t.Context(), 3); err != nil { // it tries again and again
		t.Fatal(err)
	}
	// The partition of the bad record has not moved past it.
	if n := committed(k); n >= 201 {
		t.Fatalf("%d offsets are committed: the bad record was skipped", n)
	}
	refuse.Remove()
	testkit.Wait(t, 20*time.Second, "the input is processed", func() bool { return committed(k) >= 201 })
	w.stop(t)
	check(k).Must(t)
}

func TestFault19_DeadLetterTopicForbiddenIsFatal(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1)
	cl := k.Client(t)
	k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topicDead, Err: kerr.TopicAuthorizationFailed, Count: -1})
	k.Produce(t, cl, poisoned("bad", "no colon"))
	w := run(t, config(k.Addrs, "a"))
	err := w.ended(t, 20*time.Second)
	if !errors.Is(err, exactly.ErrMisconfigured) || !strings.Contains(err.Error(), topicDead) {
		t.Fatalf("ended with %v, want an error that names %s", err, topicDead)
	}
	if n := committed(k); n != 0 {
		t.Fatalf("offset %d is committed although the record went nowhere", n)
	}
}

func TestFault21_UnknownSchemaThatAppearsIsProcessed(t *testing.T) {
	t.Parallel()
	k := cluster(t, 4)
	cl := k.Client(t)
	k.Produce(t, cl, inputs(0, 200, 20)...)
	known := time.Now().Add(700 * time.Millisecond)
	cfg := config(k.Addrs, "a")
	cfg.SchemaWait = 10 * time.Second
	w := run(t, withFault(cfg, func(r *exactly.Record) error {
		if strings.HasPrefix(string(r.Value), "150:") && time.Now().Before(known) {
			return fmt.Errorf("%w: 7", event.ErrUnknownSchema)
		}
		return nil
	}))
	testkit.Wait(t, 20*time.Second, "the input is processed", func() bool { return committed(k) >= 200 })
	if n := w.Stats().DeadLetters; n != 0 {
		t.Fatalf("%d dead letters", n)
	}
	w.stop(t)
	check(k).Must(t)
}

func TestFault21_UnknownSchemaIsPoisonAfterAWhile(t *testing.T) {
	t.Parallel()
	k := cluster(t, 4)
	cl := k.Client(t)
	// Many records with one unknown schema, and others with another: all wait
	// once, together.
	framed := func(id byte, n int) *kgo.Record {
		return poisoned(fmt.Sprintf("framed-%d-%d", id, n), "\x00\x00\x00\x00"+string(id)+"payload")
	}
	for i := range 50 {
		k.Produce(t, cl, framed(1, i), framed(2, i))
		k.Produce(t, cl, inputs(i*10, 10, 20)...)
	}
	cfg := config(k.Addrs, "a")
	cfg.SchemaWait = 500 * time.Millisecond
	begin := time.Now()
	w := run(t, withFault(cfg, func(r *exactly.Record) error {
		if len(r.Value) > 0 && r.Value[0] == 0 {
			return fmt.Errorf("%w: %d", event.ErrUnknownSchema, r.Value[4])
		}
		return nil
	}))
	testkit.Wait(t, 30*time.Second, "the input is processed", func() bool { return committed(k) >= 600 })
	took := time.Since(begin)
	w.stop(t) // so that it has counted what is committed
	if n := w.Stats().DeadLetters; n != 100 {
		t.Fatalf("%d dead letters, want 100", n)
	}
	if took < 500*time.Millisecond || took > 8*time.Second {
		t.Errorf("took %s with a wait of 500 ms", took)
	}
	check(k).Must(t)
}

func TestTransientErrorBringsTheRecordAgain(t *testing.T) {
	t.Parallel()
	k := cluster(t, 4)
	cl := k.Client(t)
	k.Produce(t, cl, inputs(0, 200, 20)...)
	var left atomic.Int32
	left.Store(5)
	w := run(t, withFault(config(k.Addrs, "a"), func(r *exactly.Record) error {
		if strings.HasPrefix(string(r.Value), "150:") && left.Add(-1) >= 0 {
			return fmt.Errorf("ask the registry: %w", exactly.ErrTransient)
		}
		return nil
	}))
	testkit.Wait(t, 20*time.Second, "the input is processed", func() bool { return committed(k) >= 200 })
	w.stop(t)
	if n := w.Stats().Aborted; n < 5 {
		t.Errorf("%d transactions aborted, want 5", n)
	}
	check(k).Must(t)
}

func TestFault40_PanicInAReducerEndsTheStageAndCommitsNothing(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1)
	cl := k.Client(t)
	k.Produce(t, cl, inputs(0, 100, 20)...)
	w := run(t, withFault(config(k.Addrs, "a"), func(r *exactly.Record) error {
		if strings.HasPrefix(string(r.Value), "50:") {
			panic("a bug")
		}
		return nil
	}))
	err := w.ended(t, 20*time.Second)
	if err == nil || !strings.Contains(err.Error(), "a bug") {
		t.Fatalf("ended with %v", err)
	}
	if n := committed(k); n != 0 {
		t.Fatalf("offset %d is committed", n)
	}
	// Mended, it starts where it was.
	w = run(t, config(k.Addrs, "a"))
	testkit.Wait(t, 20*time.Second, "the input is processed", func() bool { return committed(k) >= 100 })
	w.stop(t)
	check(k).Must(t)
}

func TestFatalErrorOfAReducerEndsTheStage(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1)
	cl := k.Client(t)
	k.Produce(t, cl, inputs(0, 100, 20)...)
	broken := errors.New("invariant broken")
	w := run(t, withFault(config(k.Addrs, "a"), func(*exactly.Record) error { return broken }))
	if err := w.ended(t, 20*time.Second); !errors.Is(err, broken) || !strings.Contains(err.Error(), "in-0@0") {
		t.Fatalf("ended with %v, want the error and the place of the record", err)
	}
}

func TestFault36_OutputTooLargeIsNotTriedForEver(t *testing.T) {
	t.Parallel()
	k := testkit.Cluster(t)
	k.Topics(t, 1, topicIn, topicState, topicDead)
	if err := k.CreateTopic(topicOut, 1, map[string]string{"max.message.bytes": "10000"}); err != nil {
		t.Fatal(err)
	}
	cl := k.Client(t)
	k.Produce(t, cl, &kgo.Record{Topic: topicIn, Key: []byte("k"), Value: []byte(strings.Repeat("x", 20_000) + ":1")})
	w := run(t, config(k.Addrs, "a"))
	if err := w.ended(t, 20*time.Second); !errors.Is(err, exactly.ErrMisconfigured) || !strings.Contains(err.Error(), topicOut) {
		t.Fatalf("ended with %v, want an error that names %s", err, topicOut)
	}
}

func TestReducerThatStandsStillOnceGoesOn(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1)
	cl := k.Client(t)
	k.Produce(t, cl, inputs(0, 100, 10)...)
	var once atomic.Bool
	w := run(t, withFault(config(k.Addrs, "a"), func(r *exactly.Record) error {
		if strings.HasPrefix(string(r.Value), "90:") && once.CompareAndSwap(false, true) {
			time.Sleep(2500 * time.Millisecond) // its transaction may last 2 s
		}
		return nil
	}))
	testkit.Wait(t, 20*time.Second, "the input is processed", func() bool { return committed(k) >= 100 })
	w.stop(t)
	check(k).Must(t)
}

func TestFencedProducerGoesOnOnlyIfItHasNoTwin(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		set  func(*exactly.Config)
		ends bool
	}{
		"goes on when it is the only one by configuration": {func(c *exactly.Config) { c.Sole = true }, false},
		"goes on when nobody has its place in the group":   {func(c *exactly.Config) { c.InstanceID = "one" }, false},
		"ends when nobody can tell":                        {func(*exactly.Config) {}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := cluster(t, 1)
			cl := k.Client(t)
			k.Produce(t, cl, inputs(0, 100, 10)...)
			k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.ProducerFenced})
			cfg := config(k.Addrs, "a")
			tc.set(&cfg)
			w := run(t, cfg)
			if tc.ends {
				if err := w.ended(t, 20*time.Second); !errors.Is(err, exactly.ErrFenced) {
					t.Fatalf("ended with %v", err)
				}
				w = run(t, cfg) // its supervisor would
			}
			testkit.Wait(t, 20*time.Second, "the input is processed", func() bool { return committed(k) >= 100 })
			w.stop(t)
			check(k).Must(t)
		})
	}
}

func TestFault41_SlowReducerTakesFewerRecordsAtOnce(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1)
	cl := k.Client(t)
	k.Produce(t, cl, inputs(0, 3000, 10)...)
	var slow atomic.Bool
	w := run(t, withFault(config(k.Addrs, "a"), func(r *exactly.Record) error {
		if strings.HasPrefix(string(r.Value), "1000:") {
			slow.Store(true)
		}
		if slow.Load() {
			time.Sleep(2 * time.Millisecond) // 2000 of these are more than a transaction may last
		}
		return nil
	}))
	testkit.Wait(t, 30*time.Second, "the input is processed", func() bool { return committed(k) >= 3000 })
	if n := w.Stats().Restarts; n > 0 {
		t.Errorf("%d restarts", n)
	}
	w.stop(t)
	check(k).Must(t)
}
