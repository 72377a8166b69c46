package process

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ell/internal/cta"
	"ell/internal/event"
)

// seenAt is an arrival of a red train at the i-th call of its pattern, at
// seconds after t0.
const t0 = int64(1_776_268_800_000) // 2026-04-15 11:00 in Chicago

func seenAt(id string, call int, seconds float64) *event.Arrival {
	p := cta.Chicago().Pattern("red-main")
	c := p.Calls[call%len(p.Calls)]
	return &event.Arrival{
		StationID: c.Station, Timestamp: t0 + int64(seconds*1000), TrainID: id, Direction: c.Direction.String(),
		Line: "red", TrainStatus: event.InService, Pattern: p.ID,
	}
}

func with(a *event.Arrival, f func(*event.Arrival)) *event.Arrival {
	f(a)
	return a
}

func status(word string) func(*event.Arrival) { return func(a *event.Arrival) { a.TrainStatus = word } }

func noSign(a *event.Arrival) { a.Pattern = "" }

func TestWhereATrainIs(t *testing.T) {
	type place struct {
		Call, Next int32
		Status     string
		At         float64 // seconds after t0
		Late       int64
	}
	in := event.InService
	cases := []struct {
		name string
		in   []*event.Arrival
		want place
	}{
		{"a first sighting places a train", []*event.Arrival{seenAt("RD1", 5, 0)}, place{5, 6, in, 0, 0}},
		{"the next sighting moves it", []*event.Arrival{seenAt("RD1", 5, 0), seenAt("RD1", 6, 90)}, place{6, 7, in, 90, 0}},
		{"an older sighting is late and does not move it back", []*event.Arrival{seenAt("RD1", 6, 90), seenAt("RD1", 5, 0)}, place{6, 7, in, 90, 1}},
		{"a sighting in between is late as well", []*event.Arrival{seenAt("RD1", 5, 0), seenAt("RD1", 7, 200), seenAt("RD1", 6, 90)}, place{7, 8, in, 200, 1}},
		{"a repeated sighting changes nothing", []*event.Arrival{seenAt("RD1", 5, 0), seenAt("RD1", 5, 0)}, place{5, 6, in, 0, 0}},
		{"a second report from the same platform does not make it come again", []*event.Arrival{seenAt("RD1", 5, 0), seenAt("RD1", 5, 60)}, place{5, 6, in, 0, 0}},
		{"missed sensors are passed over", []*event.Arrival{seenAt("RD1", 5, 0), seenAt("RD1", 8, 400)}, place{8, 9, in, 400, 0}},
		{"without a sign it is placed by line and direction", []*event.Arrival{with(seenAt("RD1", 40, 0), noSign)}, place{40, 41, in, 0, 0}},
		{"an unknown sign is no sign", []*event.Arrival{with(seenAt("RD1", 5, 0), func(a *event.Arrival) { a.Pattern = "ghost" })}, place{5, 6, in, 0, 0}},
		{"at the end of the line the next call is the other platform", []*event.Arrival{seenAt("RD1", 32, 0)}, place{32, 33, in, 0, 0}},
		{"after the last call comes the first", []*event.Arrival{seenAt("RD1", 65, 0)}, place{65, 0, in, 0, 0}},
		{"a broken down train has no next call", []*event.Arrival{seenAt("RD1", 5, 0), with(seenAt("RD1", 5, 30), status(event.BrokenDown))}, place{5, -1, event.BrokenDown, 0, 0}},
		{"a mended train goes on", []*event.Arrival{with(seenAt("RD1", 5, 0), status(event.BrokenDown)), seenAt("RD1", 5, 600)}, place{5, 6, in, 0, 0}},
		{"a train out of service has no next call", []*event.Arrival{seenAt("RD1", 32, 0), with(seenAt("RD1", 32, 30), status(event.OutOfService))}, place{32, -1, event.OutOfService, 0, 0}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			tasks := newLineTasks(t)
			for _, a := range c.in {
				tasks.arrival(a)
				tasks.commit(nil)
			}
			tr, ok := tasks.told["RD1"]
			if !ok {
				t.Fatal("nothing was told of the train")
			}
			got := place{tr.Call, tr.NextCall, tr.Status, float64(tr.ArrivedAt-t0) / 1000, tr.Late}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			if tr.NextCall >= 0 && (tr.DepartAt < tr.ArrivedAt || tr.DueAt < tr.DepartAt) {
				t.Errorf("it came at %d, leaves at %d and is due at %d", tr.ArrivedAt, tr.DepartAt, tr.DueAt)
			}
			if tr.NextCall < 0 && tr.DueAt != 0 {
				t.Errorf("it goes nowhere but is due at %d", tr.DueAt)
			}
		})
	}
}

