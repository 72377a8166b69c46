package board

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"ell/internal/event"
)

// state is everything known now, published or not yet.
type state struct {
	trains   map[string]*Train
	lines    map[string]event.LineStatus
	rows     map[rowKey]event.StationOnLine
	rowOf    map[string]rowKey // record key of the stations table -> row
	totals   map[int32]int64
	last5    map[int32]int64
	weather  *event.Weather
	clock    event.Clock
	hasClock bool
	newest   int64 // newest city time seen on any record

	// entries and arrivals counted so far, for the rates
	entries, arrivals int64
	rate              rateMeter

	// what changed since it was last published
	touchedTrains map[string]struct{}
	touchedRows   map[rowKey]struct{}
	touchedLines  map[string]struct{}
	touchedTotals map[int32]struct{}
	urgent        bool // a change that must not wait for the slow tick
	weatherDirty  bool
	clockDirty    bool // speed, pause or seed changed
	clockMoved    bool
	appended      int64 // newest append time among records not yet published
	lastSlow      int64 // wall time of the last slow tick
	clockSent     int64 // wall time at which the clock was last published
}

// rowKey is the identity of a row of the stations table.
type rowKey struct {
	Line    string
	Station int32
}

func (s *state) init() {
	s.trains = make(map[string]*Train)
	s.lines = make(map[string]event.LineStatus)
	s.rows = make(map[rowKey]event.StationOnLine)
	s.rowOf = make(map[string]rowKey)
	s.totals = make(map[int32]int64)
	s.last5 = make(map[int32]int64)
	s.touchedTrains = make(map[string]struct{})
	s.touchedRows = make(map[rowKey]struct{})
	s.touchedLines = make(map[string]struct{})
	s.touchedTotals = make(map[int32]struct{})
}

func poison(what string, err error) error {
	if errors.Is(err, event.ErrPoison) {
		return fmt.Errorf("decode %s: %w", what, err)
	}
	return fmt.Errorf("decode %s: %w: %w", what, event.ErrPoison, err)
}

// Train is a train as published. It never changes.
type Train struct {
	event.Train
	PatternIndex int          // index in Network.Patterns; -1 while not known
	Record       event.Source // the record of the trains topic that says so
}

func (b *Board) seen(r *event.Record, cityTime int64) {
	b.state.appended = max(b.state.appended, r.Appended)
	b.state.newest = max(b.state.newest, cityTime)
}

func (b *Board) applyTrain(r *event.Record) error {
	s := &b.state
	if len(r.Value) == 0 {
		// The key of a tombstone is enough: records of a train are found by it.
		id, ok := b.hist.trainByKey[string(r.Key)]
		if !ok {
			return nil
		}
		delete(b.hist.trainByKey, string(r.Key))
		delete(s.trains, id)
		b.hist.forget(id)
		s.touchedTrains[id] = struct{}{}
		s.urgent = true
		b.seen(r, 0)
		return nil
	}
	var t event.Train
	if err := b.dec.Train(r, &t); err != nil {
		return poison("train", err)
	}
	if t.TrainID == "" || len(t.TrainID) > 64 {
		return poison("train", fmt.Errorf("train id of %d bytes", len(t.TrainID)))
	}
	old := s.trains[t.TrainID]
	if old == nil && (len(s.trains) >= maxTrains || len(b.hist.trainByKey) >= 2*maxTrains) {
		b.stats.Dropped++
		return nil
	}
	nt := &Train{Train: t, PatternIndex: -1, Record: event.Source{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Appended: r.Appended,
	}}
	if i, ok := b.patterns[t.Pattern]; ok {
		if calls := len(b.net.Patterns[i].Calls); int(t.Call) >= 0 && int(t.Call) < calls {
			nt.PatternIndex = i
			if int(t.NextCall) >= calls {
				nt.NextCall = -1
			}
		}
	}
	if nt.PatternIndex < 0 {
		nt.Call, nt.NextCall = -1, -1
	}
	nt.NextCall = max(nt.NextCall, -1)
	s.trains[t.TrainID] = nt
	b.hist.trainByKey[string(r.Key)] = t.TrainID
	if old == nil || old.ArrivedAt != t.ArrivedAt || old.StationID != t.StationID || old.Direction != t.Direction {
		s.arrivals++
		b.hist.arrived(nt)
	}
	s.touchedTrains[t.TrainID] = struct{}{}
	s.urgent = true
	if nt.Source.Appended == 0 {
		nt.Source.Appended = r.Appended
	}
	b.seen(r, t.ArrivedAt)
	return nil
}

