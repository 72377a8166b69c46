package process

import (
	"errors"
	"testing"

	"ell/internal/event"
)

func someArrival() event.Arrival {
	return event.Arrival{
		StationID: howard, Timestamp: 1_776_000_000_000, TrainID: "RD101", Direction: "b", Line: "red",
		TrainStatus: event.InService, Pattern: "red-main",
	}
}

func TestRailKnowsWhatTheLinesKnowEachByItself(t *testing.T) {
	tasks := newLineTasks(t)
	dec, enc := newCodec(t)
	rail, out := NewRail(dec, enc, testNames, mustMap(t)), &recorder{}
	last := int64(0)
	for _, a := range cityArrivals(t, "heavy", 60, "") {
		mustProcess(t, rail, arrivalRecord(enc, testNames.ByLine(), &a), out) // the same name for both, since they tell it
		tasks.arrival(&a)
		if a.Timestamp >= last+20_000 {
			last = a.Timestamp
			mustProcess(t, rail, clockRecord(enc, testNames.Clock(), event.Clock{CityTime: last, Speed: 1, Incidents: "off"}), out)
			tasks.tick(last)
		}
	}
	out.end(t, rail, true)
	tasks.commit(nil)
	for p, l := range tasks.by {
		want, got := knowledge(l), knowledge(rail.owner[p])
		if len(want) == 0 {
			t.Errorf("partition %d knows nothing", p)
		}
		for k, v := range want {
			if got[k] != v {
				t.Errorf("%s: %s, want %s", k, got[k], v)
			}
		}
	}
	again := NewRail(dec, enc, testNames, mustMap(t))
	out.restore(t, again, true)
	for p, l := range rail.owner {
		want, got := knowledge(l), knowledge(again.owner[p])
		for k, v := range want {
			if got[k] != v {
				t.Errorf("%s restored as %s, want %s", k, got[k], v)
			}
		}
	}
}

func TestAnArrivalIsToldWithTheSensorsRecord(t *testing.T) {
	dec, enc := newCodec(t)
	red, out := NewRail(dec, enc, testNames, mustMap(t)), &recorder{}
	a := someArrival()
	r := arrivalRecord(enc, testNames.Arrivals(howard, "howard"), &a)
	r.Partition, r.Offset, r.Appended = 3, 77, 1_700_000_000_123
	mustProcess(t, red, r, out)
	out.end(t, red, true)
	var told event.Train
	for _, o := range out.log {
		if o.topic == testNames.Trains() {
			if err := dec.Train(&event.Record{Topic: o.topic, Key: o.key, Value: o.value}, &told); err != nil {
				t.Fatal(err)
			}
		}
	}
	if want := (event.Source{Topic: r.Topic, Partition: 3, Offset: 77, Appended: 1_700_000_000_123}); told.Source != want {
		t.Errorf("the train was made from %+v, want %+v", told.Source, want)
	}
}

func TestTheClockIsToldToEveryLineOncePerStep(t *testing.T) {
	dec, enc := newCodec(t)
	const t0 = 1_776_000_000_000
	clock := func(at int64) *event.Record {
		return clockRecord(enc, testNames.Clock(), event.Clock{CityTime: t0 + at, Speed: 1, Incidents: "off"})
	}
	red, out := NewRail(dec, enc, testNames, mustMap(t)), &recorder{}
	told := func() (at int64) {
		for p, l := range red.owner {
			for _, li := range l.mine {
				if st := l.state.Peek(int16(li)); at != 0 && st.clock != at {
					t.Errorf("partition %d was told %d, another %d", p, st.clock, at)
				} else {
					at = st.clock
				}
			}
		}
		return at
	}
	for _, step := range []struct {
		name string
		r    *event.Record
		want int64
	}{
		{"the first reading", clock(0), t0},
		{"one before ten seconds have passed", clock(9_999), t0},
		{"a tombstone", &event.Record{Topic: testNames.Clock(), Key: enc.AppendClockKey(nil)}, t0},
		{"one after ten seconds", clock(10_000), t0 + 10_000},
		{"one that goes back", clock(5_000), t0 + 10_000},
	} {
		mustProcess(t, red, step.r, out)
		out.end(t, red, false) // an abort must not swallow it
		mustProcess(t, red, step.r, out)
		out.end(t, red, true)
		if at := told(); at != step.want {
			t.Errorf("%s: the lines have %d, want %d", step.name, at, step.want)
		}
	}
}

func TestRailRefusesWhatNoLineCanUse(t *testing.T) {
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
			red := NewRail(dec, enc, testNames, mustMap(t))
			out := &recorder{}
			if err := red.Process(r, out); !errors.Is(err, event.ErrPoison) {
				t.Errorf("error %v, want poison", err)
			}
			if out.end(t, red, true); len(out.log) > 0 {
				t.Error("it emitted something all the same")
			}
		})
	}
}
