package process

import (
	"strconv"

	"ell/internal/cta"
	"ell/internal/event"
)

// The changelog of the lines stage has keys of four kinds: "state/<line>",
// "train/<line>/<id>", "leg/<line>/<from>/<to>" and "visit/<line>/<site>". A
// site is a station id and a direction, "40900b": what the network file calls
// it by number may change, and what a new network does not have is left out.
const (
	kindState = "state"
	kindTrain = "train"
	kindLeg   = "leg"
	kindVisit = "visit"
)

func (l *Lines) key(kind string, line int16) []byte {
	b := append(l.arena.open(), kind...)
	b = append(b, '/')
	return append(b, l.m.lines[line].id...)
}

func (l *Lines) appendSite(b []byte, line, site int16) []byte {
	s := &l.m.lines[line].sites[site]
	return append(strconv.AppendInt(b, int64(s.station), 10), s.dir.String()...)
}

// parseSite reads a site; ok is false if it is malformed, and the site none if
// the line does not have it.
func (l *Lines) parseSite(line int16, text string) (site int16, ok bool) {
	if len(text) < 2 {
		return none, false
	}
	n := len(text) - 1
	station, ok := parseID(text[:n])
	if !ok || (text[n] != 'a' && text[n] != 'b') {
		return none, false
	}
	if i, ok := siteOf(&l.m.lines[line], station, text[n:]); ok {
		return i, true
	}
	return none, true
}

func (l *Lines) writeState(out Output) {
	for line, st := range l.state.Dirty() {
		out.State(l.arena.close(l.key(kindState, line)), l.arena.close(appendLineState(l.arena.open(), st)))
	}
	for k, t := range l.train.Dirty() {
		key := l.arena.close(append(append(l.key(kindTrain, k.line), '/'), k.id...))
		if t == nil {
			out.State(key, nil)
			continue
		}
		out.State(key, l.arena.close(l.appendTrain(l.arena.open(), k.line, t)))
	}
	for k, g := range l.legs.Dirty() {
		b := append(l.key(kindLeg, k.line), '/')
		b = append(l.appendSite(b, k.line, k.from), '/')
		key := l.arena.close(l.appendSite(b, k.line, k.to))
		out.State(key, l.arena.close(appendLeg(l.arena.open(), g)))
	}
	for k, v := range l.visits.Dirty() {
		key := l.arena.close(l.appendSite(append(l.key(kindVisit, k.line), '/'), k.line, k.site))
		b := append(l.arena.open(), stateVersion)
		b = appendInt(b, v.at)
		out.State(key, l.arena.close(appendText(b, v.id)))
	}
}

func appendLineState(b []byte, st *lineState) []byte {
	b = append(b, stateVersion)
	for _, v := range [...]int64{st.now, st.clock, st.evalAt, st.late, st.since, st.seen, int64(st.word), int64(st.wish), st.wishAt} {
		b = appendInt(b, v)
	}
	b = appendFloat(b, st.extra)
	b = appendInt(b, int64(st.extraOf))
	for d := range st.gaps {
		g := &st.gaps[d]
		b = appendInt(b, int64(g.next))
		for i := range g.at {
			b = appendInt(b, g.at[i])
			b = appendInt(b, int64(g.gap[i]))
		}
	}
	b = appendBool(b, st.told.is)
	b = appendInt(b, int64(st.told.word))
	b = appendText(b, st.told.reason)
	b = appendInt(b, int64(st.told.trains))
	for d := range st.gaps {
		b = appendInt(b, int64(st.told.observed[d]))
		b = appendInt(b, int64(st.told.scheduled[d]))
	}
	b = appendInt(b, st.told.late)
	b = appendBool(b, st.news)
	return appendSourceState(b, &st.src)
}

func (r *stateReader) lineState() (st lineState) {
	st.now, st.clock, st.evalAt = r.moment(), r.moment(), r.moment()
	st.late = r.within(0, 1<<62)
	st.since, st.seen = r.moment(), r.moment()
	st.word, st.wish = r.word(), r.word()
	st.wishAt = r.moment()
	st.extra = r.float()
	if st.extra < -extraMost || st.extra > extraMost {
		r.fail("extra time out of bounds")
	}
	st.extraOf = int32(r.within(0, extraMemory))
	for d := range st.gaps {
		g := &st.gaps[d]
		g.next = int8(r.within(0, gapsKept-1))
		for i := range g.at {
			g.at[i] = r.moment()
			g.gap[i] = int32(r.within(0, gapLongest/1000))
		}
		if g.at != [gapsKept]int64{} {
			g.sort()
		}
	}
	st.told.is = r.bool()
	st.told.word = r.word()
	st.told.reason = r.text(reasonLength)
	st.told.trains = int32(r.within(0, maxTrains))
	for d := range st.gaps {
		st.told.observed[d] = int32(r.within(0, 1<<31-1))
		st.told.scheduled[d] = int32(r.within(0, 1<<31-1))
	}
	st.told.late = r.within(0, 1<<62)
	st.news = r.bool()
	st.src = r.source()
	return st
}

func (r *stateReader) word() int8 { return int8(r.within(0, int64(len(words)-1))) }

func appendSourceState(b []byte, s *event.Source) []byte {
	b = appendText(b, s.Topic)
	b = appendInt(b, int64(s.Partition))
	b = appendInt(b, s.Offset)
	return appendInt(b, s.Appended)
}

func (r *stateReader) source() event.Source {
	return event.Source{
		Topic: r.text(maxTopic), Partition: int32(r.within(-1<<31, 1<<31-1)), Offset: r.int(), Appended: r.int(),
	}
}