func (b *Board) applyLine(r *event.Record) error {
	if len(r.Value) == 0 {
		return nil // a line never goes
	}
	var l event.LineStatus
	if err := b.dec.Line(r, &l); err != nil {
		return poison("line", err)
	}
	if l.Line == "" {
		return poison("line", errors.New("no line id"))
	}
	s := &b.state
	old, known := s.lines[l.Line]
	if !known && len(s.lines) >= maxLines {
		b.stats.Dropped++
		return nil
	}
	l.Line, l.Status, l.Reason = clip(l.Line), clip(l.Status), clip(l.Reason)
	l.Headways = append([]event.Headway(nil), l.Headways...)
	s.lines[l.Line] = l
	s.touchedLines[l.Line] = struct{}{}
	if !known || old.Status != l.Status {
		s.urgent = true
	}
	b.seen(r, l.UpdatedAt)
	return nil
}

func (b *Board) applySummary(r *event.Record) error {
	s := &b.state
	if len(r.Value) == 0 {
		if id, err := strconv.ParseInt(string(r.Key), 10, 32); err == nil {
			delete(s.totals, int32(id))
			s.touchedTotals[int32(id)] = struct{}{}
		}
		return nil
	}
	sum, err := parseSummary(r.Value)
	if err != nil {
		return poison("summary", err)
	}
	if _, ok := s.totals[sum.StationID]; !ok && len(s.totals) >= maxStations {
		b.stats.Dropped++
		return nil
	}
	s.entries += sum.Count - s.totals[sum.StationID]
	s.totals[sum.StationID] = sum.Count
	s.touchedTotals[sum.StationID] = struct{}{}
	b.seen(r, 0)
	return nil
}

// parseSummary reads {"STATION_ID": int, "COUNT": long}; both are required.
func parseSummary(value []byte) (event.Summary, error) {
	var v struct {
		StationID *int32 `json:"STATION_ID"`
		Count     *int64 `json:"COUNT"`
	}
	if err := json.Unmarshal(value, &v); err != nil {
		return event.Summary{}, err
	}
	if v.StationID == nil || v.Count == nil || *v.Count < 0 {
		return event.Summary{}, errors.New("STATION_ID and a COUNT of 0 or more are required")
	}
	return event.Summary{StationID: *v.StationID, Count: *v.Count}, nil
}

func (b *Board) applyWindow(r *event.Record) error {
	if len(r.Value) == 0 {
		return nil
	}
	var w event.Window
	if err := b.dec.Window(r, &w); err != nil {
		return poison("window", err)
	}
	if w.Start <= 0 || w.Count < 0 || w.Start%windowMS != 0 {
		return poison("window", fmt.Errorf("start %d, count %d", w.Start, w.Count))
	}
	if !b.hist.window(w) {
		b.stats.Dropped++
		return nil
	}
	was := b.hist.now()
	b.hist.newestWindow = max(b.hist.newestWindow, w.Start)
	b.movedOn(was)
	b.refreshLast5(w.StationID)
	b.seen(r, min(w.Start, b.hist.now()))
	return nil
}

// movedOn counts anew when the newest window is not the one that was: the one
// before it is the last full one, for every station.
func (b *Board) movedOn(was int64) {
	if b.hist.now() == was {
		return
	}
	for id := range b.hist.days {
		b.refreshLast5(id)
	}
}

