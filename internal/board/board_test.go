package board

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ell/internal/cta"
	"ell/internal/event"
)

var update = flag.Bool("update", false, "write golden files anew")

// jsonDecoder reads records whose values are the JSON of their Go types, so
// that the board's tests do not hang on the codecs.
type jsonDecoder struct{}

func decode(r *event.Record, v any) error {
	if err := json.Unmarshal(r.Value, v); err != nil {
		return fmt.Errorf("%w: %w", event.ErrPoison, err)
	}
	return nil
}

func (jsonDecoder) Train(r *event.Record, t *event.Train) error     { return decode(r, t) }
func (jsonDecoder) Line(r *event.Record, l *event.LineStatus) error { return decode(r, l) }
func (jsonDecoder) Window(r *event.Record, w *event.Window) error   { return decode(r, w) }
func (jsonDecoder) Weather(r *event.Record, w *event.Weather) error { return decode(r, w) }
func (jsonDecoder) Clock(r *event.Record, c *event.Clock) error     { return decode(r, c) }

var names = event.Names{Prefix: "org.chicago.cta."}

func newBoard(t testing.TB) *Board {
	t.Helper()
	b, err := New(Options{Network: cta.Chicago(), Decoder: jsonDecoder{}, Names: names, Control: true})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// writer makes records with rising offsets and append times.
type writer struct {
	offset int64
	wall   int64
}

func (w *writer) record(topic, key string, value any) event.Record {
	w.offset++
	var body []byte
	switch v := value.(type) {
	case nil:
	case string:
		body = []byte(v)
	default:
		var err error
		if body, err = json.Marshal(v); err != nil {
			panic(err) // the types of package event have a JSON form
		}
	}
	return event.Record{Topic: topic, Partition: 3, Offset: w.offset, Appended: w.wall, Key: []byte(key), Value: body}
}

func (w *writer) train(t event.Train) event.Record {
	t.Source = event.Source{Topic: names.ByLine(), Partition: 3, Offset: w.offset, Appended: w.wall - 7}
	return w.record(names.Trains(), t.TrainID, t)
}

func apply(t testing.TB, b *Board, records ...event.Record) {
	t.Helper()
	if err := b.ApplyAll(records); err != nil {
		t.Fatal(err)
	}
}

// start is Friday 31 October 2025, 07:30 in Chicago.
const (
	cityStart = int64(1761913800000)
	wallStart = int64(1800000000000)
)

func clock(city, wall int64, speed float64) event.Clock {
	return event.Clock{CityTime: city, WallTime: wall, Speed: speed, Seed: 1, Start: cityStart, Incidents: "light"}
}

// place is a train at a call of a pattern, due at the next.
func place(net *cta.Network, id string, pattern, call int, at int64) event.Train {
	p := net.Patterns[pattern]
	c := p.Calls[call]
	next := (call + 1) % len(p.Calls)
	return event.Train{
		TrainID: id, Line: p.Line, Pattern: p.ID, Call: int32(call), StationID: c.Station, Direction: c.Direction.String(),
		Status: event.InService, ArrivedAt: at, DepartAt: at + 20_000, NextCall: int32(next), DueAt: at + 20_000 + int64(c.Run*1000),
	}
}

// step is what is appended before a frame, at a wall time.
type step struct {
	wall    int64
	records []event.Record
}

// scenario is a few minutes of the city, one step per frame: what the golden
// frames show to the tests of the user interface.
func scenario(net *cta.Network) []step {
	w := &writer{wall: wallStart}
	city := cityStart
	var first []event.Record
	for _, l := range net.Lines {
		for i, id := range l.Stations {
			row := event.StationOnLine{StationID: id, StationName: net.Station(id).Name, Order: int32(i), Line: l.ID}
			first = append(first, w.record(names.StationsTable(), fmt.Sprintf("%s/%d", l.ID, id), row))
		}
		first = append(first, w.record(names.Lines(), l.ID, event.LineStatus{
			Line: l.ID, Status: event.StatusGood, Trains: 2, UpdatedAt: city,
			Headways: []event.Headway{{Direction: "a", Observed: 240, Scheduled: 258}, {Direction: "b", Observed: 0, Scheduled: 300}},
		}))
	}
	for i, s := range net.Stations {
		first = append(first, w.record(names.Summary(), strconv.Itoa(int(s.ID)), event.Summary{StationID: s.ID, Count: int64(100 + i)}))
	}
	first = append(first,
		w.record(names.Clock(), "clock", clock(city, wallStart, 10)),
		w.record(names.Weather(), "w", event.Weather{Timestamp: city - 600_000, Temperature: 48.25, Status: "partly_cloudy"}))
	var trains []event.Train
	for i, p := range net.Patterns {
		line := net.Line(p.Line)
		for k := range 2 {
			trains = append(trains, place(net, fmt.Sprintf("%s%d%02d", line.Code, i, k+1), i, k*len(p.Calls)/2, city-int64(i+k)*1000))
		}
	}
	for _, t := range trains {
		first = append(first, w.train(t))
	}
	steps := []step{{w.wall, first}}
	add := func(records ...event.Record) { steps = append(steps, step{w.wall, records}) }
	tick := func(cityMS, speed int64) { w.wall += cityMS / speed; city += cityMS }

	tick(30_000, 10)
	t0 := trains[0]
	t0 = place(net, t0.TrainID, 0, int(t0.NextCall), city)
	add(w.train(t0)) // one train moves on
	tick(15_000, 10)
	t1 := place(net, trains[1].TrainID, 0, int(trains[1].NextCall), city)
	t1.DelayS = 95
	t2 := trains[2]
	t2.Status, t2.NextCall, t2.DueAt = event.BrokenDown, -1, 0
	add(w.train(t1), w.train(t2), // a late one, a breakdown, and its line's word
		w.record(names.Lines(), t2.Line, event.LineStatus{
			Line: t2.Line, Status: event.StatusDelays, Reason: "Train " + t2.TrainID + " has broken down at a station.", Trains: 1, UpdatedAt: city,
			Headways: []event.Headway{{Direction: "a", Observed: 600, Scheduled: 258}, {Direction: "b", Observed: 580, Scheduled: 300}},
		}))
	tick(15_000, 10)
	start := cityStart - cityStart%windowMS
	add( // people
		w.record(names.Summary(), "40900", event.Summary{StationID: 40900, Count: 151}),
		w.record(names.Summary(), "40380", event.Summary{StationID: 40380, Count: 300}),
		w.record(names.Windows(), "x", event.Window{StationID: 40900, Start: start - windowMS, End: start, Count: 41}),
		w.record(names.Windows(), "y", event.Window{StationID: 40900, Start: start, End: start + windowMS, Count: 7}),
		w.record(names.Clock(), "clock", clock(city, w.wall, 10)))
	tick(20_000, 10)
	add(w.record(names.Clock(), "clock", clock(city, w.wall, 60))) // faster
	tick(60_000, 60)
	paused := clock(city, w.wall, 60)
	paused.Paused = true
	add(w.record(names.Clock(), "clock", paused), w.record(names.Weather(), "w", event.Weather{Timestamp: city, Temperature: -3, Status: "precipitation"}))
	tick(20_000, 10)
	add( // a train goes, a hostile station comes, another goes
		w.record(names.Trains(), trains[3].TrainID, nil),
		w.record(names.StationsTable(), "red/49999", event.StationOnLine{StationID: 49999, StationName: "<img src=x onerror=alert(1)> \u2028 \"O'Hare\"", Order: 99, Line: "red"}),
		w.record(names.StationsTable(), "yellow/40140", nil))
	tick(20_000, 10)
	lost := place(net, "RD777", 0, 3, city)
	lost.Pattern = "" // no sign on it
	add(w.train(lost))
	return steps
}

// frames runs the scenario, a frame per step.
func frames(t testing.TB, b *Board) []Frame {
	t.Helper()
	var out []Frame
	for i, s := range scenario(cta.Chicago()) {
		apply(t, b, s.records...)
		f, ok := b.Frame(s.wall + 20)
		if !ok {
			t.Fatalf("step %d makes no frame", i)
		}
		f.Delta = append([]byte(nil), f.Delta...)
		out = append(out, f)
	}
	return out
}

// The golden frames hold this package and the user interface to docs/stream.md:
// network.json; snapshot-1.json, then delta-2.json to delta-N.json; and
// snapshot-N.json, which is what snapshot and deltas have to make.
func TestGoldenFrames(t *testing.T) {
	dir := filepath.Join("testdata", "frames")
	b := newBoard(t)
	all := frames(t, b)
	last := all[len(all)-1]
	files := map[string][]byte{
		"snapshot-1.json":                         all[0].Snapshot.AppendJSON(nil, wallStart+25),
		fmt.Sprintf("snapshot-%d.json", last.Seq): last.Snapshot.AppendJSON(nil, wallStart+60_000),
	}
	for _, f := range all[1:] {
		files[fmt.Sprintf("delta-%d.json", f.Seq)] = f.Delta
	}
	network, err := NetworkDocument(cta.Chicago())
	if err != nil {
		t.Fatal(err)
	}
	files["network.json"] = network
	for name, got := range files {
		if !json.Valid(got) || strings.ContainsAny(string(got), "\n\r\u2028") {
			t.Fatalf("%s is not one line of JSON: %s", name, got)
		}
		path := filepath.Join(dir, name)
		if *update {
			if err := os.MkdirAll(dir, 0o750); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, append(got, '\n'), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatalf("%v; write it with -update", err)
		}
		if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
			t.Errorf("%s differs, -update writes it anew:\n%s", name, diff)
		}
	}
}

