package process

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"ell/internal/event"
)

// flagColumns are the lines that a row of stations can flag, by column.
var flagColumns = [...]string{"red", "blue", "brown", "green", "orange", "pink", "purple", "yellow"}

// Bounds on the tables; the network has some 300 stops and 200 places on lines.
const (
	maxStops = 20_000
	maxLinks = 20_000
)

// stop is a row of the table stations: one platform edge. Several share a station.
type stop struct {
	station  int32
	name     string // of the station
	order    int32
	hasOrder bool
	flags    uint16 // bit i: flagColumns[i]
	seq      int64  // rises with each row taken: the newest name wins
}

// linkKey is the place of a station on a line.
type linkKey struct {
	line    string
	station int32
}

// link is a row of the table station_lines.
type link struct {
	id    int32 // the row's own id, 0 if it has none
	order int32
}

// Stations joins the rows of stations and station_lines into
// stations.table.v1: one row per line and station, key "<line>/<station_id>".
//
// station_lines says which station is where on which line. A station that it
// never named takes the colour flags and the order of its own rows, so that a
// database of the original assignment, which has stations only, works too. The
// name is that of the station's newest row. Rows without a station id or a
// name are poison.
type Stations struct {
	stopsTopic string
	linksTopic string
	table      string
	seq        int64                    // of the newest row
	seqWas     int64                    // the same, at the last Commit
	stops      *Table[int32, stop]      // by stop id
	links      *Table[linkKey, link]    //
	linked     *Table[int32, struct{}]  // stations that station_lines named, ever
	rows       *Table[linkKey, rowText] // what stands on the output topic
	touched    map[int32]struct{}       // stations to look at in the next Flush
	restored   bool                     // rows follow from the restored state, not yet made
	arena      arena
	scratch    []linkKey
}

// rowText is the part of an output row that its key does not say.
type rowText struct {
	name  string
	order int32
}

// NewStations returns the reducer of the stage's one task.
func NewStations(names event.Names) *Stations {
	return &Stations{
		stopsTopic: names.Stations(), linksTopic: names.StationLines(), table: names.StationsTable(),
		stops: NewTable[int32, stop](), links: NewTable[linkKey, link](),
		linked: NewTable[int32, struct{}](), rows: NewTable[linkKey, rowText](),
		touched: make(map[int32]struct{}),
	}
}

// Process takes one row of either table.
func (s *Stations) Process(r *event.Record, _ Output) error {
	s.rebuild()
	if r.Topic == s.linksTopic {
		return s.takeLink(r)
	}
	return s.takeStop(r)
}

func (s *Stations) takeStop(r *event.Record) error {
	change, err := readRow(r, "stop_id")
	if err != nil {
		return err
	}
	f := change.fields
	id, err := f.id("stop_id")
	if err != nil {
		return err
	}
	if id == 0 {
		return poisonf("row of stations without a stop_id")
	}
	if change.deleted {
		if old := s.stops.Peek(id); old != nil {
			s.touch(old.station)
			s.stops.Delete(id)
		}
		return nil
	}
	next, err := readStop(f)
	if err != nil {
		return fmt.Errorf("stop %d: %w", id, err)
	}
	old := s.stops.Peek(id)
	if old == nil && s.stops.Len() >= maxStops {
		return poisonf("stop %d: the table of stations holds %d rows already", id, maxStops)
	}
	if old != nil {
		s.touch(old.station)
	}
	s.touch(next.station)
	s.seq++
	next.seq = s.seq
	s.stops.Set(id, next)
	return nil
}

func readStop(f row) (next stop, err error) {
	if next.station, err = f.id("station_id"); err != nil {
		return next, err
	}
	if next.name, err = f.text("station_name", maxName); err != nil {
		return next, err
	}
	if next.station == 0 || strings.TrimSpace(next.name) == "" {
		return next, poisonf("station_id and station_name must not be NULL or empty")
	}
	if next.order, next.hasOrder, err = f.number("order"); err != nil {
		return next, err
	}
	for i, column := range flagColumns {
		on, err := f.truth(column)
		if err != nil {
			return next, err
		}
		if on {
			next.flags |= 1 << i
		}
	}
	return next, nil
}

func (s *Stations) takeLink(r *event.Record) error {
	change, err := readRow(r, "id")
	if err != nil {
		return err
	}
	f := change.fields
	id, err := f.id("id")
	if err != nil {
		return err
	}
	line, err := f.text("line", maxID)
	if err != nil {
		return err
	}
	column := "station_id"
	if isNull(f[column]) {
		column = "station" // the shorter name is taken too
	}
	station, err := f.id(column)
	if err != nil {
		return err
	}
	k := linkKey{line, station}
	if change.deleted {
		if line == "" || station == 0 {
			var ok bool
			if k, ok = s.linkByID(id); !ok {
				return nil // never seen, or gone already
			}
		}
		s.unlink(k)
		return nil
	}
	order, hasOrder, err := f.number("order")
	if err != nil {
		return err
	}
	if line == "" || station == 0 || !hasOrder {
		return poisonf("row of station_lines: line, station_id and order must not be NULL or empty")
	}
	if s.links.Peek(k) == nil && s.links.Len() >= maxLinks {
		return poisonf("station %d on line %q: the table of station_lines holds %d rows already", station, line, maxLinks)
	}
	if old, ok := s.linkByID(id); ok && old != k {
		s.unlink(old) // the row was moved to another line or station
	}
	s.links.Set(k, link{id: id, order: order})
	s.linked.Set(station, struct{}{})
	s.touch(station)
	return nil
}

