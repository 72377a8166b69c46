package hub

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"ell/internal/board"
	"ell/internal/cta"
	"ell/internal/event"
	"ell/internal/process"
	"ell/internal/sim"
)

// registry resolves the project's own schemas.
type registry struct{ ids event.IDs }

func (r registry) Schema(id event.ID) (string, error) {
	for _, s := range event.Schemas() {
		if r.ids[s.Name] == id {
			return s.Text, nil
		}
	}
	return "", fmt.Errorf("no schema %d", id)
}

// town runs the real chain without a log: city, line reducers, board, hub.
type town struct {
	tb       testing.TB
	names    event.Names
	enc      *event.Encoder
	lines    map[int32]*process.Lines
	board    *board.Board
	hub      *Hub
	city     *sim.City
	batch    []event.Record
	wall     int64
	totals   map[int32]int64
	windows  map[[2]int64]int64
	entered  map[int32]bool
	lastTick int64
}

func newTown(tb testing.TB, start, wall int64) *town {
	tb.Helper()
	must := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	net := cta.Chicago()
	t := &town{tb: tb, names: event.Names{Prefix: "p."}, lines: map[int32]*process.Lines{}, wall: wall,
		totals: map[int32]int64{}, windows: map[[2]int64]int64{}, entered: map[int32]bool{}}
	reg := registry{event.IDs{}}
	for i, s := range event.Schemas() {
		reg.ids[s.Name] = i + 1
	}
	m, err := process.NewMap(net)
	must(err)
	t.enc, err = event.NewEncoder(reg.ids)
	must(err)
	for _, l := range net.Lines {
		p := event.LinePartition(l.ID)
		if t.lines[p] == nil {
			t.lines[p] = process.NewLines(event.NewDecoder(reg), t.enc, t.names, m, p)
		}
	}
	t.board, err = board.New(board.Options{Network: net, Decoder: event.NewDecoder(reg), Names: t.names})
	must(err)
	t.hub, err = New(Options{Epoch: "abcd1234"})
	must(err)
	t.city, err = sim.New(net, sim.Options{Seed: 1, Start: start, Incidents: "light"})
	must(err)
	for _, l := range net.Lines {
		for i, id := range l.Stations {
			t.Emit(t.names.StationsTable(), 0, fmt.Appendf(nil, "%s/%d", l.ID, id),
				fmt.Appendf(nil, `{"station_id":%d,"station_name":%q,"order":%d,"line":%q}`, id, net.Station(id).Name, i, l.ID))
		}
	}
	t.Emit(t.names.Weather(), 0, t.enc.AppendWeatherKey(nil, start), t.enc.AppendWeather(nil, &event.Weather{Timestamp: start, Temperature: 50, Status: "sunny"}))
	return t
}

// Emit is process.Output's: what reducers tell goes to the board.
func (t *town) Emit(topic string, partition int32, key, value []byte, _ ...event.Header) {
	t.batch = append(t.batch, event.Record{Topic: topic, Partition: partition, Appended: t.wall, Key: key, Value: value})
}

// State is process.Output's; nothing is restored here.
func (t *town) State(_, _ []byte) {}

// Arrival is sim.Sink's.
func (t *town) Arrival(a *event.Arrival) {
	p := event.LinePartition(a.Line)
	r := event.Record{
		Topic: t.names.ByLine(), Partition: p, Appended: t.wall,
		Key: t.enc.AppendArrivalKey(nil, a.StationID, a.Timestamp), Value: t.enc.AppendArrival(nil, a),
		Headers: []event.Header{{Key: "pattern", Value: []byte(a.Pattern)}},
	}
	if err := t.lines[p].Process(&r, t); err != nil {
		t.tb.Fatal(err)
	}
}

// Turnstile is sim.Sink's.
func (t *town) Turnstile(e *event.Turnstile) {
	t.totals[e.StationID]++
	t.windows[[2]int64{int64(e.StationID), e.Timestamp - e.Timestamp%300_000}]++
	t.entered[e.StationID] = true
}