func TestACircuitTrainPassesEachLoopStationOnceARound(t *testing.T) {
	for _, id := range []string{"brown-loop", "orange-loop", "pink-loop", "purple-express"} {
		for _, sign := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s with sign %v", id, sign), func(t *testing.T) {
				p := cta.Chicago().Pattern(id)
				tasks := newLineTasks(t)
				at := t0
				for round := range 2 {
					for i, c := range p.Calls {
						a := &event.Arrival{StationID: c.Station, Timestamp: at, TrainID: "X1", Direction: c.Direction.String(), Line: p.Line, TrainStatus: event.InService}
						if sign {
							a.Pattern = id
						}
						tasks.arrival(a)
						tasks.commit(nil)
						tr := tasks.told["X1"]
						// Without a sign the Purple Line's shuttle is as good a guess where it runs too.
						if (tr.Pattern != id || tr.Call != int32(i)) && (sign || p.Line != "purple") {
							t.Fatalf("round %d, call %d: told %s, call %d", round, i, tr.Pattern, tr.Call)
						}
						at += int64(c.Run*1000) + 20_000
					}
					at += 300_000
				}
			})
		}
	}
}

func TestWithoutASignATrainIsFoundOnTheBranchItTakes(t *testing.T) {
	net := cta.Chicago()
	for _, id := range []string{"green-ashland", "green-cottage"} {
		p := net.Pattern(id)
		tasks := newLineTasks(t)
		for i, c := range p.Calls {
			tasks.arrival(&event.Arrival{StationID: c.Station, Timestamp: t0 + int64(i)*120_000, TrainID: "GR1", Direction: c.Direction.String(), Line: "green", TrainStatus: event.InService})
		}
		tasks.commit(nil)
		tr := tasks.told["GR1"]
		if tr.StationID != p.Calls[len(p.Calls)-1].Station {
			t.Errorf("%s: the train is at %d", id, tr.StationID)
		}
		l := tasks.by[event.LinePartition("green")]
		info := &l.m.lines[l.m.byLine["green"]]
		for _, c := range p.Calls {
			if _, ok := info.bySite[siteKey{c.Station, c.Direction}]; !ok {
				t.Errorf("%s: no site for %d", id, c.Station)
			}
		}
	}
}

func TestTimesAreLearnedFromArrivals(t *testing.T) {
	tasks := newLineTasks(t)
	p := cta.Chicago().Pattern("red-main")
	first := seenAt("RD0", 10, 0)
	tasks.arrival(first)
	tasks.commit(nil)
	timetable := p.Calls[10].Run + 20
	if got := float64(tasks.told["RD0"].DueAt-t0) / 1000; got < timetable-1 || got > timetable+1 {
		t.Errorf("nothing learned: due after %.1f s, the timetable gives %.1f", got, timetable)
	}
	// Ten trains that take 60 s longer than the timetable, and one that stood for 20 minutes.
	for i := range 10 {
		id := fmt.Sprintf("RD%d", i+1)
		tasks.arrival(seenAt(id, 10, 300*float64(i+1)))
		took := timetable + 60
		if i == 8 {
			took += 1200
		}
		tasks.arrival(seenAt(id, 11, 300*float64(i+1)+took))
	}
	tasks.tick(t0 + 3600_000*2)
	tasks.arrival(seenAt("RD99", 10, 7200))
	tasks.commit(nil)
	got := float64(tasks.told["RD99"].DueAt-t0)/1000 - 7200
	if got < timetable+45 || got > timetable+75 {
		t.Errorf("after ten trains: due after %.1f s, they took %.1f", got, timetable+60)
	}
}