// folded is a viewer's state: what docs/stream.md says a client makes of frames.
type folded struct {
	T0       int64
	Clock    any
	Trains   map[string]any
	Lines    map[string]any
	Stations map[string]any
	Totals   map[string]any
	Weather  any
	Rate     any
}

func fold(t testing.TB, f *folded, text []byte, snapshot bool) {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if snapshot {
		*f = folded{T0: int64(m["t0"].(float64)), Trains: map[string]any{}, Lines: map[string]any{}, Stations: map[string]any{}, Totals: map[string]any{}}
	}
	each := func(key string, do func(v any)) {
		if list, ok := m[key].([]any); ok {
			for _, v := range list {
				do(v)
			}
		}
	}
	row := func(v any) string { return fmt.Sprint(v.([]any)[0], "/", v.([]any)[1]) }
	each("trains", func(v any) { f.Trains[v.([]any)[0].(string)] = v })
	each("gone", func(v any) {
		if _, ok := f.Trains[v.(string)]; !ok {
			t.Errorf("train %v goes but was not there", v)
		}
		delete(f.Trains, v.(string))
	})
	each("lines", func(v any) { f.Lines[v.(map[string]any)["id"].(string)] = v })
	each("stations_gone", func(v any) { delete(f.Stations, row(v)) })
	each("stations", func(v any) { f.Stations[row(v)] = v })
	each("totals", func(v any) { f.Totals[fmt.Sprint(v.([]any)[0])] = v })
	for key, to := range map[string]*any{"clock": &f.Clock, "weather": &f.Weather, "rate": &f.Rate} {
		if v, ok := m[key]; ok {
			*to = v
		}
	}
}

