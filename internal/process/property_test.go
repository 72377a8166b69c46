package process

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"ell/internal/cta"
	"ell/internal/event"
	"ell/internal/sim"
)

// shuffled changes the order of events, none by more than grace.
func shuffled[E any](r *rand.Rand, in []E, grace int64, at func(E) int64) []E {
	type item struct {
		e  E
		at int64
	}
	items := make([]item, len(in))
	for i, e := range in {
		items[i] = item{e, at(e) + r.Int64N(grace)}
	}
	slices.SortStableFunc(items, func(a, b item) int { return cmp.Compare(a.at, b.at) })
	out := make([]E, len(in))
	for i, it := range items {
		out[i] = it.e
	}
	return out
}

// feed is a stage with input for it.
type feed struct {
	name    string
	fresh   func() reducer
	records []*event.Record
}

func feeds(t *testing.T) []feed {
	dec, enc := newCodec(t)
	m := mustMap(t)
	r := rand.New(rand.NewPCG(9, 9))

	shared := sharedNames.Turnstiles(0, "")
	turnstiles := feed{name: "turnstiles", fresh: func() reducer { return NewTurnstiles(dec, enc, sharedNames, shared) }}
	for i := range int64(3000) {
		at := 1_700_000_000_000 + i*20_000 - r.Int64N(1_500_000)
		turnstiles.records = append(turnstiles.records, turnstileRecord(enc, shared, 40000+int32(r.IntN(5)), at))
	}

	lines := feed{name: "lines", fresh: func() reducer { return NewLines(dec, enc, testNames, m, event.LinePartition("green")) }}
	rail := feed{name: "rail", fresh: func() reducer { return NewRail(dec, enc, testNames, m) }}
	arrivals := cityArrivals(t, "heavy", 60, "green")
	arrivals = shuffled(r, arrivals, 2*lineGrace, func(a event.Arrival) int64 { return a.Timestamp })
	for i := range arrivals {
		a := &arrivals[i]
		rec := arrivalRecord(enc, testNames.ByLine(), a)
		rec.Offset = int64(i)
		lines.records = append(lines.records, rec)
		sensed := arrivalRecord(enc, testNames.Arrivals(a.StationID, "x"), a)
		sensed.Offset = int64(i)
		rail.records = append(rail.records, sensed)
		if i%5 == 0 {
			lines.records = append(lines.records, tickRecord(enc, a.Timestamp))
			rail.records = append(rail.records, clockRecord(enc, testNames.Clock(),
				event.Clock{CityTime: a.Timestamp, Speed: float64(1 + r.IntN(2)), Incidents: "off"}))
		}
	}
	// Hours of silence, so that trains are given up.
	last := arrivals[len(arrivals)-1].Timestamp
	for i := range int64(200) {
		lines.records = append(lines.records, tickRecord(enc, last+i*60_000))
	}

	stations := feed{name: "stations", fresh: func() reducer { return NewStations(testNames) }}
	for i := range 1500 {
		stations.records = append(stations.records, randomRow(r, int64(i)))
	}
	return []feed{turnstiles, lines, rail, stations}
}

// cityArrivals are the arrivals of a line, every line if it is "".
func cityArrivals(tb testing.TB, incidents string, minutes int64, line string) []event.Arrival {
	tb.Helper()
	start := weekday(7, 30)
	city, err := sim.New(cta.Chicago(), sim.Options{Seed: 11, Start: start, Incidents: incidents})
	if err != nil {
		tb.Fatal(err)
	}
	var log cityLog
	city.Advance(start+minutes*60_000, &log)
	if line == "" {
		return log.arrivals
	}
	return slices.DeleteFunc(log.arrivals, func(a event.Arrival) bool { return a.Line != line })
}