func TestDelayIsAgainstTheTimetableSinceTheTripBegan(t *testing.T) {
	p := cta.Chicago().Pattern("red-main")
	tasks := newLineTasks(t)
	at := 0.0
	for i := 1; i <= 6; i++ {
		tasks.arrival(seenAt("RD1", i, at))
		tasks.commit(nil)
		want := int32(0)
		if i > 1 {
			want = int32(30 * (i - 1))
		}
		if got := tasks.told["RD1"].DelayS; got < want-2 || got > want+2 {
			t.Errorf("call %d: %d s late, want %d", i, got, want)
		}
		at += p.Calls[i].Run + 20 + 30
	}
}

func TestTrainsThatAreGoneAreForgotten(t *testing.T) {
	key := func(tasks *lineTasks, id string) bool {
		_, ok := tasks.by[0].train.Get(trainKey{0, id})
		return ok
	}
	cases := []struct {
		name  string
		in    []*event.Arrival
		after int64 // minutes
		there bool
	}{
		{"a train is there after half an hour of silence", []*event.Arrival{seenAt("RD1", 5, 0)}, 30, true},
		{"it is given up after more than an hour", []*event.Arrival{seenAt("RD1", 5, 0)}, 65, false},
		{"a train out of service is shown for a while", []*event.Arrival{seenAt("RD1", 32, 0), with(seenAt("RD1", 32, 1), status(event.OutOfService))}, 3, true},
		{"and is then gone", []*event.Arrival{seenAt("RD1", 32, 0), with(seenAt("RD1", 32, 1), status(event.OutOfService))}, 6, false},
		{"a train from far in the future is not believed", []*event.Arrival{seenAt("RD1", 5, 8*3600)}, 1, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			tasks := newLineTasks(t)
			for _, a := range c.in {
				tasks.arrival(a)
			}
			tasks.out[0].end(t, tasks.by[0], true)
			tasks.tick(t0 + c.after*60_000)
			tasks.out[0].end(t, tasks.by[0], true)
			if got := key(tasks, "RD1"); got != c.there {
				t.Errorf("the train is there: %v, want %v", got, c.there)
			}
			if _, told := tasks.out[0].table(testNames.Trains())[string(tasks.enc.AppendTrainKey(nil, "RD1"))]; told != c.there {
				t.Errorf("the train is on the topic: %v, want %v", told, c.there)
			}
			if _, kept := tasks.out[0].state()["train/red/RD1"]; kept != c.there {
				t.Errorf("the train is in the changelog: %v, want %v", kept, c.there)
			}
			// Its old arrivals do not bring it back.
			if !c.there && c.after > 60 {
				tasks.arrival(c.in[0])
				if key(tasks, "RD1") {
					t.Error("an old arrival brought it back")
				}
			}
		})
	}
}

func TestOneSensorWithAWrongClockDoesNotAgeTheLine(t *testing.T) {
	tasks := newLineTasks(t)
	tasks.tick(t0)
	tasks.arrival(seenAt("RD1", 5, 0))
	tasks.arrival(seenAt("RD2", 9, 30*24*3600))
	tasks.tick(t0 + 60_000)
	tasks.commit(nil)
	st := tasks.by[0].state.Peek(0)
	if ahead := st.now - t0; ahead > aheadMost+60_000 {
		t.Errorf("the line's time went %d s ahead", ahead/1000)
	}
	if _, ok := tasks.told["RD1"]; !ok {
		t.Error("the good train is lost")
	}
}