func TestSnapshotAndDeltasMakeTheNextSnapshot(t *testing.T) {
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 1))
		net := cta.Chicago()
		b := newBoard(t)
		w := &writer{wall: wallStart}
		city, wall := cityStart, wallStart
		var viewer folded
		joined := false
		for step := range 120 {
			for range rng.IntN(6) {
				apply(t, b, randomRecord(rng, net, w, city))
			}
			wall += int64(rng.IntN(700))
			w.wall = wall
			city += int64(rng.IntN(90_000))
			f, ok := b.Frame(wall)
			if !ok {
				continue
			}
			text := f.Snapshot.AppendJSON(nil, wall)
			if !joined {
				joined = true
				fold(t, &viewer, text, true)
				continue
			}
			fold(t, &viewer, f.Delta, false)
			var want folded
			fold(t, &want, text, true)
			if !reflect.DeepEqual(viewer, want) {
				t.Fatalf("seed %d, step %d: snapshot + deltas differ from the snapshot:\n%s", seed, step, cmp.Diff(want, viewer))
			}
		}
		if !joined {
			t.Fatalf("seed %d made no frame", seed)
		}
	}
}

func randomRecord(rng *rand.Rand, net *cta.Network, w *writer, city int64) event.Record {
	station := net.Stations[rng.IntN(len(net.Stations))]
	line := net.Lines[rng.IntN(len(net.Lines))].ID
	switch rng.IntN(9) {
	case 0, 1, 2:
		p := rng.IntN(len(net.Patterns))
		return w.train(place(net, fmt.Sprintf("RD%03d", rng.IntN(6)), p, rng.IntN(len(net.Patterns[p].Calls)), city))
	case 3:
		return w.record(names.Trains(), fmt.Sprintf("RD%03d", rng.IntN(6)), nil)
	case 4:
		return w.record(names.Lines(), line, event.LineStatus{Line: line, Status: []string{event.StatusGood, event.StatusSlow}[rng.IntN(2)], Trains: int32(rng.IntN(9)), UpdatedAt: city})
	case 5:
		return w.record(names.Summary(), strconv.Itoa(int(station.ID)), event.Summary{StationID: station.ID, Count: rng.Int64N(10_000)})
	case 6:
		return w.record(names.Clock(), "clock", clock(city, w.wall, float64(1+rng.IntN(3))))
	case 7:
		key := fmt.Sprintf("%s/%d", line, rng.IntN(4))
		if rng.IntN(3) == 0 {
			return w.record(names.StationsTable(), key, nil)
		}
		return w.record(names.StationsTable(), key, event.StationOnLine{StationID: int32(rng.IntN(4)), StationName: "S" + strconv.Itoa(rng.IntN(9)), Order: int32(rng.IntN(5)), Line: line})
	default:
		start := city - city%windowMS
		return w.record(names.Windows(), "k", event.Window{StationID: station.ID, Start: start, End: start + windowMS, Count: rng.Int64N(50)})
	}
}