func (l *Lines) appendTrain(b []byte, line int16, t *train) []byte {
	b = append(b, stateVersion)
	f := &t.base
	b = appendBool(b, f.known())
	if f.known() {
		b = l.appendPlace(b, line, f.place, f.site)
		for _, v := range [...]int64{int64(f.status), f.at, f.seen, f.tripAt, f.tripMS, int64(f.legs)} {
			b = appendInt(b, v)
		}
		b = appendSourceState(b, &f.src)
	}
	b = appendInt(b, int64(t.n))
	for i := range t.n {
		s := &t.pending[i]
		b = appendInt(b, s.at)
		b = l.appendSiteState(b, line, s.site)
		b = l.appendSiteState(b, line, s.prev)
		b = appendText(b, l.patternID(s.hint))
		b = appendInt(b, int64(s.status))
		b = appendSourceState(b, &s.src)
	}
	b = appendInt(b, t.late)
	w := &t.told
	b = appendBool(b, w.is)
	if w.is {
		b = l.appendPlace(b, line, w.place, w.site)
		for _, v := range [...]int64{int64(w.next), int64(w.status), w.at, w.depart, w.due, int64(w.delay), w.late} {
			b = appendInt(b, v)
		}
	}
	return b
}

func (l *Lines) patternID(p int16) string {
	if p == none {
		return ""
	}
	return l.m.patterns[p].id
}

// appendPlace writes a place so that it holds for a network whose patterns are
// numbered otherwise.
func (l *Lines) appendPlace(b []byte, line int16, p place, site int16) []byte {
	b = l.appendSiteState(b, line, site)
	b = appendText(b, l.patternID(p.pattern))
	return appendInt(b, int64(p.call))
}

func (l *Lines) appendSiteState(b []byte, line, site int16) []byte {
	if site == none {
		return appendInt(b, 0)
	}
	s := &l.m.lines[line].sites[site]
	b = appendInt(b, int64(s.station))
	return appendInt(b, int64(s.dir))
}

// readTrain reads a train; ok is false if it is at a place that this network
// does not have.
func (l *Lines) readTrain(r *stateReader, line int16) (t train, ok bool) {
	ok = true
	if r.bool() {
		f := &t.base
		f.place, f.site = l.readPlace(r, line, &ok)
		f.status = r.status()
		f.at, f.seen = r.moment(), r.moment()
		f.tripAt, f.tripMS = r.moment(), r.moment()
		f.legs = int32(r.within(0, 1<<31-1))
		f.src = r.source()
		if f.seen == 0 || f.at == 0 {
			r.fail("a fix without a time")
		}
	}
	t.n = int8(r.within(0, maxPending-1))
	for i := range t.n {
		s := &t.pending[i]
		s.at = r.within(minTime, maxTime)
		s.site = l.readSite(r, line, &ok)
		if s.site == none {
			ok = false
		}
		var there bool
		s.prev = l.readSite(r, line, &there)
		s.hint = none
		if p, found := l.m.byPattern[r.text(maxID)]; found && l.m.patterns[p].line == int(line) {
			s.hint = int16(p)
		}
		s.status = r.status()
		s.src = r.source()
		if i > 0 && s.before(&t.pending[i-1]) {
			r.fail("arrivals out of order")
		}
	}
	t.late = r.within(0, 1<<62)
	if t.told.is = r.bool(); t.told.is {
		w := &t.told
		w.place, w.site = l.readPlace(r, line, &ok)
		w.next = int32(r.within(-1, 1<<15-1))
		w.status = r.status()
		w.at, w.depart, w.due = r.moment(), r.moment(), r.moment()
		w.delay = int32(r.within(-1<<31, 1<<31-1))
		w.late = r.within(0, 1<<62)
	}
	if !t.base.known() && t.n == 0 {
		r.fail("a train never seen")
	}
	return t, ok
}

func (r *stateReader) status() uint8 { return uint8(r.within(0, int64(len(statusWords)-1))) }

func (l *Lines) readPlace(r *stateReader, line int16, ok *bool) (place, int16) {
	site := l.readSite(r, line, ok)
	pattern, found := l.m.byPattern[r.text(maxID)]
	call := r.within(0, 1<<15-1)
	if !found || site == none || l.m.patterns[pattern].line != int(line) ||
		int(call) >= len(l.m.patterns[pattern].calls) || l.m.patterns[pattern].calls[call].site != site {
		*ok = false
		return place{none, 0}, none
	}
	return place{int16(pattern), int16(call)}, site
}

func (l *Lines) readSite(r *stateReader, line int16, ok *bool) int16 {
	station := r.within(-1<<31, 1<<31-1)
	if station == 0 {
		return none
	}
	k := siteKey{int32(station), cta.Direction(r.within(0, 1))}
	site, found := l.m.lines[line].bySite[k]
	if !found {
		*ok = false
		return none
	}
	return site
}

func appendLeg(b []byte, g *leg) []byte {
	b = append(b, stateVersion)
	b = appendInt(b, int64(g.n))
	b = appendFloat(b, g.mean)
	b = appendFloat(b, g.dev)
	for _, v := range g.last {
		b = appendFloat(b, v)
	}
	return appendInt(b, g.lastAt)
}

func (r *stateReader) leg() (g leg) {
	g.n = int32(r.within(0, legMemory))
	g.mean, g.dev = r.float(), r.float()
	for i := range g.last {
		g.last[i] = r.float()
	}
	g.lastAt = r.moment()
	if g.dev < 0 || g.dev > legLongest || g.mean < -legLongest || g.mean > legLongest {
		r.fail("leg times out of bounds")
	}
	return g
}