func (b *Board) refreshLast5(id int32) {
	n := b.hist.lastFull(id)
	if b.state.last5[id] != n {
		b.state.last5[id] = n
		b.state.touchedTotals[id] = struct{}{}
	}
}

func (b *Board) applyStation(r *event.Record) error {
	s := &b.state
	if len(r.Value) == 0 {
		if k, ok := s.rowOf[string(r.Key)]; ok {
			delete(s.rowOf, string(r.Key))
			delete(s.rows, k)
			s.touchedRows[k] = struct{}{}
			s.urgent = true
			b.seen(r, 0)
		}
		return nil
	}
	var v struct {
		StationID   *int32  `json:"station_id"`
		StationName *string `json:"station_name"`
		Order       int32   `json:"order"`
		Line        string  `json:"line"`
	}
	if err := json.Unmarshal(r.Value, &v); err != nil {
		return poison("station", err)
	}
	if v.StationID == nil || v.StationName == nil || v.Line == "" {
		return poison("station", errors.New("station_id, station_name and line are required"))
	}
	row := event.StationOnLine{StationID: *v.StationID, StationName: clip(*v.StationName), Order: v.Order, Line: clip(v.Line)}
	k := rowKey{row.Line, row.StationID}
	if _, ok := s.rows[k]; !ok && (len(s.rows) >= maxStations || len(s.rowOf) >= 2*maxStations) {
		b.stats.Dropped++
		return nil
	}
	if was, ok := s.rowOf[string(r.Key)]; ok && was != k {
		delete(s.rows, was)
		s.touchedRows[was] = struct{}{}
	}
	s.rowOf[string(r.Key)] = k
	s.rows[k] = row
	s.touchedRows[k] = struct{}{}
	s.urgent = true
	b.seen(r, 0)
	return nil
}

func (b *Board) applyWeather(r *event.Record) error {
	if len(r.Value) == 0 {
		return nil
	}
	var w event.Weather
	if err := b.dec.Weather(r, &w); err != nil {
		return poison("weather", err)
	}
	if f := float64(w.Temperature); math.IsNaN(f) || math.IsInf(f, 0) {
		return poison("weather", errors.New("temperature is no number"))
	}
	s := &b.state
	if s.weather != nil && w.Timestamp < s.weather.Timestamp {
		return nil // a reading sent again by the spool
	}
	w.Status = clip(w.Status)
	s.weather, s.weatherDirty, s.urgent = &w, true, true
	b.seen(r, w.Timestamp)
	return nil
}

func (b *Board) applyClock(r *event.Record) error {
	if len(r.Value) == 0 {
		return nil
	}
	var c event.Clock
	if err := b.dec.Clock(r, &c); err != nil {
		return poison("clock", err)
	}
	if math.IsNaN(c.Speed) || math.IsInf(c.Speed, 0) || c.Speed < 0 || c.CityTime <= 0 {
		return poison("clock", fmt.Errorf("city time %d, speed %v", c.CityTime, c.Speed))
	}
	s := &b.state
	if !s.hasClock || c.Speed != s.clock.Speed || c.Paused != s.clock.Paused || c.Seed != s.clock.Seed || c.Start != s.clock.Start {
		s.clockDirty, s.urgent = true, true
	}
	s.clock, s.hasClock, s.clockMoved = c, true, true
	was := b.hist.now()
	b.hist.clockWindow = c.CityTime - c.CityTime%windowMS
	b.movedOn(was)
	s.newest = max(s.newest, c.CityTime)
	s.rate.add(c.CityTime, s.entries, s.arrivals)
	return nil
}

// clip bounds a text and makes it valid UTF-8.
func clip(s string) string {
	if len(s) <= maxText && utf8.ValidString(s) {
		return s
	}
	if len(s) > maxText {
		s = s[:maxText]
	}
	out := make([]rune, 0, len(s))
	for _, r := range s {
		if r != utf8.RuneError {
			out = append(out, r)
		}
	}
	return string(out)
}