func TestTrainsGoOutAtOnceAndTotalsOnceASecond(t *testing.T) {
	b := newBoard(t)
	net := cta.Chicago()
	w := &writer{wall: wallStart}
	apply(t, b, w.record(names.Clock(), "clock", clock(cityStart, wallStart, 1)))
	frame := func(now int64) string {
		f, ok := b.Frame(now)
		if !ok {
			return ""
		}
		return string(f.Delta)
	}
	if frame(wallStart) == "" {
		t.Fatal("no first frame")
	}
	apply(t, b, w.record(names.Summary(), "40900", event.Summary{StationID: 40900, Count: 5}))
	if got := frame(wallStart + 300); got != "" {
		t.Errorf("a total went out after 300 ms: %s", got)
	}
	apply(t, b, w.train(place(net, "RD001", 0, 0, cityStart)))
	if got := frame(wallStart + 310); !strings.Contains(got, `"trains":[["RD001"`) || strings.Contains(got, "totals") {
		t.Errorf("train and no totals are due, got %s", got)
	}
	if got := frame(wallStart + 1000); !strings.Contains(got, `"totals":[[40900,5,0]]`) {
		t.Errorf("totals are due, got %s", got)
	}
	if got := frame(wallStart + 2100); got != "" {
		t.Errorf("nothing happened, got %s", got)
	}
}