// linkByID finds a link by its row's own id.
func (s *Stations) linkByID(id int32) (linkKey, bool) {
	if id == 0 {
		return linkKey{}, false
	}
	for k, l := range s.links.All() {
		if l.id == id {
			return k, true
		}
	}
	return linkKey{}, false
}

func (s *Stations) unlink(k linkKey) {
	if s.links.Delete(k) {
		s.touch(k.station)
	}
}

// touch has Flush look at a station.
func (s *Stations) touch(station int32) { s.touched[station] = struct{}{} }

// rebuild makes the output rows that the restored state implies: those on the
// topic, since the transaction that wrote the state wrote them too.
func (s *Stations) rebuild() {
	if !s.restored {
		return
	}
	s.restored = false
	all := make(map[int32]*gathered)
	for _, st := range s.stops.All() {
		all[st.station] = &gathered{}
	}
	s.gather(all)
	for station, g := range all {
		for k, v := range s.derive(station, g) {
			s.rows.Set(k, v)
		}
	}
	s.rows.Commit()
}

// gathered is what the tables hold of one station.
type gathered struct {
	stops []*stop
	links map[linkKey]*link
	rows  []linkKey
}

// gather finds what the tables hold of the stations in by, in one pass over each:
// a pass for each station would be quadratic when all of them change.
func (s *Stations) gather(by map[int32]*gathered) {
	for _, st := range s.stops.All() {
		if g := by[st.station]; g != nil {
			g.stops = append(g.stops, st)
		}
	}
	for k, l := range s.links.All() {
		if g := by[k.station]; g != nil {
			if g.links == nil {
				g.links = make(map[linkKey]*link)
			}
			g.links[k] = l
		}
	}
	for k := range s.rows.All() {
		if g := by[k.station]; g != nil {
			g.rows = append(g.rows, k)
		}
	}
}

// derive says which rows a station has now.
func (s *Stations) derive(station int32, g *gathered) map[linkKey]rowText {
	var name string
	var newest int64
	flagged := make(map[string]int32)
	for _, st := range g.stops {
		if st.seq > newest {
			newest, name = st.seq, st.name
		}
		for i, line := range flagColumns {
			if st.flags&(1<<i) == 0 || !st.hasOrder {
				continue
			}
			// The stops of a station agree on the order; if not, the first place counts.
			if order, ok := flagged[line]; !ok || st.order < order {
				flagged[line] = st.order
			}
		}
	}
	rows := make(map[linkKey]rowText)
	if newest == 0 {
		return rows // on a line perhaps, but nothing knows its name yet
	}
	if s.linked.Peek(station) != nil {
		for k, l := range g.links {
			rows[k] = rowText{name, l.order}
		}
		return rows
	}
	for line, order := range flagged {
		rows[linkKey{line, station}] = rowText{name, order}
	}
	return rows
}

// Flush emits the rows that changed, deletes those that are gone, and writes the state.
func (s *Stations) Flush(out Output) error {
	stations := make(map[int32]*gathered, len(s.touched))
	for id := range s.touched {
		stations[id] = &gathered{}
	}
	clear(s.touched)
	s.gather(stations)
	for _, id := range slices.Sorted(maps.Keys(stations)) {
		if err := s.flushStation(id, stations[id], out); err != nil {
			return err
		}
	}
	s.writeState(out)
	return nil
}

func (s *Stations) flushStation(station int32, g *gathered, out Output) error {
	want := s.derive(station, g)
	s.scratch = s.scratch[:0]
	for _, k := range g.rows {
		if _, keep := want[k]; !keep {
			s.scratch = append(s.scratch, k)
		}
	}
	sortLinks(s.scratch)
	for _, k := range s.scratch {
		s.rows.Delete(k)
		out.Emit(s.table, byKey, s.rowKey(k), nil)
	}
	s.scratch = s.scratch[:0]
	for k, v := range want {
		if have, ok := s.rows.Get(k); !ok || have != v {
			s.scratch = append(s.scratch, k)
		}
	}
	sortLinks(s.scratch)
	for _, k := range s.scratch {
		v := want[k]
		value, err := json.Marshal(event.StationOnLine{
			StationID: k.station, StationName: v.name, Order: v.order, Line: k.line,
		})
		if err != nil {
			return fmt.Errorf("encode row of station %d on line %q: %w", k.station, k.line, err)
		}
		s.rows.Set(k, v)
		out.Emit(s.table, byKey, s.rowKey(k), value)
	}
	return nil
}

func sortLinks(ks []linkKey) {
	slices.SortFunc(ks, func(a, b linkKey) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.station, b.station))
	})
}

func (s *Stations) rowKey(k linkKey) []byte {
	b := append(s.arena.open(), k.line...)
	b = append(b, '/')
	return s.arena.close(strconv.AppendInt(b, int64(k.station), 10))
}

// Commit keeps every row taken so far.
func (s *Stations) Commit() {
	s.seqWas = s.seq
	s.stops.Commit()
	s.links.Commit()
	s.linked.Commit()
	s.rows.Commit()
	s.arena.reset()
}

// Rewind forgets every row taken since the last Commit.
func (s *Stations) Rewind() {
	s.seq = s.seqWas
	s.stops.Rewind()
	s.links.Rewind()
	s.linked.Rewind()
	s.rows.Rewind()
	clear(s.touched)
	s.arena.reset()
}
