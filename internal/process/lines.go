package process

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"ell/internal/cta"
	"ell/internal/event"
)

// How time is dealt with on a line, all in ms of event time.
const (
	// lineGrace is how far out of order arrivals may come and still be put in
	// order: what is learned of an arrival waits that long.
	lineGrace = 5 * 60_000
	// evalEvery is how often a line's trains are looked at, whether they are seen or not.
	evalEvery = 10_000
	// wordsEvery is how often a line is looked at as a whole, for its words: they
	// come of gaps and delays of minutes.
	wordsEvery = 30_000
	// aheadMost is how far arrivals may take a line's time beyond the city's
	// clock, so that one sensor with a wrong clock does not age everything else.
	aheadMost = 10 * 60_000
	// outKeep is how long a train that went out of service is still shown.
	outKeep = 5 * 60_000
	// silentMost is how long past its due time a train is believed to exist.
	silentMost = 60 * 60_000
	// futureMost is how far ahead of the city's clock a train's last arrival may
	// be before the train is given up as wrong.
	futureMost = 6 * 60 * 60_000
)

const (
	maxPending = 8    // arrivals of one train waiting for lineGrace to pass
	maxTrains  = 1000 // of one line
)

type trainKey struct {
	line int16
	id   string
}

// train is what is known of one train: where it was for sure, the newer
// arrivals in order of event time, and what was last told of it. What is looked
// at again and again comes first.
type train struct {
	now     fix  // by everything known, see at; not in the changelog, which has what it comes of
	isNow   bool // now is what it should be
	guess   guess
	told    told
	late    int64
	n       int8 // of pending
	retell  bool // something else is to be told by now; until Flush
	pending [maxPending]sighting
	base    fix
}

// guess is the newest prediction for a train, as long as nothing that it came of
// has changed. It is not in the changelog, and need not be rewound.
type guess struct {
	told
	from, until int64 // of the line's time
	lastAt      int64 // of the leg ahead, as is mean: what was learned of it changes both
	mean        float64
}

// told is what stands on trains.v1 about a train, but for its source.
type told struct {
	place           place
	site            int16
	next            int32
	status          uint8
	at, depart, due int64
	delay           int32
	late            int64
	is              bool // anything was told at all
}

// Lines owns everything that is per line: where its trains are, when they are
// due next, and how the line runs. It reads arrivals by line and writes
// trains.v1 and lines.v1.
//
// Order is event time. An arrival older than the newest of its train counts as
// late and never moves the train back; if it is not older than lineGrace, what
// is learned from it comes out as if it had been in order. Time moves with the
// city's clock, and with arrivals where there is none.
//
// Times to come are learned from arrivals alone: for each leg how long trains
// take from arriving at one stop to arriving at the next, with the timetable's
// run time as the first guess. Trains that turned back leave by the timetable.
type Lines struct {
	dec    *event.Decoder
	enc    *event.Encoder
	m      *Map
	trains string // topic
	lines  string // topic
	mine   []int  // lines of this task

	state   *Table[int16, lineState]
	train   *Table[trainKey, train]
	legs    *Table[legKey, leg]
	visits  *Table[visitKey, visit]
	arena   arena
	arr     event.Arrival
	work    []due
	near    []int64
	ids     []trainKey
	visited []visit
	days    [2]departures // of the service days asked for last, the newest first
	kept    []*kept       // by line; nil for those of other tasks
}

// kept is what need not be worked out anew at each look at a line. It follows
// from the tables, is not in the changelog, and never decides anything by itself.
type kept struct {
	state  Place[int16, lineState]
	visits []Place[visitKey, visit] // by site
	legs   []Place[legKey, leg]     // by way
	slow   []uint64                 // a bit for each way on which the newest trains were slow
	oldest oldest
	gaps   headways
	// turning are the trains that wait where trains turn back, the first to have
	// come first; they hold until a train of the line is seen, or goes.
	turning []turning
	turned  bool // turning holds
}

// due is one pending arrival whose time to be settled has come.
type due struct {
	at  int64
	key trainKey
}

// NewLines returns the reducer of the task that reads the given partition of
// arrivals by line.
func NewLines(dec *event.Decoder, enc *event.Encoder, names event.Names, m *Map, partition int32) *Lines {
	l := &Lines{
		dec: dec, enc: enc, m: m, trains: names.Trains(), lines: names.Lines(),
		state: NewTable[int16, lineState](), train: NewTable[trainKey, train](),
		legs: NewTable[legKey, leg](), visits: NewTable[visitKey, visit](),
	}
	l.kept = make([]*kept, len(m.lines))
	for i := range m.lines {
		if line := &m.lines[i]; event.LinePartition(line.id) == partition {
			l.mine = append(l.mine, i)
			l.kept[i] = &kept{
				visits: make([]Place[visitKey, visit], len(line.sites)),
				legs:   make([]Place[legKey, leg], len(line.ways)), slow: make([]uint64, (len(line.ways)+63)/64),
			}
			l.state.Set(int16(i), lineState{})
		}
	}
	l.state.Commit() // nothing is known, nothing to write
	return l
}

