package process

import (
	"slices"

	"ell/internal/event"
)

// tickEvery is how often, in milliseconds of city time, the city's clock is
// forwarded to the lines. A change of speed and a pause go at once.
const tickEvery = 10_000

// Forward sends each arrival on to arrivals.by_line, to the partition of its
// line: key, value and pattern header as they came, and a source header that
// says where they came from. Records of the city's clock go to every partition
// that holds a line, as punctuation: they tell the lines how far time has come
// when no train does. It has no state worth keeping: after a restart one more
// clock record than needed may be sent.
type Forward struct {
	dec    *event.Decoder
	clock  string
	byLine string
	lines  map[string]int32 // line -> partition
	parts  []int32          // partitions that hold a line
	header [2]event.Header
	source []byte
	arr    event.Arrival
	now    tick // last clock record forwarded
	was    tick // the same, at the last Commit
}

type tick struct {
	at     int64
	speed  float64
	paused bool
}

// NewForward returns the reducer of one task of the forwarding stage. Its task
// may be a partition of the arrivals or of the city's clock.
func NewForward(dec *event.Decoder, names event.Names, m *Map) *Forward {
	f := &Forward{dec: dec, clock: names.Clock(), byLine: names.ByLine(), lines: make(map[string]int32)}
	for i := range m.lines {
		id := m.lines[i].id
		p := event.LinePartition(id)
		f.lines[id] = p
		if !slices.Contains(f.parts, p) {
			f.parts = append(f.parts, p)
		}
	}
	slices.Sort(f.parts)
	return f
}

// Restore refuses every record: the stage has no changelog.
func (f *Forward) Restore(key, _ []byte) error {
	return stateError("forward", key, "the stage keeps no state")
}

// Process forwards one arrival or one clock record.
func (f *Forward) Process(r *event.Record, out Output) error {
	if r.Topic == f.clock {
		return f.tick(r, out)
	}
	if err := f.dec.Arrival(r, &f.arr); err != nil {
		return err // it names the record
	}
	partition, ok := f.lines[f.arr.Line]
	if !ok {
		return poisonf("arrival of train %.40q on line %.40q, which the network does not have", f.arr.TrainID, f.arr.Line)
	}
	if err := checkTime(f.arr.Timestamp); err != nil {
		return err
	}
	f.source = appendSource(f.source[:0], r)
	h := append(f.header[:0], event.Header{Key: headerSource, Value: f.source})
	for i := range r.Headers {
		if r.Headers[i].Key == headerPattern && len(r.Headers[i].Value) <= maxID {
			h = append(h, r.Headers[i])
			break
		}
	}
	out.Emit(f.byLine, partition, r.Key, r.Value, h...)
	f.header = [2]event.Header{} // or each station would keep the whole fetch that its last record came in
	return nil
}

// tick forwards a clock record if time has come far enough since the last, or
// speed or pause changed.
func (f *Forward) tick(r *event.Record, out Output) error {
	if len(r.Value) == 0 {
		return nil // a tombstone: the clock was deleted, time goes on with the next record
	}
	var c event.Clock
	if err := f.dec.Clock(r, &c); err != nil {
		return err // it names the record
	}
	if err := checkTime(c.CityTime); err != nil {
		return err
	}
	t := tick{at: c.CityTime, speed: c.Speed, paused: c.Paused}
	same := t.speed == f.now.speed && t.paused == f.now.paused
	if same && t.at < f.now.at+tickEvery {
		return nil
	}
	f.now = t
	h := append(f.header[:0], event.Header{Key: headerTick})
	for _, p := range f.parts {
		out.Emit(f.byLine, p, r.Key, r.Value, h...)
	}
	return nil
}

// Flush has nothing to add: every record was forwarded as it came.
func (f *Forward) Flush(Output) error { return nil }

// Commit keeps what was forwarded.
func (f *Forward) Commit() { f.was = f.now }

// Rewind forgets what was forwarded since the last Commit.
func (f *Forward) Rewind() { f.now = f.was }