// advance lets the city run to a time and publishes what is due then.
func (t *town) advance(city int64, wall int64, speed float64) {
	t.wall = wall
	t.city.Advance(city, t)
	if city-t.lastTick >= 10_000 {
		t.lastTick = city
		for p, l := range t.lines {
			c := event.Record{Headers: []event.Header{{Key: "tick"}}, Topic: t.names.ByLine(), Partition: p, Key: t.enc.AppendClockKey(nil), Appended: wall,
				Value: t.enc.AppendClock(nil, &event.Clock{CityTime: city, WallTime: wall, Speed: speed})}
			if err := l.Process(&c, t); err != nil {
				t.tb.Fatal(err)
			}
		}
	}
	for _, l := range t.lines {
		if err := l.Flush(t); err != nil {
			t.tb.Fatal(err)
		}
	}
	for id := range t.entered {
		t.Emit(t.names.Summary(), 0, []byte(strconv.Itoa(int(id))), fmt.Appendf(nil, `{"STATION_ID":%d,"COUNT":%d}`, id, t.totals[id]))
		start := city - city%300_000
		w := event.Window{StationID: id, Start: start, End: start + 300_000, Count: t.windows[[2]int64{int64(id), start}]}
		t.Emit(t.names.Windows(), 0, t.enc.AppendWindowKey(nil, id, start), t.enc.AppendWindow(nil, &w))
	}
	clear(t.entered)
	t.Emit(t.names.Clock(), 0, t.enc.AppendClockKey(nil), t.enc.AppendClock(nil, &event.Clock{CityTime: city, WallTime: wall, Speed: speed, Seed: 1}))
	if err := t.board.ApplyAll(t.batch); err != nil {
		t.tb.Fatal(err)
	}
	t.batch = t.batch[:0]
	for _, l := range t.lines {
		l.Commit()
	}
	if f, ok := t.board.Frame(wall); ok {
		if err := t.hub.Publish(f.Seq, f.Delta, f.Snapshot); err != nil {
			t.tb.Fatal(err)
		}
	}
}

// TestBytesPerViewer holds the stream to its budget at the morning peak: all 8
// lines, the true number of riders.
func TestBytesPerViewer(t *testing.T) {
	start := time.Date(2026, 4, 15, 8, 0, 0, 0, cta.Location()).UnixMilli()
	for _, x := range []struct {
		speed    int64
		budget   float64 // bytes a second, compressed
		snapshot int
	}{{1, 1.5 * 1024, 15 * 1024}, {10, 8 * 1024, 15 * 1024}, {60, 8 * 1024, 15 * 1024}} {
		t.Run(fmt.Sprintf("speed %d", x.speed), func(t *testing.T) {
			wall := int64(1_800_000_000_000)
			tn := newTown(t, start, wall)
			tn.advance(start+600_000, wall, float64(x.speed)) // ten minutes in, every train is known
			wall += 1000
			tn.advance(start+600_000+x.speed*1000, wall, float64(x.speed))
			city := start + 600_000 + x.speed*1000
			const seconds, step = 60, 20
			before, frames := tn.hub.sizes, tn.hub.last
			for range seconds * 1000 / step {
				wall += step
				city += x.speed * step
				tn.advance(city, wall, float64(x.speed))
			}
			rate := float64(tn.hub.sizes[gzipped]-before[gzipped]) / seconds
			plain := float64(tn.hub.sizes[identity]-before[identity]) / seconds
			tn.hub.mu.Lock()
			base := tn.hub.freshBase(gzipped)
			tn.hub.mu.Unlock()
			t.Logf("%d trains: %.0f bytes/s (%.0f uncompressed), %.1f frames/s, snapshot %d bytes (%d uncompressed)",
				len(tn.board.Snapshot().Trains), rate, plain, float64(tn.hub.last-frames)/seconds, len(base.body[gzipped]), len(base.body[identity]))
			if rate > x.budget {
				t.Errorf("%.0f bytes/s, budget %.0f", rate, x.budget)
			}
			if n := len(base.body[gzipped]); n > x.snapshot {
				t.Errorf("snapshot has %d bytes, budget %d", n, x.snapshot)
			}
		})
	}
}

var _ process.Output = (*town)(nil)
var _ board.Decoder = (*event.Decoder)(nil)
