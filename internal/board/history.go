package board

import (
	"cmp"
	"slices"

	"ell/internal/event"
)

// Bounds of the history.
const (
	windowMS      = 5 * 60 * 1000
	dayWindows    = 24 * 60 / 5
	lineHistoryMS = 60 * 60 * 1000
	lineHistory   = 2048 // arrivals kept per line, at most
	stationTrains = 12   // last trains kept per station
	trainSteps    = 80   // steps of its way kept per train
)

// Visit is a train seen at a platform, with the record that says so.
type Visit struct {
	TrainID   string
	Line      string
	Pattern   int // index in Network.Patterns, -1 unknown
	Call      int32
	StationID int32
	Direction string
	Status    string
	ArrivedAt int64 // city time, ms
	DelayS    int32
	Source    event.Source
}

// ring keeps the newest of a bounded number of visits.
type ring struct {
	v    []Visit
	head int // where the next one goes once full
}

func (r *ring) push(v Visit, limit int) {
	if len(r.v) < limit {
		r.v = append(r.v, v)
		return
	}
	r.v[r.head] = v
	r.head = (r.head + 1) % limit
}

// list returns the visits, oldest first, that are not before since.
func (r *ring) list(since int64) []Visit {
	out := make([]Visit, 0, len(r.v))
	for i := range r.v {
		if v := r.v[(r.head+i)%len(r.v)]; v.ArrivedAt >= since {
			out = append(out, v)
		}
	}
	return out
}

// day is the entries of one station, one slot per window of the last 24 hours.
type day struct {
	start [dayWindows]int64
	count [dayWindows]int64
}

// history is what pages show beyond the present.
type history struct {
	days         map[int32]*day
	newestWindow int64
	clockWindow  int64 // the window that the city's clock is in; 0: no clock yet
	stations     map[int32]*ring
	lines        map[string]*ring
	trains       map[string]*ring
	trainByKey   map[string]string // record key -> train id
}

func (h *history) init() {
	h.days = make(map[int32]*day)
	h.stations = make(map[int32]*ring)
	h.lines = make(map[string]*ring)
	h.trains = make(map[string]*ring)
	h.trainByKey = make(map[string]string)
}

func (h *history) arrived(t *Train) {
	v := Visit{
		TrainID: t.TrainID, Line: t.Line, Pattern: t.PatternIndex, Call: t.Call, StationID: t.StationID,
		Direction: t.Direction, Status: t.Status, ArrivedAt: t.ArrivedAt, DelayS: t.DelayS, Source: t.Source,
	}
	put(h.stations, t.StationID, v, stationTrains, maxCharted)
	put(h.lines, t.Line, v, lineHistory, maxLines)
	put(h.trains, t.TrainID, v, trainSteps, maxTrains)
}

func put[K comparable](m map[K]*ring, k K, v Visit, limit, keys int) {
	r := m[k]
	if r == nil {
		if len(m) >= keys {
			return
		}
		r = &ring{}
		m[k] = r
	}
	r.push(v, limit)
}

func (h *history) forget(train string) { delete(h.trains, train) }

func (h *history) window(w event.Window) bool {
	d := h.days[w.StationID]
	if d == nil {
		if len(h.days) >= maxCharted {
			return false
		}
		d = &day{}
		h.days[w.StationID] = d
	}
	i := int(w.Start / windowMS % dayWindows)
	if w.Start >= d.start[i] {
		d.start[i], d.count[i] = w.Start, w.Count
	}
	return true
}

// now is the newest window of any station, but none that the city has not come
// to: one sensor with a wrong clock must not age the others' counts.
func (h *history) now() int64 {
	if h.clockWindow > 0 {
		return min(h.newestWindow, h.clockWindow)
	}
	return h.newestWindow
}

// lastFull is the count of the last full window: the one before the newest
// window of any station.
func (h *history) lastFull(id int32) int64 {
	d := h.days[id]
	if d == nil {
		return 0
	}
	at := h.now() - windowMS
	if i := int(at / windowMS % dayWindows); at > 0 && d.start[i] == at {
		return d.count[i]
	}
	return 0
}

// Entries are the people who entered a station in one window of city time.
type Entries struct {
	Start int64 `json:"start"` // ms
	Count int64 `json:"count"`
}

// StationDay returns the 5-minute windows of a station in the last 24 hours
// of city time, oldest first.
func (b *Board) StationDay(id int32) []Entries {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if d := b.hist.days[id]; d != nil {
		return b.hist.last(d)
	}
	return []Entries{}
}

// CityDay returns the same of all stations together.
func (b *Board) CityDay() []Entries {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var sum day
	for _, d := range b.hist.days {
		for i, at := range d.start {
			if at > sum.start[i] {
				sum.start[i], sum.count[i] = at, 0
			}
			if at == sum.start[i] {
				sum.count[i] += d.count[i]
			}
		}
	}
	return b.hist.last(&sum)
}

// last lists the windows of the last 24 hours of a day, oldest first.
func (h *history) last(d *day) []Entries {
	oldest := h.now() - dayWindows*windowMS
	out := make([]Entries, 0, dayWindows)
	for i, at := range d.start {
		if at > oldest && at > 0 && at <= h.now() {
			out = append(out, Entries{at, d.count[i]})
		}
	}
	slices.SortFunc(out, func(x, y Entries) int { return cmp.Compare(x.Start, y.Start) })
	return out
}

// StationVisits returns the last trains seen at a station, oldest first.
func (b *Board) StationVisits(id int32) []Visit {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return visits(b.hist.stations[id], 0)
}

// LineVisits returns the arrivals on a line in the last hour of city time,
// oldest first: the points of its string diagram.
func (b *Board) LineVisits(line string) []Visit {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return visits(b.hist.lines[line], b.state.newest-lineHistoryMS)
}

// TrainVisits returns the way of a train so far, oldest first.
func (b *Board) TrainVisits(id string) []Visit {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return visits(b.hist.trains[id], 0)
}

func visits(r *ring, since int64) []Visit {
	if r == nil {
		return []Visit{}
	}
	return r.list(since)
}
