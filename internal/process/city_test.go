package process

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"ell/internal/cta"
	"ell/internal/event"
	"ell/internal/sim"
)

// cityLog keeps the arrivals of a city.
type cityLog struct{ arrivals []event.Arrival }

func (c *cityLog) Arrival(a *event.Arrival) { c.arrivals = append(c.arrivals, *a) }
func (*cityLog) Turnstile(*event.Turnstile) {}

func weekday(hour, minute int) int64 {
	return time.Date(2026, 4, 15, hour, minute, 0, 0, cta.Location()).UnixMilli()
}

// lineTasks are the reducers of all partitions, fed like one.
type lineTasks struct {
	tb   testing.TB
	dec  *event.Decoder
	enc  *event.Encoder
	m    *Map
	by   map[int32]*Lines
	out  map[int32]*recorder
	told map[string]event.Train // newest train records
	line map[string]event.LineStatus
}

func newLineTasks(tb testing.TB) *lineTasks {
	t := &lineTasks{tb: tb, m: mustMap(tb), by: map[int32]*Lines{}, out: map[int32]*recorder{},
		told: map[string]event.Train{}, line: map[string]event.LineStatus{}}
	t.dec, t.enc = newCodec(tb)
	for _, l := range t.m.lines {
		p := event.LinePartition(l.id)
		if t.by[p] == nil {
			t.by[p] = NewLines(t.dec, t.enc, testNames, t.m, p)
			t.out[p] = &recorder{}
		}
	}
	return t
}

func (t *lineTasks) arrival(a *event.Arrival) {
	p := event.LinePartition(a.Line)
	if err := t.by[p].Process(arrivalRecord(t.enc, testNames.ByLine(), a), t.out[p]); err != nil {
		t.tb.Fatalf("arrival %+v: %v", a, err)
	}
}

func (t *lineTasks) tick(at int64) {
	for p, l := range t.by {
		if err := l.Process(tickRecord(t.enc, at), t.out[p]); err != nil {
			t.tb.Fatal(err)
		}
	}
}

// commit ends the transactions and reads what was told.
func (t *lineTasks) commit(f func(event.Train)) {
	for p, l := range t.by {
		o := t.out[p]
		o.end(t.tb, l, true)
		for _, e := range o.log {
			if e.state || e.value == nil {
				continue
			}
			r := event.Record{Topic: e.topic, Key: e.key, Value: e.value}
			switch e.topic {
			case testNames.Trains():
				var tr event.Train
				if err := t.dec.Train(&r, &tr); err != nil {
					t.tb.Fatal(err)
				}
				t.told[tr.TrainID] = tr
				if f != nil {
					f(tr)
				}
			case testNames.Lines():
				var ls event.LineStatus
				if err := t.dec.Line(&r, &ls); err != nil {
					t.tb.Fatal(err)
				}
				ls.Headways = slices.Clone(ls.Headways)
				t.line[ls.Line] = ls
			}
		}
		o.log = o.log[:0]
	}
}

// TestPredictions runs the real city through the reducers and compares each
// predicted arrival with the one that came.
func TestPredictionsOfTheCityAreGood(t *testing.T) {
	for _, incidents := range []string{"off", "normal"} {
		t.Run(incidents, func(t *testing.T) { predictions(t, incidents) })
	}
}

func predictions(t *testing.T, incidents string) {
	start := weekday(6, 30)
	city, err := sim.New(cta.Chicago(), sim.Options{Seed: 7, Start: start, Incidents: incidents})
	if err != nil {
		t.Fatal(err)
	}
	var log cityLog
	tasks := newLineTasks(t)
	type promise struct {
		site string
		due  int64
		from cta.Call // where it was
		trip bool     // that is where its trip begins
	}
	promises := make(map[string]promise)
	var errs, ends, starts []float64
	words := make(map[string]int)
	missed := 0
	const step = 10_000
	for now := start + step; now <= start+3*3600_000; now += step {
		log.arrivals = log.arrivals[:0]
		city.Advance(now, &log)
		warm := now > start+2*3600_000
		for i := range log.arrivals {
			a := &log.arrivals[i]
			here := fmt.Sprintf("%d%s", a.StationID, a.Direction)
			if p, ok := promises[a.TrainID]; ok && a.TrainStatus == event.InService {
				switch {
				case p.site == here:
					delete(promises, a.TrainID)
					off := math.Abs(float64(a.Timestamp-p.due)) / 1000
					switch {
					case p.trip:
						starts = append(starts, off)
					case warm && p.from.Turn:
						ends = append(ends, off)
					case warm:
						errs = append(errs, off)
					}
				case warm && a.PrevStationID != a.StationID:
					missed++
				}
			}
			tasks.arrival(a)
			// Each arrival is told at once, as when quiet.
			tasks.commit(func(tr event.Train) {
				if tr.NextCall < 0 || tr.TrainID != a.TrainID {
					return
				}
				p := cta.Chicago().Pattern(tr.Pattern)
				c := p.Calls[tr.NextCall]
				before := p.Calls[(int(tr.Call)+len(p.Calls)-1)%len(p.Calls)]
				promises[tr.TrainID] = promise{fmt.Sprintf("%d%s", c.Station, c.Direction), tr.DueAt, p.Calls[tr.Call], before.Turn}
			})
		}
		tasks.tick(now)
		tasks.commit(nil)
		if warm {
			for _, l := range tasks.line {
				words[l.Line+" "+l.Status]++
			}
		}
	}
	slices.Sort(errs)
	slices.Sort(ends)
	slices.Sort(starts)
	at := func(v []float64, q float64) float64 { return v[int(q*float64(len(v)-1))] }
	t.Logf("on the way: n=%d p50=%.1fs p90=%.1fs p99=%.1fs; turning back: n=%d p50=%.1fs p90=%.1fs; first leg: n=%d p50=%.1fs p99=%.1fs; missed %d",
		len(errs), at(errs, .5), at(errs, .9), at(errs, .99), len(ends), at(ends, .5), at(ends, .9), len(starts), at(starts, .5), at(starts, .99), missed)
	t.Log(words)
	if len(errs) < 2000 || at(errs, .5) > 8 || at(errs, .9) > 25 {
		t.Errorf("predictions on the way are off: p50 %.1f s, p90 %.1f s of %d", at(errs, .5), at(errs, .9), len(errs))
	}
	if len(ends) < 50 || at(ends, .5) > 30 {
		t.Errorf("predictions for trains that turn back are off: p50 %.1f s of %d", at(ends, .5), len(ends))
	}
	// Also those that came too late for their trip, and from the first trip on.
	if len(starts) < 250 || at(starts, .5) > 5 || at(starts, .99) > 25 {
		t.Errorf("predictions for the first leg of a trip are off: p50 %.1f s, p99 %.1f s of %d", at(starts, .5), at(starts, .99), len(starts))
	}
	if missed > 0 {
		t.Errorf("%d trains came elsewhere than predicted", missed)
	}
}

