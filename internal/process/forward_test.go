package process

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ell/internal/event"
)

func someArrival() event.Arrival {
	return event.Arrival{
		StationID: howard, Timestamp: 1_776_000_000_000, TrainID: "RD101", Direction: "b", Line: "red",
		TrainStatus: event.InService, Pattern: "red-main",
	}
}

func TestForwardSendsAnArrivalToItsLine(t *testing.T) {
	dec, enc := newCodec(t)
	red := NewForward(dec, testNames, mustMap(t))
	out := &recorder{}
	a := someArrival()
	r := arrivalRecord(enc, testNames.Arrivals(howard, "howard"), &a)
	r.Partition, r.Offset, r.Appended = 3, 77, 1_700_000_000_123
	r.Headers = append(r.Headers, event.Header{Key: "noise", Value: []byte("x")}, event.Header{Key: headerSource, Value: []byte("forged")})
	mustProcess(t, red, r, out)
	out.end(t, red, true)
	if len(out.log) != 1 {
		t.Fatalf("%d outputs, want 1", len(out.log))
	}
	o := out.log[0]
	want := output{
		topic: testNames.ByLine(), partition: event.LinePartition("red"), key: r.Key, value: r.Value,
		headers: []event.Header{
			{Key: "source", Value: []byte(r.Topic + " 3 77 1700000000123")},
			{Key: "pattern", Value: []byte("red-main")},
		},
	}
	if o.String() != want.String() {
		t.Errorf("got %s\nwant %s", o, want)
	}
	var s sources
	src := s.of(&event.Record{Topic: o.topic, Headers: o.headers})
	if d := cmp.Diff(event.Source{Topic: r.Topic, Partition: 3, Offset: 77, Appended: 1_700_000_000_123}, src); d != "" {
		t.Error(d)
	}
}

func TestAnUnreadableSourceHeaderMeansTheRecordItself(t *testing.T) {
	for _, v := range []string{"", "x", "x 1", "x 1 2", "x 1 2 3 4", "x -1 2 3", "x 1 2 three", " 1 2 3", "x 99999999999 2 3", "x 1 2 99999999999999999999"} {
		var s sources
		r := event.Record{Topic: "t", Partition: 4, Offset: 5, Appended: 6, Headers: []event.Header{{Key: headerSource, Value: []byte(v)}}}
		if d := cmp.Diff(event.Source{Topic: "t", Partition: 4, Offset: 5, Appended: 6}, s.of(&r)); d != "" {
			t.Errorf("header %q: %s", v, d)
		}
	}
}

func TestForwardTellsEveryLineTheTime(t *testing.T) {
	dec, enc := newCodec(t)
	m := mustMap(t)
	const t0 = 1_776_000_000_000
	clock := func(at int64, speed float64, paused bool) *event.Record {
		return clockRecord(enc, testNames.Clock(), event.Clock{CityTime: t0 + at, Speed: speed, Paused: paused, Incidents: "off"})
	}
	cases := []struct {
		name   string
		clocks []*event.Record
		sent   int // times
	}{
		{"the first record goes at once", []*event.Record{clock(0, 1, false)}, 1},
		{"nothing goes before ten seconds have passed", []*event.Record{clock(0, 1, false), clock(9999, 1, false)}, 1},
		{"one record goes every ten seconds", []*event.Record{clock(0, 1, false), clock(10_000, 1, false), clock(19_000, 1, false), clock(20_000, 1, false)}, 3},
		{"a change of speed goes at once", []*event.Record{clock(0, 1, false), clock(10, 60, false)}, 2},
		{"a pause goes at once", []*event.Record{clock(0, 1, false), clock(10, 1, true)}, 2},
		{"a clock that goes back is not news", []*event.Record{clock(50_000, 1, false), clock(0, 1, false)}, 1},
		{"a tombstone is not a time", []*event.Record{{Topic: testNames.Clock(), Key: enc.AppendClockKey(nil)}, clock(0, 1, false)}, 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			red := NewForward(dec, testNames, m)
			out := &recorder{}
			for _, r := range c.clocks {
				mustProcess(t, red, r, out)
				out.end(t, red, false) // an abort must not swallow it
				mustProcess(t, red, r, out)
				out.end(t, red, true)
			}
			per := make(map[int32]int)
			for _, o := range out.log {
				if o.topic != testNames.ByLine() || !isTick(o.headers) {
					t.Errorf("unexpected %s", o)
				}
				per[o.partition]++
			}
			for _, l := range m.lines {
				if n := per[event.LinePartition(l.id)]; n != c.sent {
					t.Errorf("line %s was told the time %d times, want %d", l.id, n, c.sent)
				}
			}
		})
	}
}

func TestForwardRefusesWhatNoLineCanUse(t *testing.T) {
	dec, enc := newCodec(t)
	topic := testNames.Arrivals(howard, "howard")
	edit := func(f func(*event.Arrival)) *event.Record {
		a := someArrival()
		f(&a)
		return arrivalRecord(enc, topic, &a)
	}
	good := edit(func(*event.Arrival) {})
	cases := map[string]*event.Record{
		"a line that does not exist": edit(func(a *event.Arrival) { a.Line = "<script>" }),
		"a time before 1970":         edit(func(a *event.Arrival) { a.Timestamp = 0 }),
		"trailing bytes":             {Topic: topic, Key: good.Key, Value: append(append([]byte{}, good.Value...), 0)},
		"no value":                   {Topic: topic, Key: good.Key},
		"a clock of nonsense":        {Topic: testNames.Clock(), Key: enc.AppendClockKey(nil), Value: []byte{0, 0, 0, 0, 1, 2}},
	}
	for name, r := range cases {
		t.Run(name, func(t *testing.T) {
			red := NewForward(dec, testNames, mustMap(t))
			out := &recorder{}
			if err := red.Process(r, out); !errors.Is(err, event.ErrPoison) {
				t.Errorf("error %v, want poison", err)
			}
			if len(out.kept) > 0 {
				t.Error("it emitted something all the same")
			}
		})
	}
}