func randomRow(r *rand.Rand, offset int64) *event.Record {
	rec := &event.Record{Topic: testNames.Stations(), Offset: offset}
	id, station := 30000+r.IntN(12), 40000+r.IntN(6)
	line := []string{"red", "blue", "green"}[r.IntN(3)]
	if r.IntN(2) == 0 {
		rec.Topic = testNames.StationLines()
		rec.Key = fmt.Appendf(nil, `{"id":%d}`, 1+r.IntN(9))
		rec.Value = fmt.Appendf(nil, `{"id":%s,"line":"%s","station_id":%d,"order":%d}`, rec.Key[6:len(rec.Key)-1], line, station, r.IntN(5))
	} else {
		rec.Key = fmt.Appendf(nil, `{"stop_id":%d}`, id)
		rec.Value = fmt.Appendf(nil, `{"stop_id":%d,"station_id":%d,"station_name":"Name %d","order":%d,"%s":true,"__deleted":"%v"}`,
			id, station, r.IntN(3), r.IntN(4), line, r.IntN(6) == 0)
	}
	if r.IntN(5) == 0 {
		rec.Value = nil
	}
	return rec
}

func mustProcess(tb testing.TB, red reducer, r *event.Record, out Output) {
	tb.Helper()
	if err := red.Process(r, out); err != nil {
		tb.Fatalf("%s@%d: %v", r.Topic, r.Offset, err)
	}
}

// TestAbortedTransactionsLeaveNoTrace: rewinding and processing again gives,
// byte for byte, what a run without aborts gives.
func TestAbortedTransactionsLeaveNoTrace(t *testing.T) {
	for _, f := range feeds(t) {
		t.Run(f.name, func(t *testing.T) {
			for seed := range uint64(5) {
				r := rand.New(rand.NewPCG(seed, 3))
				calm, shaken := f.fresh(), f.fresh()
				want, got := &recorder{}, &recorder{}
				for i := 0; i < len(f.records); {
					n := min(1+r.IntN(40), len(f.records)-i)
					for r.IntN(3) == 0 { // aborts, the last one perhaps halfway
						for _, rec := range f.records[i : i+1+r.IntN(n)] {
							mustProcess(t, shaken, rec, got)
						}
						got.end(t, shaken, false)
					}
					for _, rec := range f.records[i : i+n] {
						mustProcess(t, calm, rec, want)
						mustProcess(t, shaken, rec, got)
					}
					want.end(t, calm, true)
					got.end(t, shaken, true)
					i += n
				}
				sameLog(t, want.log, got.log)
			}
		})
	}
}

// TestARestoredReducerGoesOnAsIfNeverStopped: from the changelog alone, whole
// or compacted, a new reducer gives the same outputs from there on.
func TestARestoredReducerGoesOnAsIfNeverStopped(t *testing.T) {
	for _, f := range feeds(t) {
		if f.name == "forward" {
			continue // it has no state
		}
		t.Run(f.name, func(t *testing.T) {
			for seed := range uint64(6) {
				r := rand.New(rand.NewPCG(seed, 4))
				old := f.fresh()
				out := &recorder{}
				cut := r.IntN(len(f.records))
				for _, rec := range f.records[:cut] {
					mustProcess(t, old, rec, out)
					if r.IntN(15) == 0 {
						out.end(t, old, true)
					}
				}
				out.end(t, old, true)
				again := f.fresh()
				out.restore(t, again, seed%2 == 0)
				want, got := &recorder{}, &recorder{}
				for _, rec := range f.records[cut:] {
					mustProcess(t, old, rec, want)
					mustProcess(t, again, rec, got)
					if r.IntN(15) == 0 {
						want.end(t, old, true)
						got.end(t, again, true)
					}
				}
				want.end(t, old, true)
				got.end(t, again, true)
				sameLog(t, want.log, got.log)
			}
		})
	}
}

func sameLog(t *testing.T, want, got []output) {
	t.Helper()
	if len(want) == 0 {
		t.Fatal("the stage gave no output at all")
	}
	for i := range min(len(want), len(got)) {
		if a, b := want[i], got[i]; !a.same(b) {
			t.Fatalf("output %d of %d:\nwant %s\n got %s", i, len(want), a, b)
		}
	}
	if len(want) != len(got) {
		t.Fatalf("%d outputs, want %d", len(got), len(want))
	}
}

