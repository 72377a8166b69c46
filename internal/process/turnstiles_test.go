package process

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ell/internal/event"
)

const howard = int32(40900)

var (
	howardTopic = testNames.Turnstiles(howard, "howard")
	sharedNames = event.Names{Prefix: event.DefaultPrefix, Layout: event.Shared}
)

// windowsOf decodes the windows topic: "station start" -> count.
func windowsOf(tb testing.TB, r *recorder) map[string]int64 {
	tb.Helper()
	dec, _ := newCodec(tb)
	out := make(map[string]int64)
	for k, v := range r.table(testNames.Windows()) {
		var w event.Window
		if err := dec.Window(&event.Record{Topic: testNames.Windows(), Key: []byte(k), Value: []byte(v)}, &w); err != nil {
			tb.Fatal(err)
		}
		if w.End != w.Start+windowMS {
			tb.Errorf("window from %d to %d", w.Start, w.End)
		}
		out[fmt.Sprintf("%d %d", w.StationID, w.Start/60_000)] = w.Count
	}
	return out
}

func TestTurnstiles(t *testing.T) {
	const base = 1_700_000_100_000 // a multiple of five minutes
	at := func(min float64) int64 { return base + int64(min*60_000) }
	key := func(min int) string { return fmt.Sprintf("%d %d", howard, (base+int64(min)*60_000)/60_000) }
	cases := []struct {
		name    string
		entries []float64 // minutes after base
		total   int64
		windows map[string]int64
		late    int64
	}{
		{"entries count into the window they fall in", []float64{0, 1, 4.999, 5, 7}, 5, map[string]int64{key(0): 3, key(5): 2}, 0},
		{"an entry out of order counts into its own window", []float64{6, 1}, 2, map[string]int64{key(5): 1, key(0): 1}, 0},
		{"an entry within the grace of its window counts into it", []float64{0, 14.9, 1}, 3, map[string]int64{key(0): 2, key(10): 1}, 0},
		{"an entry after the grace is in the total only", []float64{0, 15, 1}, 3, map[string]int64{key(0): 1, key(15): 1}, 1},
		{"a window that a jump in time closes is told all the same", []float64{0, 0, 600, 1300}, 4, map[string]int64{key(0): 2, key(600): 1, key(1300): 1}, 0},
		{"windows older than a day are deleted", []float64{0, 1500}, 2, map[string]int64{key(1500): 1}, 0},
		{"a jump of many days deletes no more than was there", []float64{0, 100, 100_000}, 3, map[string]int64{key(100_000): 1}, 0},
		{"two entries of the same millisecond are two", []float64{3, 3}, 2, map[string]int64{key(0): 2}, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for _, every := range []int{1, 2, 1000} { // records a transaction
				dec, enc := newCodec(t)
				red := NewTurnstiles(dec, enc, testNames, howardTopic)
				out := &recorder{}
				for i, m := range c.entries {
					if err := red.Process(turnstileRecord(enc, howardTopic, howard, at(m)), out); err != nil {
						t.Fatal(err)
					}
					if (i+1)%every == 0 {
						out.end(t, red, true)
					}
				}
				out.end(t, red, true)
				want := map[string]string{"40900": fmt.Sprintf(`{"STATION_ID":40900,"COUNT":%d}`, c.total)}
				if d := cmp.Diff(want, out.table("TURNSTILE_SUMMARY")); d != "" {
					t.Errorf("%d a transaction: totals: %s", every, d)
				}
				if d := cmp.Diff(c.windows, windowsOf(t, out)); d != "" {
					t.Errorf("%d a transaction: windows: %s", every, d)
				}
				if red.Late() != c.late {
					t.Errorf("%d late, want %d", red.Late(), c.late)
				}
			}
		})
	}
}

func TestEachTotalIsToldOnceATransaction(t *testing.T) {
	dec, enc := newCodec(t)
	topic := sharedNames.Turnstiles(0, "")
	red := NewTurnstiles(dec, enc, sharedNames, topic)
	out := &recorder{}
	for i := range int64(300) {
		if err := red.Process(turnstileRecord(enc, topic, 40000+int32(i%3), 1_700_000_000_000+i), out); err != nil {
			t.Fatal(err)
		}
	}
	out.end(t, red, true)
	out.end(t, red, true) // nothing changed since
	n := make(map[string]int)
	for _, o := range out.log {
		n[o.topic]++
	}
	if n["TURNSTILE_SUMMARY"] != 3 || n[sharedNames.Windows()] != 3 || n[""] != 3 {
		t.Errorf("records by topic: %v, want 3 of each kind", n)
	}
}

