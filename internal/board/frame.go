package board

import (
	"cmp"
	"maps"
	"slices"

	"ell/internal/event"
)

// Frame is one numbered step of what viewers know.
type Frame struct {
	Seq uint64
	// Delta is one line of JSON, event "delta" of docs/stream.md. It is valid
	// until the next call of Frame.
	Delta []byte
	// Snapshot is the whole state after the delta.
	Snapshot *Snapshot
}

// changes is what one frame carries.
type changes struct {
	trains  []*Train
	gone    []string
	lines   []event.LineStatus
	rows    []event.StationOnLine
	rowGone []rowKey
	totals  []Total
	weather *event.Weather
	clock   bool
	rate    bool
}

func (c *changes) none() bool {
	return len(c.trains)+len(c.gone)+len(c.lines)+len(c.rows)+len(c.rowGone)+len(c.totals) == 0 &&
		c.weather == nil && !c.clock && !c.rate
}

// clockEvery is how often the clock is sent though viewers could work it out, wall ms.
const clockEvery = 5000

// Frame publishes what changed since the last call. Trains, stations, weather
// and status words go out at once; totals, line details, rates and the clock
// when the last time was a second ago or more. now is wall time in
// milliseconds. ok is false when there is nothing to publish.
//
// One caller numbers frames: call it from the goroutine that hands them on.
func (b *Board) Frame(now int64) (f Frame, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := &b.state
	old := b.published.Load()
	slow := old.Seq == 0 || now-s.lastSlow >= slowEvery || now < s.lastSlow
	if !s.urgent && !slow {
		return Frame{}, false
	}
	if old.Seq == 0 && s.newest == 0 && !s.urgent {
		return Frame{}, false // nothing known at all
	}
	next := *old
	if old.Seq == 0 {
		next.T0 = zero(s.newest, now)
		// What was on the log before is no news: rates begin here.
		s.rate = rateMeter{}
		if s.hasClock {
			s.rate.add(s.clock.CityTime, s.entries, s.arrivals)
		}
	}
	var c changes
	b.takeTrains(&c, &next, now)
	b.takeRows(&c, &next)
	if s.weatherDirty {
		next.Weather, c.weather, s.weatherDirty = s.weather, s.weather, false
	}
	if slow || s.urgent {
		b.takeLines(&c, &next, slow)
	}
	if slow {
		b.takeTotals(&c, &next)
		if r := s.rate.perMinute(); r != next.Rate {
			next.Rate, c.rate = r, true
		}
	}
	if s.hasClock && (s.clockDirty || slow && s.clockMoved && b.clockDue(old, now)) {
		next.Clock, next.HasClock, c.clock = s.clock, true, true
		s.clockDirty, s.clockMoved, s.clockSent = false, false, now
	}
	s.urgent = false
	if slow {
		s.lastSlow = now
	}
	if c.none() && old.Seq > 0 {
		return Frame{}, false
	}
	next.Seq++
	next.Appended = max(next.Appended, s.appended)
	b.stats.Frames++
	f = Frame{Seq: next.Seq, Delta: appendDelta(b.buf[:0], &next, &c, s.appended, now), Snapshot: &next}
	b.buf = f.Delta
	s.appended = 0
	b.published.Store(&next)
	return f, true
}

// zero picks what city times are relative to: a whole hour, an hour or more
// before the newest time, so that times on the wire are short and mostly positive.
func zero(newest, now int64) int64 {
	const hour = 3_600_000
	if newest == 0 {
		newest = now
	}
	return newest - newest%hour - hour
}

// Pending says whether Frame would publish something: at once, or when the
// slow tick comes round at the returned wall time.
func (b *Board) Pending() (urgent bool, slowAt int64) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.state.urgent, b.state.lastSlow + slowEvery
}

// clockDue says whether viewers who extrapolate the published clock would be
// a quarter of a second of wall time off, or have not heard for a while.
func (b *Board) clockDue(old *Snapshot, now int64) bool {
	s := &b.state
	if !old.HasClock || now-s.clockSent >= clockEvery {
		return true
	}
	if s.clock.Paused || s.clock.Speed <= 0 {
		return s.clock.CityTime != old.Clock.CityTime
	}
	guess := float64(old.Clock.CityTime) + float64(s.clock.WallTime-old.Clock.WallTime)*s.clock.Speed
	off := (float64(s.clock.CityTime) - guess) / s.clock.Speed
	return off > 250 || off < -250
}