func TestLinesRefuseWhatMakesNoSense(t *testing.T) {
	edit := func(f func(*event.Arrival)) *event.Arrival { return with(seenAt("RD1", 5, 0), f) }
	cases := map[string]*event.Arrival{
		"a line of another partition":       edit(func(a *event.Arrival) { a.Line = "blue" }),
		"a line that does not exist":        edit(func(a *event.Arrival) { a.Line = "maroon" }),
		"a station not on the line":         edit(func(a *event.Arrival) { a.StationID = 40010 }),
		"a direction that is neither":       edit(func(a *event.Arrival) { a.Direction = "c" }),
		"a status that is none":             edit(func(a *event.Arrival) { a.TrainStatus = "flying" }),
		"no train id":                       edit(func(a *event.Arrival) { a.TrainID = "" }),
		"a train id that is too long":       edit(func(a *event.Arrival) { a.TrainID = strings.Repeat("R", maxID+1) }),
		"a train id that would break a key": edit(func(a *event.Arrival) { a.TrainID = "RD/1" }),
		"a time before 1970":                edit(func(a *event.Arrival) { a.Timestamp = -5 }),
		"a time after 2200":                 edit(func(a *event.Arrival) { a.Timestamp = 1 << 60 }),
	}
	for name, a := range cases {
		t.Run(name, func(t *testing.T) {
			tasks := newLineTasks(t)
			err := tasks.by[0].Process(arrivalRecord(tasks.enc, testNames.ByLine(), a), tasks.out[0])
			if !errors.Is(err, event.ErrPoison) {
				t.Errorf("error %v, want poison", err)
			}
			tasks.out[0].end(t, tasks.by[0], true)
			if n := len(tasks.out[0].log); n > 0 {
				t.Errorf("it left %d outputs behind", n)
			}
		})
	}
}

func TestALineHoldsNoMoreTrainsThanItsBound(t *testing.T) {
	tasks := newLineTasks(t)
	var err error
	n := 0
	for ; err == nil && n < 2*maxTrains; n++ {
		err = tasks.by[0].Process(arrivalRecord(tasks.enc, testNames.ByLine(), seenAt(fmt.Sprint("T", n), 5, 0)), tasks.out[0])
	}
	if !errors.Is(err, event.ErrPoison) || n != maxTrains+1 {
		t.Errorf("train %d: %v", n, err)
	}
}

func TestLinesOwner(t *testing.T) {
	for key, want := range map[string]int32{"state/red": 0, "train/blue/BL101": 1, "leg/brown/1a/2b": 2, "visit/yellow/1a": 7} {
		if p, ok := linesOwner([]byte(key)); !ok || p != want {
			t.Errorf("key %q belongs to %d (%v), want %d", key, p, ok, want)
		}
	}
	for _, key := range []string{"", "state", "state/", "/"} {
		if _, ok := linesOwner([]byte(key)); ok {
			t.Errorf("key %q belongs to somebody", key)
		}
	}
}

func TestDamagedStateIsRefused(t *testing.T) {
	for _, f := range feeds(t) {
		t.Run(f.name, func(t *testing.T) {
			red, out := f.fresh(), &recorder{}
			for _, r := range f.records[:len(f.records)/2] {
				mustProcess(t, red, r, out)
			}
			out.end(t, red, true)
			for key, value := range out.state() {
				bad := [][]byte{
					append([]byte{99}, value[1:]...), // of a later version
					append([]byte(value), 0),         // with bytes left over
				}
				if len(value) > 1 {
					bad = append(bad, []byte(value[:len(value)-1]), []byte(value[:1])) // torn
				}
				for _, b := range bad {
					if err := f.fresh().Restore([]byte(key), b); !errors.Is(err, errState) {
						t.Fatalf("key %q, value %q: error %v", key, b, err)
					}
				}
			}
			if err := f.fresh().Restore([]byte("nonsense"), []byte{1}); err == nil && f.name != "lines" {
				t.Error("a key of nonsense was taken")
			}
		})
	}
}