func TestHostileRecordsAreCountedAndChangeNothing(t *testing.T) {
	b := newBoard(t)
	frames(t, b)
	before := string(b.Snapshot().AppendJSON(nil, 0))
	w := &writer{wall: wallStart + 100_000}
	for name, r := range map[string]event.Record{
		"train of rubbish":           w.record(names.Trains(), "x", "\x00\x01"),
		"train without id":           w.record(names.Trains(), "x", event.Train{}),
		"train with an endless id":   w.record(names.Trains(), "x", event.Train{TrainID: strings.Repeat("x", 1000)}),
		"summary of rubbish":         w.record(names.Summary(), "1", "{"),
		"summary without count":      w.record(names.Summary(), "1", `{"STATION_ID":1}`),
		"summary below zero":         w.record(names.Summary(), "1", `{"STATION_ID":1,"COUNT":-1}`),
		"summary out of range":       w.record(names.Summary(), "1", `{"STATION_ID":99999999999,"COUNT":1}`),
		"station with NULL name":     w.record(names.StationsTable(), "1", `{"station_id":1,"station_name":null,"line":"red"}`),
		"station of another type":    w.record(names.StationsTable(), "1", `[]`),
		"window off the grid":        w.record(names.Windows(), "1", event.Window{StationID: 1, Start: 17, Count: 1}),
		"window before time":         w.record(names.Windows(), "1", event.Window{StationID: 1, Start: -windowMS, Count: 1}),
		"clock at no time":           w.record(names.Clock(), "1", event.Clock{Speed: 1}),
		"clock that runs back":       w.record(names.Clock(), "1", event.Clock{CityTime: 1, Speed: -1}),
		"line without id":            w.record(names.Lines(), "1", event.LineStatus{}),
		"weather of rubbish":         w.record(names.Weather(), "1", "NaN"),
		"clock with a speed of text": w.record(names.Clock(), "1", `{"Speed":"x"}`),
	} {
		if err := b.Apply(&r); !errors.Is(err, event.ErrPoison) {
			t.Errorf("%s: error %v is no poison", name, err)
		}
	}
	if n := b.Stats().Poison; n != 16 {
		t.Errorf("%d poisoned records counted", n)
	}
	other := w.record("somebody.elses", "k", "v")
	if err := b.Apply(&other); err != nil || b.Stats().Ignored != 1 {
		t.Errorf("record of another topic: %v, %d ignored", err, b.Stats().Ignored)
	}
	b.Frame(wallStart + 1_000_000)
	if after := string(b.Snapshot().AppendJSON(nil, 0)); after != before {
		t.Errorf("the state changed:\n%s", cmp.Diff(before, after))
	}
}

func TestTrainWithAPlaceTheNetworkLacksIsNowhere(t *testing.T) {
	for name, change := range map[string]func(*event.Train){
		"unknown pattern":  func(t *event.Train) { t.Pattern = "moon" },
		"call past end":    func(t *event.Train) { t.Call = 9999 },
		"call before zero": func(t *event.Train) { t.Call = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBoard(t)
			tr := place(cta.Chicago(), "RD001", 0, 0, cityStart)
			change(&tr)
			apply(t, b, (&writer{wall: wallStart}).train(tr))
			f, _ := b.Frame(wallStart)
			if got := f.Snapshot.Train("RD001"); got.PatternIndex != -1 || got.Call != -1 || got.NextCall != -1 {
				t.Errorf("train at pattern %d, call %d, next %d", got.PatternIndex, got.Call, got.NextCall)
			}
		})
	}
}