// linesOwner says which partition of arrivals by line a changelog key belongs
// to. Keys are "<kind>/<line>" and "<kind>/<line>/...". ok is false for a key
// that has no line.
func linesOwner(key []byte) (partition int32, ok bool) {
	_, rest, found := strings.Cut(string(key), "/")
	line, _, _ := strings.Cut(rest, "/")
	if !found || line == "" {
		return 0, false
	}
	return event.LinePartition(line), true
}

// Process takes an arrival, or a record of the city's clock.
func (l *Lines) Process(r *event.Record, _ Output) error {
	if event.IsTick(r.Headers) {
		return l.takeTick(r)
	}
	if err := l.dec.Arrival(r, &l.arr); err != nil {
		return err // it names the record
	}
	return l.takeArrival(r, &l.arr)
}

func (l *Lines) takeTick(r *event.Record) error {
	var c event.Clock
	if err := l.dec.Clock(r, &c); err != nil {
		return err // it names the record
	}
	if err := checkTime(c.CityTime); err != nil {
		return err
	}
	l.takeTime(r, c.CityTime)
	return nil
}

// takeTime tells the lines the city's time, as r says it.
func (l *Lines) takeTime(r *event.Record, now int64) {
	src := sourceOf(r)
	for _, li := range l.mine {
		st := l.line(li)
		st.clock = max(st.clock, now)
		st.src = src
		st.bound(st.clock + aheadMost)
		l.advance(li, st, st.clock)
	}
}

const maxTopic = 249 // bytes of a topic's name, as Kafka has it

// sourceOf says which record of the log this one is.
func sourceOf(r *event.Record) event.Source {
	s := event.Source{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Appended: r.Appended}
	if len(s.Topic) > maxTopic {
		s.Topic = s.Topic[:maxTopic]
	}
	return s
}

func (l *Lines) takeArrival(r *event.Record, a *event.Arrival) error {
	li, s, err := l.read(a)
	if err != nil {
		return err
	}
	k := trainKey{int16(li), a.TrainID}
	t := l.train.EditIf(k)
	if t == nil && l.train.Len() >= maxTrains && l.countTrains(li) >= maxTrains {
		return poisonf("train %.40q: line %s has %d trains already", a.TrainID, a.Line, maxTrains)
	}
	st := l.line(li)
	s.src = sourceOf(r)
	st.src = s.src
	if t == nil && s.at < st.now-silentMost {
		st.late++ // so old that the train may have been given up since
		return nil
	}
	if t == nil {
		t = l.train.Edit(k)
	}
	if !t.base.known() { // else it came from there
		if prev, ok := siteOf(&l.m.lines[li], a.PrevStationID, a.PrevDirection); ok {
			s.prev = prev
		}
	}
	if l.insert(k.line, t, &s) {
		t.late++
		st.late++
	}
	if t.n == maxPending {
		l.settleOne(k)
	}
	now := s.at
	if st.clock > 0 {
		now = min(now, st.clock+aheadMost)
	}
	l.advance(li, st, now)
	return nil
}

// line is the state of a line, to change.
func (l *Lines) line(li int) *lineState { return l.state.EditAt(&l.kept[li].state, int16(li)) }

// read checks an arrival against the network.
func (l *Lines) read(a *event.Arrival) (li int, s sighting, err error) {
	i := slices.IndexFunc(l.mine, func(li int) bool { return l.m.lines[li].id == a.Line })
	if i < 0 {
		return 0, s, poisonf("arrival of train %.40q on line %.40q, which is not of this partition", a.TrainID, a.Line)
	}
	if a.TrainID == "" || len(a.TrainID) > maxID || strings.Contains(a.TrainID, "/") {
		return 0, s, poisonf("arrival on line %s: train id %.40q is empty, too long or holds a slash", a.Line, a.TrainID)
	}
	if err := checkTime(a.Timestamp); err != nil {
		return 0, s, fmt.Errorf("arrival of train %s: %w", a.TrainID, err)
	}
	li = l.mine[i]
	status, ok := statusOf(a.TrainStatus)
	if !ok {
		return 0, s, poisonf("arrival of train %s: unknown status %.40q", a.TrainID, a.TrainStatus)
	}
	info := &l.m.lines[li]
	at, ok := siteOf(info, a.StationID, a.Direction)
	if !ok {
		return 0, s, poisonf("arrival of train %s: the %s line does not call at station %d in direction %.10q", a.TrainID, a.Line, a.StationID, a.Direction)
	}
	s = sighting{at: a.Timestamp, site: at, hint: none, prev: none, status: status}
	if p, ok := l.m.byPattern[a.Pattern]; ok && l.m.patterns[p].line == li {
		s.hint = int16(p)
	}
	return li, s, nil
}

