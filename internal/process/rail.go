package process

import "ell/internal/event"

// Rail owns all lines at once: it is [Lines] for a task that reads the arrivals
// of all stations, where each has a topic of its own, and the city's clock.
// Every arrival goes to its line, and a reading of the clock to all of them when
// it is due ([event.TickDue]).
type Rail struct {
	dec   *event.Decoder
	clock string // topic
	lines []*Lines
	of    map[string]*Lines // by line
	owner map[int32]*Lines  // by partition in the other layout
	arr   event.Arrival
}

// NewRail returns the reducer of the task that reads all arrivals.
func NewRail(dec *event.Decoder, enc *event.Encoder, names event.Names, m *Map) *Rail {
	r := &Rail{dec: dec, clock: names.Clock(), of: make(map[string]*Lines), owner: make(map[int32]*Lines)}
	for i := range m.lines {
		id := m.lines[i].id
		p := event.LinePartition(id)
		if r.owner[p] == nil {
			r.owner[p] = NewLines(dec, enc, names, m, p)
			r.lines = append(r.lines, r.owner[p])
		}
		r.of[id] = r.owner[p]
	}
	return r
}

// Restore takes one record of the changelog.
func (r *Rail) Restore(key, value []byte) error {
	p, ok := linesOwner(key)
	if !ok {
		return stateError("lines", key, "")
	}
	if l := r.owner[p]; l != nil {
		return l.Restore(key, value)
	}
	return nil // a line that the network no longer has
}

// Process takes an arrival, or a record of the city's clock.
func (r *Rail) Process(rec *event.Record, _ Output) error {
	if rec.Topic == r.clock {
		return r.tick(rec)
	}
	if err := r.dec.Arrival(rec, &r.arr); err != nil {
		return err // it names the record
	}
	l := r.of[r.arr.Line]
	if l == nil {
		return poisonf("arrival of train %.40q on line %.40q, which the network does not have", r.arr.TrainID, r.arr.Line)
	}
	return l.takeArrival(rec, &r.arr)
}

func (r *Rail) tick(rec *event.Record) error {
	if len(rec.Value) == 0 {
		return nil // a tombstone: the clock was deleted, time goes on with the next record
	}
	var c event.Clock
	if err := r.dec.Clock(rec, &c); err != nil {
		return err // it names the record
	}
	if err := checkTime(c.CityTime); err != nil {
		return err
	}
	if !event.TickDue(r.told(), &c) {
		return nil
	}
	for _, l := range r.lines {
		l.takeTime(rec, c.CityTime)
	}
	return nil
}

// told is the time that the lines were told last, 0 if they were told none yet.
func (r *Rail) told() (at int64) {
	for _, l := range r.lines {
		for _, st := range l.state.All() {
			at = max(at, st.clock)
		}
	}
	return at
}

// Flush tells of every train and line that changed and writes the state.
func (r *Rail) Flush(out Output) error {
	for _, l := range r.lines {
		if err := l.Flush(out); err != nil {
			return err
		}
	}
	return nil
}

// Commit keeps everything taken so far.
func (r *Rail) Commit() {
	for _, l := range r.lines {
		l.Commit()
	}
}

// Rewind forgets everything taken since the last Commit.
func (r *Rail) Rewind() {
	for _, l := range r.lines {
		l.Rewind()
	}
}
