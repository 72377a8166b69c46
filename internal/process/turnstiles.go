package process

import (
	"bytes"
	"strconv"
	"strings"

	"ell/internal/event"
)

const (
	// windowMS is the length of a window of event time.
	windowMS = 5 * 60_000
	// windowGrace is how long after a window's end an entry still counts into it.
	windowGrace = 10 * 60_000
	// openWindows is how many windows of a station can be open at once: those
	// that hold any moment of the last windowMS+windowGrace. A power of two.
	openWindows = 4
	// keepWindows is how long windows stay on the compacted topic.
	keepWindows = 24 * 60 * 60_000
)

// gate is what is known of the entries of one station.
type gate struct {
	total   int64
	late    int64 // entries that came too late for their window
	newest  int64 // newest event time seen, ms
	windows [openWindows]window
}

type window struct {
	start   int64 // ms; 0: unused
	count   int64
	changed bool // since it was last emitted
}

// Turnstiles counts entries per station: all of them in TURNSTILE_SUMMARY, and
// those of each 5-minute window of event time in turnstile.windows.v1.
//
// Event time is per station: its newest entry. An entry that comes late is
// always in the total, and in its window if that ended less than ten minutes
// before the newest. Windows are deleted from the topic after a day.
type Turnstiles struct {
	dec     *event.Decoder
	enc     *event.Encoder
	summary string
	windows string
	suffix  string // of the changelog key: ".<slug>" with a topic per station, else ""
	station int32  // the only station of the task; 0: any
	gates   *Table[int32, gate]
	arena   arena
	ev      event.Turnstile
	late    int64 // of all stations
	lateWas int64 // the same, at the last Commit
}

// NewTurnstiles returns the reducer of the task that reads the given partition
// of the given topic: a station's own, or the one shared by all.
func NewTurnstiles(dec *event.Decoder, enc *event.Encoder, names event.Names, topic string) *Turnstiles {
	t := &Turnstiles{
		dec: dec, enc: enc,
		summary: names.Summary(), windows: names.Windows(),
		gates: NewTable[int32, gate](),
	}
	if id, ok := names.StationOf(topic); ok {
		// The topic's name ends in "<station_id>.<slug>".
		rest := strings.TrimPrefix(topic, perStation(names))
		_, slug, _ := strings.Cut(rest, ".")
		t.station, t.suffix = id, "."+slug
	}
	return t
}

// perStation is what the names of all turnstile topics of single stations begin with.
func perStation(names event.Names) string {
	names.Layout = event.PerStation
	name := names.Turnstiles(0, "")
	return strings.TrimSuffix(name, "0.")
}

// TurnstilesOwner returns a function that says which task a changelog key
// belongs to: topic and partition of its input. The key is the station's id as
// text, followed by a dot and the topic's slug where each station has a topic of its
// own. An unreadable key gets an empty topic, which no task has.
func TurnstilesOwner(names event.Names) func(key []byte) (topic string, partition int32) {
	names.Layout = event.Shared
	shared := names.Turnstiles(0, "")
	names.Layout = event.PerStation
	return func(key []byte) (string, int32) {
		id, slug, own := bytes.Cut(key, []byte{'.'})
		n, err := strconv.ParseInt(string(id), 10, 32)
		switch {
		case err != nil || n <= 0:
			return "", 0
		case own:
			return names.Turnstiles(int32(n), string(slug)), 0
		}
		return shared, event.StationPartition(int32(n))
	}
}

// Late is the number of entries that came too late for their window, since the
// reducer was made. They are in the totals.
func (t *Turnstiles) Late() int64 { return t.late }

// Process counts one entry.
func (t *Turnstiles) Process(r *event.Record, out Output) error {
	ev := &t.ev
	if err := t.dec.Turnstile(r, ev); err != nil {
		return err // it names the record
	}
	if ev.StationID <= 0 || (t.station != 0 && ev.StationID != t.station) {
		return poisonf("turnstile entry of station %d on topic %.80s", ev.StationID, r.Topic)
	}
	if ev.Timestamp < minTime || ev.Timestamp > maxTime {
		return checkTime(ev.Timestamp)
	}
	g := t.gates.Edit(ev.StationID)
	start := ev.Timestamp - ev.Timestamp%windowMS
	if ev.Timestamp > g.newest {
		if g.total > 0 && start > g.newest {
			t.expire(ev.StationID, g, start, out)
		}
		g.newest = ev.Timestamp
	}
	g.total++
	if start+windowMS+windowGrace <= g.newest {
		g.late++
		t.late++
		return nil
	}
	w := &g.windows[start/windowMS%openWindows]
	if w.start != start {
		// What was here is closed, being openWindows older, and is told now: the
		// transaction may hold more time than there are windows to remember.
		if w.changed {
			t.emitWindow(ev.StationID, w, out)
		}
		*w = window{start: start}
	}
	w.count++
	w.changed = true
	return nil
}