func TestTurnstilesRefuseWhatMakesNoSense(t *testing.T) {
	dec, enc := newCodec(t)
	good := turnstileRecord(enc, howardTopic, howard, 1_700_000_000_000)
	cases := map[string]*event.Record{
		"another station's entry on the topic": turnstileRecord(enc, howardTopic, 40010, 1_700_000_000_000),
		"a station of no number":               turnstileRecord(enc, howardTopic, -5, 1_700_000_000_000),
		"a time before 1970":                   turnstileRecord(enc, howardTopic, howard, -1),
		"a time after 2200":                    turnstileRecord(enc, howardTopic, howard, 1<<60),
		"a truncated value":                    {Topic: howardTopic, Key: good.Key, Value: good.Value[:len(good.Value)-1]},
		"bytes that are not framed":            {Topic: howardTopic, Key: good.Key, Value: []byte("hello")},
		"a tombstone":                          {Topic: howardTopic, Key: good.Key},
	}
	for name, r := range cases {
		t.Run(name, func(t *testing.T) {
			red := NewTurnstiles(dec, enc, testNames, howardTopic)
			out := &recorder{}
			if err := red.Process(r, out); !errors.Is(err, event.ErrPoison) {
				t.Errorf("error %v, want poison", err)
			}
			out.end(t, red, true)
			if len(out.log) > 0 {
				t.Errorf("it left %d outputs behind", len(out.log))
			}
		})
	}
}

func TestTurnstilesOwner(t *testing.T) {
	cases := []struct {
		key       string
		topic     string
		partition int32
	}{
		{"40900.howard", testNames.Turnstiles(40900, "howard"), 0},
		{"40900", sharedNames.Turnstiles(0, ""), event.StationPartition(40900)},
		{"-1.x", "", 0}, {"", "", 0}, {"x", "", 0},
	}
	for _, c := range cases {
		topic, partition := TurnstilesOwner(testNames)([]byte(c.key))
		if topic != c.topic || partition != c.partition {
			t.Errorf("key %q belongs to %s-%d, want %s-%d", c.key, topic, partition, c.topic, c.partition)
		}
	}
	// The key a reducer writes belongs to its own task.
	dec, enc := newCodec(t)
	red := NewTurnstiles(dec, enc, testNames, howardTopic)
	out := &recorder{}
	if err := red.Process(turnstileRecord(enc, howardTopic, howard, 1_700_000_000_000), out); err != nil {
		t.Fatal(err)
	}
	out.end(t, red, true)
	for key := range out.state() {
		if topic, p := TurnstilesOwner(testNames)([]byte(key)); topic != howardTopic || p != 0 {
			t.Errorf("key %q belongs to %s-%d", key, topic, p)
		}
	}
}

// TestOrderWithinGraceDoesNotMatterToCounts shuffles entries by less than the grace (F32).
func TestOrderWithinGraceDoesNotMatterToCounts(t *testing.T) {
	dec, enc := newCodec(t)
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 2))
		at := make([]int64, 400)
		for i := range at {
			at[i] = 1_700_000_000_000 + int64(i)*10_000 + r.Int64N(10_000)
		}
		run := func(order []int64) *recorder {
			red := NewTurnstiles(dec, enc, testNames, howardTopic)
			out := &recorder{}
			for _, ms := range order {
				if err := red.Process(turnstileRecord(enc, howardTopic, howard, ms), out); err != nil {
					t.Fatal(err)
				}
				if r.IntN(20) == 0 {
					out.end(t, red, true)
				}
			}
			out.end(t, red, true)
			return out
		}
		want, got := run(at), run(shuffled(r, at, windowGrace-1, func(ms int64) int64 { return ms }))
		if d := cmp.Diff(windowsOf(t, want), windowsOf(t, got)); d != "" {
			t.Fatalf("seed %d: %s", seed, d)
		}
		if d := cmp.Diff(want.table("TURNSTILE_SUMMARY"), got.table("TURNSTILE_SUMMARY")); d != "" {
			t.Fatalf("seed %d: %s", seed, d)
		}
	}
}