// run takes a city through the reducers from one time to another.
func (t *lineTasks) run(city *sim.City, from, to, step int64, each func(now int64)) {
	var log cityLog
	for now := from + step; now <= to; now += step {
		log.arrivals = log.arrivals[:0]
		city.Advance(now, &log)
		for i := range log.arrivals {
			t.arrival(&log.arrivals[i])
		}
		t.tick(now)
		t.commit(nil)
		if each != nil {
			each(now)
		}
	}
}

func TestADayWithoutIncidentsIsADayOfGoodService(t *testing.T) {
	if testing.Short() {
		t.Skip("a whole day of the city takes seconds")
	}
	start := weekday(3, 0)
	city, err := sim.New(cta.Chicago(), sim.Options{Seed: 3, Start: start})
	if err != nil {
		t.Fatal(err)
	}
	tasks := newLineTasks(t)
	words := make(map[string]map[string]int)
	last := make(map[string]string)
	changes, looks := 0, 0
	tasks.run(city, start, start+24*3600_000, 30_000, func(now int64) {
		for id, l := range tasks.line {
			if words[id] == nil {
				words[id] = make(map[string]int)
			}
			words[id][l.Status]++
			looks++
			if last[id] != l.Status {
				t.Logf("%s %s: %s %s", time.UnixMilli(now).In(cta.Location()).Format("15:04:05"), id, l.Status, l.Reason)
				last[id] = l.Status
				changes++
			}
		}
	})
	t.Log(words)
	good := 0
	for _, w := range words {
		good += w[event.StatusGood] + w[event.StatusNotScheduled]
	}
	if share := float64(good) / float64(looks); share < 0.97 {
		t.Errorf("lines run well or not at all for %.1f %% of an undisturbed day", 100*share)
	}
	if changes > 60 {
		t.Errorf("the words of 8 lines changed %d times in a day", changes)
	}
	for _, id := range []string{"red", "blue"} {
		if words[id][event.StatusNotScheduled] > 0 {
			t.Errorf("the %s line runs all night, but was not scheduled for %d looks", id, words[id][event.StatusNotScheduled])
		}
	}
	if words["yellow"][event.StatusNotScheduled] == 0 {
		t.Error("the yellow line does not run all night, but was never not scheduled")
	}
}

func TestDisturbancesAreNoticedAndPass(t *testing.T) {
	cases := []struct {
		name   string
		kind   string
		word   string
		within time.Duration // from the start of the incident
	}{
		{"a train held for 15 minutes, at its next stop, brings delays before it goes on", sim.HeldTrain, event.StatusDelays, 12 * time.Minute},
		{"a train broken down for 15 minutes brings delays within 5", sim.Breakdown, event.StatusDelays, 5 * time.Minute},
		{"a slow zone is told once three trains have gone through", sim.SlowZone, event.StatusSlow, 30 * time.Minute},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			start := weekday(11, 0)
			city, err := sim.New(cta.Chicago(), sim.Options{Seed: 5, Start: start})
			if err != nil {
				t.Fatal(err)
			}
			tasks := newLineTasks(t)
			tasks.run(city, start, start+75*60_000, 15_000, nil)
			in := event.Incident{Kind: c.kind, Line: "red", Minutes: 15}
			if c.kind == sim.SlowZone {
				in.StationID, in.Direction, in.Minutes = 40630, "b", 60 // Clark/Division to Chicago
			} else {
				for id, tr := range tasks.told {
					if tr.Line == "red" && tr.Status == event.InService && tr.Call > 5 && tr.Call < 25 && (in.TrainID == "" || id < in.TrainID) {
						in.TrainID = id
					}
				}
			}
			at := city.Now()
			if err := city.Inject(in); err != nil {
				t.Fatal(err)
			}
			var noticed, passed time.Duration
			tasks.run(city, at, at+100*60_000, 10_000, func(now int64) {
				since := time.Duration(now-at) * time.Millisecond
				l := tasks.line["red"]
				if l.Status == c.word && noticed == 0 {
					noticed = since
					t.Logf("after %s: %s", since, l.Reason)
					if l.Reason == "" {
						t.Error("no sentence for riders")
					}
				}
				if noticed > 0 && passed == 0 && l.Status == event.StatusGood {
					passed = since
				}
			})
			t.Logf("noticed after %s, passed after %s", noticed, passed)
			if noticed == 0 || noticed > c.within {
				t.Errorf("noticed after %s, want within %s", noticed, c.within)
			}
			if noticed > 0 && passed == 0 {
				t.Error("the word stayed for hours")
			}
		})
	}
}