func (t *Turnstiles) emitWindow(id int32, w *window, out Output) {
	out.Emit(t.windows, byKey,
		t.arena.close(t.enc.AppendWindowKey(t.arena.open(), id, w.start)),
		t.arena.close(t.enc.AppendWindow(t.arena.open(), &event.Window{
			StationID: id, Start: w.start, End: w.start + windowMS, Count: w.count,
		})))
}

// expire deletes the windows that become older than keepWindows when the newest
// window of a station goes to one that starts then. However far time jumps,
// no more can be there than one keepWindows holds.
func (t *Turnstiles) expire(id int32, g *gate, to int64, out Output) {
	for i := range g.windows {
		if g.windows[i].start < to-keepWindows {
			g.windows[i] = window{} // not to be told of any more
		}
	}
	from := g.newest - g.newest%windowMS
	last := min(to-keepWindows, from+windowMS)
	for start := from - keepWindows; start < last; start += windowMS {
		out.Emit(t.windows, byKey, t.arena.close(t.enc.AppendWindowKey(t.arena.open(), id, start)), nil)
	}
}

// Flush emits each total and window that changed, once, and writes the state.
func (t *Turnstiles) Flush(out Output) error {
	for id, g := range t.gates.Dirty() {
		if g == nil {
			continue // stations are never forgotten
		}
		key := t.arena.close(strconv.AppendInt(t.arena.open(), int64(id), 10))
		out.Emit(t.summary, byKey, key, t.arena.close(appendSummary(t.arena.open(), id, g.total)))
		for i := range g.windows {
			w := &g.windows[i]
			if !w.changed {
				continue
			}
			t.emitWindow(id, w, out)
			w.changed = false
		}
		state := t.arena.open()
		state = strconv.AppendInt(state, int64(id), 10)
		state = t.arena.close(append(state, t.suffix...))
		out.State(state, t.arena.close(appendGate(t.arena.open(), g)))
	}
	return nil
}

// appendSummary writes {"STATION_ID":..,"COUNT":..}.
func appendSummary(dst []byte, id int32, count int64) []byte {
	dst = append(dst, `{"STATION_ID":`...)
	dst = strconv.AppendInt(dst, int64(id), 10)
	dst = append(dst, `,"COUNT":`...)
	dst = strconv.AppendInt(dst, count, 10)
	return append(dst, '}')
}

func appendGate(b []byte, g *gate) []byte {
	b = append(b, stateVersion)
	b = appendInt(b, g.total)
	b = appendInt(b, g.late)
	b = appendInt(b, g.newest)
	for i := range g.windows {
		b = appendInt(b, g.windows[i].start)
		b = appendInt(b, g.windows[i].count)
	}
	return b
}

// Restore takes one station's state from the changelog.
func (t *Turnstiles) Restore(key, value []byte) error {
	id, slug, own := strings.Cut(string(key), ".")
	n, err := strconv.ParseInt(id, 10, 32)
	if err != nil || n <= 0 || (own && "."+slug != t.suffix) || (t.station != 0 && int32(n) != t.station) {
		return stateError("turnstiles", key, "not a station of this task")
	}
	if len(value) == 0 {
		t.gates.Delete(int32(n))
		t.gates.Commit()
		return nil
	}
	r := readState(value)
	g := gate{
		total:  r.within(0, 1<<62),
		late:   r.within(0, 1<<62),
		newest: r.moment(),
	}
	for i := range g.windows {
		w := window{start: r.moment(), count: r.within(0, g.total)}
		if w.start%windowMS != 0 || (w.start != 0 && w.start/windowMS%openWindows != int64(i)) {
			r.fail("window out of place")
		}
		g.windows[i] = w
	}
	if bad := r.end(); bad != "" {
		return stateError("turnstiles", key, bad)
	}
	t.gates.Set(int32(n), g)
	t.gates.Commit()
	return nil
}

// Commit keeps everything counted so far.
func (t *Turnstiles) Commit() {
	t.lateWas = t.late
	t.gates.Commit()
	t.arena.reset()
}

// Rewind forgets everything counted since the last Commit.
func (t *Turnstiles) Rewind() {
	t.late = t.lateWas
	t.gates.Rewind()
	t.arena.reset()
}