// knowledge is what a line knows of its trains, but for what depends on when
// it was told.
func knowledge(l *Lines) map[string]string {
	out := make(map[string]string)
	for k, t := range l.train.All() {
		out["train "+k.id] = fmt.Sprintf("%+v", *l.at(k.line, t))
	}
	for k, g := range l.legs.All() {
		out[fmt.Sprint("leg ", k)] = fmt.Sprintf("%+v", *g)
	}
	for k, v := range l.visits.All() {
		out[fmt.Sprint("visit ", k)] = fmt.Sprintf("%+v", *v)
	}
	for k, st := range l.state.All() {
		out[fmt.Sprint("line ", k)] = fmt.Sprintf("%v %v %v %+v", st.now, st.extra, st.extraOf, st.gaps)
	}
	return out
}

func (t *lineTasks) all() map[string]string {
	out := make(map[string]string)
	for p, l := range t.by {
		for k, v := range knowledge(l) {
			out[fmt.Sprint(p, " ", k)] = v
		}
	}
	return out
}

// TestOrderWithinGraceDoesNotMatterToTrains: arrivals in any order within the
// grace leave every train at the same place, with the same delay, and the same
// things learned (F32).
func TestOrderWithinGraceDoesNotMatterToTrains(t *testing.T) {
	arrivals := cityArrivals(t, "normal", 40, "")
	run := func(in []event.Arrival) *lineTasks {
		tasks := newLineTasks(t)
		for i := range in {
			tasks.arrival(&in[i])
			if i%50 == 0 {
				tasks.commit(nil)
			}
		}
		tasks.tick(arrivals[len(arrivals)-1].Timestamp + 60_000)
		tasks.commit(nil)
		return tasks
	}
	want := run(arrivals)
	late := int64(0)
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 5))
		got := run(shuffled(r, arrivals, lineGrace-evalEvery, func(a event.Arrival) int64 { return a.Timestamp }))
		if d := gocmp.Diff(want.all(), got.all()); d != "" {
			t.Fatalf("seed %d: %s", seed, d)
		}
		for _, l := range got.line {
			late += l.Late
		}
	}
	if late == 0 {
		t.Error("nothing came late: the test shuffles too little")
	}
}

// TestDuplicatesChangeNothing: each arrival twice in a row is as good as once,
// and a replay of everything moves no train (F31).
func TestDuplicatesChangeNothing(t *testing.T) {
	arrivals := cityArrivals(t, "normal", 40, "")
	once, twice, replayed := newLineTasks(t), newLineTasks(t), newLineTasks(t)
	for i := range arrivals {
		once.arrival(&arrivals[i])
		twice.arrival(&arrivals[i])
		twice.arrival(&arrivals[i])
	}
	for range 2 {
		for i := range arrivals {
			replayed.arrival(&arrivals[i])
		}
	}
	for _, tasks := range []*lineTasks{once, twice, replayed} {
		tasks.tick(arrivals[len(arrivals)-1].Timestamp + 20_000)
		tasks.commit(nil)
	}
	if d := gocmp.Diff(once.all(), twice.all()); d != "" {
		t.Errorf("each twice: %s", d)
	}
	if d := gocmp.Diff(once.all(), replayed.all()); d != "" {
		t.Errorf("all twice: %s", d)
	}
	if d := gocmp.Diff(once.told, twice.told); d != "" {
		t.Errorf("each twice, told: %s", d)
	}
	if d := gocmp.Diff(once.line, twice.line); d != "" {
		t.Errorf("each twice, lines: %s", d)
	}
	for id, tr := range replayed.told {
		tr.Late = once.told[id].Late // all of the replay is late, and only counted
		if d := gocmp.Diff(once.told[id], tr); d != "" {
			t.Errorf("all twice, train %s: %s", id, d)
		}
	}
}