func TestRateIsPerMinuteOfCityTime(t *testing.T) {
	var m rateMeter
	for s := range int64(300) {
		m.add(cityStart+s*1000, s*20, s/2) // 20 entries a second
	}
	if got := m.perMinute(); got.EntriesMin < 1180 || got.EntriesMin > 1220 || got.ArrivalsMin < 28 || got.ArrivalsMin > 32 {
		t.Errorf("rate %+v, want about 1200 and 30", got)
	}
	m.add(cityStart, 0, 0) // a new city
	if got := m.perMinute(); got != (Rate{}) {
		t.Errorf("rate of a new city is %+v", got)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	b := newBoard(t)
	net := cta.Chicago()
	w := &writer{wall: wallStart}
	calls := len(net.Patterns[0].Calls)
	for i := range 5000 {
		apply(t, b, w.train(place(net, "RD001", 0, i%calls, cityStart+int64(i)*10_000)))
		start := cityStart - cityStart%windowMS + int64(i)*windowMS
		apply(t, b, w.record(names.Windows(), "k", event.Window{StationID: 40900, Start: start, End: start + windowMS, Count: int64(i)}))
	}
	if n := len(b.TrainVisits("RD001")); n != trainSteps {
		t.Errorf("%d steps of a train", n)
	}
	if n := len(b.LineVisits("red")); n != 0 { // the windows are years ahead of the trains
		t.Errorf("%d arrivals of the last hour", n)
	}
	if n := len(b.StationVisits(net.Patterns[0].Calls[0].Station)); n != stationTrains {
		t.Errorf("%d last trains of a station", n)
	}
	day := b.StationDay(40900)
	if len(day) != dayWindows || day[len(day)-1].Count != 4999 || day[0].Count != 4999-dayWindows+1 {
		t.Errorf("%d windows, from %+v to %+v", len(day), day[0], day[len(day)-1])
	}
	start := cityStart - cityStart%windowMS + 4999*windowMS
	apply(t, b, w.record(names.Windows(), "other", event.Window{StationID: 41220, Start: start, End: start + windowMS, Count: 7}))
	if all := b.CityDay(); len(all) != dayWindows || all[0] != day[0] || all[len(all)-1].Count != 4999+7 {
		t.Errorf("%d windows of the city, from %+v to %+v", len(all), all[0], all[len(all)-1])
	}
	b.Frame(wallStart + 5000)
	if got := b.Snapshot().Total(40900).Last5; got != 4998 {
		t.Errorf("last full window has %d", got)
	}
	apply(t, b, w.record(names.Trains(), "RD001", nil))
	if n := len(b.TrainVisits("RD001")); n != 0 {
		t.Errorf("%d steps of a train that is gone", n)
	}
}

func TestSnapshotsDoNotChange(t *testing.T) {
	b := newBoard(t)
	var texts []string
	var snaps []*Snapshot
	for _, f := range frames(t, b) {
		snaps = append(snaps, f.Snapshot)
		texts = append(texts, string(f.Snapshot.AppendJSON(nil, 0)))
	}
	for i, s := range snaps {
		if got := string(s.AppendJSON(nil, 0)); got != texts[i] {
			t.Errorf("snapshot %d changed after it was published:\n%s", i+1, cmp.Diff(texts[i], got))
		}
	}
}

func FuzzApply(f *testing.F) {
	for i, topic := range []string{"trains", "lines", "summary", "windows", "stations", "weather", "clock"} {
		f.Add(uint8(i), []byte(topic), []byte(`{"TrainID":"RD001","Call":3,"STATION_ID":1,"COUNT":2,"station_id":1,"station_name":"x","line":"red"}`))
	}
	b := newBoard(f)
	topics := b.Topics()
	now := wallStart
	f.Fuzz(func(t *testing.T, topic uint8, key, value []byte) {
		r := event.Record{Topic: topics[int(topic)%len(topics)], Key: key, Value: value}
		_ = b.Apply(&r) // an error is fine, a panic is not
		now += 1000
		if fr, ok := b.Frame(now); ok {
			if !json.Valid(fr.Delta) || strings.ContainsAny(string(fr.Delta), "\n\r") {
				t.Fatalf("delta is not one line of JSON: %q", fr.Delta)
			}
			if text := fr.Snapshot.AppendJSON(nil, now); !json.Valid(text) {
				t.Fatalf("snapshot is no JSON: %q", text)
			}
		}
	})
}

func BenchmarkFrame(b *testing.B) {
	bd := newBoard(b)
	frames(b, bd)
	net := cta.Chicago()
	w := &writer{wall: wallStart}
	r := w.train(place(net, "RD001", 0, 0, cityStart))
	b.ReportAllocs()
	for i := range b.N {
		_ = bd.Apply(&r)
		bd.Frame(wallStart + int64(i)*20)
	}
}

func TestOneSensorWithAWrongClockBlanksNobodyElse(t *testing.T) {
	first := cityStart - cityStart%windowMS
	for what, at := range map[string]int64{"ten minutes ahead": first + 2*windowMS, "in 2199": 7_258_118_400_000 - windowMS} {
		t.Run(what, func(t *testing.T) {
			b := newBoard(t)
			w := &writer{wall: wallStart}
			apply(t, b, w.record(names.Clock(), "c", clock(first+60_000, wallStart, 10)))
			for i := range 3 {
				apply(t, b, w.record(names.Windows(), fmt.Sprint("a", i), event.Window{StationID: 40900, Start: first + int64(i-2)*windowMS, Count: 7}))
			}
			apply(t, b, w.train(place(b.net, "RD1", 0, 5, first)))
			apply(t, b, w.record(names.Windows(), "x", event.Window{StationID: 41660, Start: at, Count: 1}))
			b.Frame(wallStart)
			if n := b.Snapshot().Total(40900).Last5; n != 7 {
				t.Errorf("last 5 minutes of another station: %d, want 7", n)
			}
			if n := len(b.StationDay(40900)); n != 3 {
				t.Errorf("day of another station: %d windows, want 3", n)
			}
			if len(b.LineVisits(b.net.Patterns[0].Line)) == 0 {
				t.Error("the line has lost its visits")
			}
		})
	}
}