// takeTrains takes the trains that changed. What the first frame shows is no news.
func (b *Board) takeTrains(c *changes, next *Snapshot, now int64) {
	s := &b.state
	if len(s.touchedTrains) == 0 {
		return
	}
	ids := slices.Sorted(maps.Keys(s.touchedTrains))
	clear(s.touchedTrains)
	all := make([]*Train, 0, len(ids))
	for _, id := range ids {
		t := s.trains[id]
		if t != nil {
			if was := next.Train(id); next.Seq > 0 && (was == nil || was.Source != t.Source) {
				b.shown(now - t.Source.Appended)
			}
			c.trains = append(c.trains, t)
			all = append(all, t)
			continue
		}
		if next.Train(id) != nil {
			c.gone = append(c.gone, id)
		}
		all = append(all, &Train{Train: event.Train{TrainID: id}, PatternIndex: goneMark})
	}
	next.Trains = upsert(next.Trains, all,
		func(x, y *Train) int { return cmp.Compare(x.TrainID, y.TrainID) },
		func(t *Train) bool { return t.PatternIndex != goneMark })
}

// goneMark is the pattern of a train that is to be removed in upsert.
const goneMark = -2

func (b *Board) takeRows(c *changes, next *Snapshot) {
	s := &b.state
	if len(s.touchedRows) == 0 {
		return
	}
	keys := slices.SortedFunc(maps.Keys(s.touchedRows), func(x, y rowKey) int {
		return cmp.Or(cmp.Compare(x.Line, y.Line), cmp.Compare(x.Station, y.Station))
	})
	clear(s.touchedRows)
	was := make(map[rowKey]bool, len(next.Stations))
	for _, r := range next.Stations {
		was[rowKey{r.Line, r.StationID}] = true
	}
	for _, k := range keys {
		if r, ok := s.rows[k]; ok {
			c.rows = append(c.rows, r)
		} else if was[k] {
			c.rowGone = append(c.rowGone, k)
		}
	}
	next.Stations = slices.Collect(maps.Values(s.rows))
	slices.SortFunc(next.Stations, func(x, y event.StationOnLine) int {
		return cmp.Or(cmp.Compare(b.rank(x.Line), b.rank(y.Line)), cmp.Compare(x.Line, y.Line),
			cmp.Compare(x.Order, y.Order), cmp.Compare(x.StationID, y.StationID))
	})
}

func (b *Board) rank(line string) int {
	if i, ok := b.lineRank[line]; ok {
		return i
	}
	return len(b.lineRank)
}

// takeLines takes all changed lines on the slow tick, else those whose status
// word changed.
func (b *Board) takeLines(c *changes, next *Snapshot, slow bool) {
	s := &b.state
	for id := range s.touchedLines {
		l := s.lines[id]
		if !slow {
			if was, ok := next.Line(id); ok && was.Status == l.Status {
				continue
			}
		}
		delete(s.touchedLines, id)
		c.lines = append(c.lines, l)
	}
	if len(c.lines) == 0 {
		return
	}
	byID := func(x, y event.LineStatus) int { return cmp.Compare(x.Line, y.Line) }
	slices.SortFunc(c.lines, byID)
	next.Lines = upsert(next.Lines, c.lines, byID, func(event.LineStatus) bool { return true })
}

func (b *Board) takeTotals(c *changes, next *Snapshot) {
	s := &b.state
	if len(s.touchedTotals) == 0 {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(s.touchedTotals)) {
		t := Total{id, s.totals[id], s.last5[id]}
		if t != next.Total(id) {
			c.totals = append(c.totals, t)
		}
	}
	clear(s.touchedTotals)
	if len(c.totals) == 0 {
		return
	}
	next.Totals = upsert(next.Totals, c.totals,
		func(x, y Total) int { return cmp.Compare(x.StationID, y.StationID) },
		func(Total) bool { return true })
}