func siteOf(l *lineInfo, station int32, direction string) (int16, bool) {
	k := siteKey{station: station}
	switch direction {
	case "a":
		k.dir = cta.A
	case "b":
		k.dir = cta.B
	default:
		return 0, false
	}
	i, ok := l.bySite[k]
	return i, ok
}

// bound brings a line's time back to most, where arrivals took it further
// before the city's clock was known.
func (st *lineState) bound(most int64) {
	if st.now <= most {
		return
	}
	st.now = most
	st.evalAt = min(st.evalAt, most-evalEvery)
	st.since, st.seen, st.wishAt = min(st.since, most), min(st.seen, most), min(st.wishAt, most)
}

// insert puts a sighting in its place among the pending ones and says whether
// it came late. One that was there already is dropped.
func (l *Lines) insert(line int16, t *train, s *sighting) (late bool) {
	if t.base.known() && s.at <= t.base.seen {
		// Settled time. The newest sighting again is a duplicate; all else is late.
		return s.at != t.base.seen || s.site != t.base.site
	}
	i := int(t.n)
	for ; i > 0 && s.before(&t.pending[i-1]); i-- {
	}
	if i > 0 && s.same(&t.pending[i-1]) {
		return false
	}
	late = t.n > 0 && s.at < t.pending[t.n-1].at
	copy(t.pending[i+1:t.n+1], t.pending[i:t.n])
	t.pending[i] = *s
	t.n++
	t.guess.until, l.kept[line].turned = 0, false
	// Only the newest one's source is ever told; to keep the others would more
	// than double what the changelog holds of a train.
	for j := max(i-1, 0); j < int(t.n)-1; j++ {
		t.pending[j].src = event.Source{}
	}
	if i == int(t.n)-1 {
		t.base.src = event.Source{}
		if t.isNow {
			t.now, _ = l.m.step(&l.m.lines[line], t.now, s)
		}
	} else {
		t.isNow = false
	}
	return late
}

func (l *Lines) countTrains(li int) (n int) {
	for k := range l.train.All() {
		if int(k.line) == li {
			n++
		}
	}
	return n
}

// advance moves a line's time and looks at the line when it is time to.
func (l *Lines) advance(li int, st *lineState, now int64) {
	st.now = max(st.now, now)
	if st.now < st.evalAt+evalEvery {
		return
	}
	whole := st.now/wordsEvery != st.evalAt/wordsEvery
	st.evalAt = st.now
	if whole {
		l.settle(li, st.now-lineGrace)
		l.forget(li, st)
	}
	l.refresh(li, st)
	if whole {
		l.evaluate(li)
	}
}

// settle learns from every pending arrival of a line up to a time, in the
// order of their times.
func (l *Lines) settle(li int, until int64) {
	l.work = l.work[:0]
	for k, t := range l.train.All() {
		if int(k.line) != li {
			continue
		}
		for i := range t.n {
			at := t.pending[i].at
			if at > until {
				break
			}
			l.work = append(l.work, due{at, k})
		}
	}
	slices.SortFunc(l.work, func(a, b due) int {
		return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.key.id, b.key.id))
	})
	for _, w := range l.work {
		l.settleOne(w.key)
	}
}

// settleOne makes the oldest pending arrival of a train part of what is known for sure.
func (l *Lines) settleOne(k trainKey) {
	t := l.train.Edit(k)
	s := t.pending[0]
	t.n--
	copy(t.pending[:], t.pending[1:t.n+1])
	t.pending[t.n] = sighting{}
	next, mv := l.m.step(&l.m.lines[k.line], t.base, &s)
	l.learn(k, &t.base, &next, mv)
	t.base = next
}

// at is where a train of a line is by everything known, pending arrivals
// included: worked out when somebody asks, and kept while it holds.
func (l *Lines) at(line int16, t *train) *fix {
	if !t.isNow {
		f := t.base
		for i := range t.n {
			f, _ = l.m.step(&l.m.lines[line], f, &t.pending[i])
		}
		t.now, t.isNow = f, true
	}
	return &t.now
}

// Commit keeps everything taken so far.
func (l *Lines) Commit() {
	l.state.Commit()
	l.train.Commit()
	l.legs.Commit()
	l.visits.Commit()
	l.arena.reset()
}

// Rewind forgets everything taken since the last Commit.
func (l *Lines) Rewind() {
	l.state.Rewind()
	l.train.Rewind()
	l.legs.Rewind()
	l.visits.Rewind()
	l.arena.reset()
	for _, li := range l.mine {
		l.kept[li].oldest, l.kept[li].turned = oldest{}, false
		for w, of := range l.m.lines[li].ways {
			l.noteSlow(li, w, l.legs.Peek(of.leg))
		}
	}
}
