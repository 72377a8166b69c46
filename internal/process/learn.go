package process

import (
	"math"
	"slices"
)

// legKey is one leg of a line: from arriving at one site to arriving at the
// next. Patterns that share track share what is learned of it.
type legKey struct {
	line, from, to int16
}

// leg is what is learned of one leg; times are in ms from arrival to arrival.
type leg struct {
	n      int32      // trains seen, up to legMemory
	mean   float64    // a robust running mean
	dev    float64    // the mean deviation from it
	last   [3]float64 // the newest times, newest first; 0: none
	lastAt int64      // when the newest train arrived
}

const (
	// legMemory is how many trains the running mean remembers, in effect.
	legMemory = 12
	// legTrust is how many trains must have been seen before one that took far
	// longer is held to be an exception.
	legTrust = 4
	// legLongest is the longest time, in ms, that says something about a leg.
	legLongest = 60 * 60_000
)

// learn takes one more time into account; prior is the timetable's.
func (g *leg) learn(ms, prior float64, at int64) {
	if g.n == 0 {
		g.mean, g.dev = prior, prior/4
	}
	off := ms - g.mean
	if g.n >= legTrust {
		// An exception pulls no more than the usual spread, but widens it, so
		// that a lasting change is followed.
		limit := max(3*g.dev, 10_000)
		off = max(-limit, min(limit, off))
	}
	g.n = min(g.n+1, legMemory)
	// The first guess counts as half a train.
	weight := 1 / (float64(g.n) + 0.5)
	g.mean += weight * off
	g.dev += weight * (math.Abs(off) - g.dev)
	g.last[0], g.last[1], g.last[2] = ms, g.last[0], g.last[1]
	g.lastAt = at
}

// recent is the median of the newest times, 0 while there are not enough.
func (g *leg) recent() float64 {
	if g.last[2] == 0 {
		return 0
	}
	a, b, c := g.last[0], g.last[1], g.last[2]
	return max(min(a, b), min(max(a, b), c))
}

// expect is how long the next train will take: the running mean, or, when the
// newest trains all differ from it to one side, what they took.
func (g *leg) expect() float64 {
	if g.n < legTrust {
		return g.mean
	}
	lo, hi := slices.Min(g.last[:]), slices.Max(g.last[:])
	if slack := max(2*g.dev, 15_000); lo > g.mean+slack || hi < g.mean-slack {
		return g.recent()
	}
	return g.mean
}

// visitKey and visit keep the newest train at each site, to measure the gaps.
type visitKey struct{ line, site int16 }

type visit struct {
	at int64
	id string
}

// gapRing keeps the newest gaps between trains of one direction of a line.
type gapRing struct {
	at    [gapsKept]int64 // when the gap ended; 0: unused
	gap   [gapsKept]int32 // seconds
	next  int8
	order [gapsKept]uint8 // places by their gaps, the shortest first; not in the changelog, which has those
}

const (
	gapsKept   = 32
	gapLongest = 3 * 60 * 60_000 // longer ones are breaks in service, in ms
	gapMemory  = 45 * 60_000     // gaps older than this say nothing about now, in ms
	gapsEnough = 3
)

func (g *gapRing) add(at int64, gap int64) {
	if g.order == [gapsKept]uint8{} {
		g.sort()
	}
	n := uint8(g.next)
	g.at[n], g.gap[n] = at, int32(gap/1000)
	g.next = (g.next + 1) % gapsKept
	p := slices.Index(g.order[:], n)
	for ; p > 0 && g.less(n, g.order[p-1]); p-- {
		g.order[p] = g.order[p-1]
	}
	for ; p < gapsKept-1 && g.less(g.order[p+1], n); p++ {
		g.order[p] = g.order[p+1]
	}
	g.order[p] = n
}

// less orders two places by their gaps.
func (g *gapRing) less(a, b uint8) bool {
	return g.gap[a] < g.gap[b] || g.gap[a] == g.gap[b] && a < b
}

// sort works order out from the gaps.
func (g *gapRing) sort() {
	for i := range g.order {
		g.order[i] = uint8(i)
	}
	slices.SortFunc(g.order[:], func(a, b uint8) int {
		if g.less(a, b) {
			return -1
		}
		return 1
	})
}

// median is the middle one of the gaps that ended after since, in seconds; 0 if
// there are too few to tell.
func (g *gapRing) median(since int64) int32 {
	since = max(since, 1)
	n := 0
	for _, at := range g.at {
		if at >= since {
			n++
		}
	}
	if n < gapsEnough {
		return 0
	}
	n /= 2
	for _, i := range g.order {
		if g.at[i] < since {
			continue
		}
		if n == 0 {
			return g.gap[i]
		}
		n--
	}
	return 0 // not reached
}

// learn takes a settled arrival into account: the leg it ended, and the gap to
// the train before it.
func (l *Lines) learn(k trainKey, from, to *fix, mv move) {
	if !mv.arrived {
		return
	}
	// A train that was seen twice where it was had stood there for a reason of its own.
	if mv.steps == 1 && from.status == inService && to.status == inService && from.seen == from.at {
		l.learnLeg(k.line, from, to)
	}
	if to.status != inService {
		return
	}
	site := &l.m.lines[k.line].sites[to.site]
	vk, place := visitKey{k.line, to.site}, &l.kept[k.line].visits[to.site]
	var was visit
	if v := l.visits.PeekAt(place, vk); v != nil {
		was = *v
	}
	if was.at >= to.at {
		return // it came too late to be put in order
	}
	*l.visits.EditAt(place, vk) = visit{to.at, k.id}
	l.kept[k.line].oldest.at[site.dir] = min(l.kept[k.line].oldest.at[site.dir], to.at)
	if gap := to.at - was.at; was.at > 0 && site.trunk && was.id != k.id && gap <= gapLongest {
		l.line(int(k.line)).gaps[site.dir].add(to.at, gap)
	}
}

func (l *Lines) learnLeg(line int16, from, to *fix) {
	ms := to.at - from.at
	if ms <= 0 || ms > legLongest {
		return
	}
	// The call before to, on the pattern the train is now known to run.
	before := to.place
	before.call--
	if before.call < 0 {
		before.call = int16(len(l.m.patterns[to.place.pattern].calls)) - 1
	}
	c := l.m.call(before)
	prior := c.run*1000 + float64(standardDwell)
	if c.turn {
		prior = turnPrior
	}
	if c.start {
		// What counts from where a trip begins is the way after the departure.
		if at, _, ok := l.leaves(line, from.site, from.at); ok {
			ms -= at - from.at - standardDwell
		}
		if ms <= 0 {
			return
		}
	}
	if c.way == none {
		l.legs.Edit(c.leg).learn(float64(ms), prior, to.at)
	} else {
		g := l.legs.EditAt(&l.kept[line].legs[c.way], c.leg)
		g.learn(float64(ms), prior, to.at)
		l.noteSlow(int(line), int(c.way), g)
	}
	if c.turn {
		l.learnLead(line, to)
	}
	if !c.turn && !c.start {
		l.line(int(line)).learnExtra(float64(ms) - prior)
	}
}

const (
	extraMemory = 250    // legs that a line's extra time remembers: half an hour or so
	extraMost   = 30_000 // ms of one leg that count; more is a disturbance
)

// learnExtra takes into account how much longer than the timetable a leg took,
// in ms. The timetable is one for all hours, while at some trains stand longer.
func (st *lineState) learnExtra(ms float64) {
	st.extraOf = min(st.extraOf+1, extraMemory)
	ms = max(-extraMost, min(extraMost, ms))
	st.extra += (ms - st.extra) / float64(st.extraOf)
}

// turnPrior is the first guess at how long a train stands where it turns back, ms.
const turnPrior = 4 * 60_000

// legTime is how long a train is expected to take from arriving at a call to
// arriving at the next, and how much of it standing, in ms.
func (l *Lines) legTime(st *lineState, at place) (total, dwell int64) {
	c := l.m.call(at)
	expect := c.run*1000 + float64(standardDwell) + st.extra
	if c.turn {
		expect = turnPrior
	}
	if g := l.leg(c); g != nil && g.n > 0 {
		expect = g.expect()
	}
	expect = max(expect, 1000)
	if c.turn {
		return int64(expect), int64(expect)
	}
	// Sensors tell arrivals only: what a train takes longer than the timetable's
	// run time is taken to be its stop, within what is usual for a stop.
	stand := max(dwellLeast, min(dwellMost, expect-c.run*1000))
	return int64(expect), int64(min(stand, expect/2))
}

// leg is what is learned of the leg from a call, nil if that is nothing.
func (l *Lines) leg(c *callInfo) *leg {
	if c.way == none {
		return l.legs.Peek(c.leg)
	}
	return l.legs.PeekAt(&l.kept[c.leg.line].legs[c.way], c.leg)
}

// How long a train is believed to stand at a stop on its way, in ms.
const (
	dwellLeast = 10_000
	dwellMost  = 45_000
)

// expects is predict for one who asks again and again: the last answer holds
// until something that it came of changes.
func (l *Lines) expects(st *lineState, k trainKey, t *train) *told {
	p, f := &t.guess, l.at(k.line, t)
	holds := st.now >= p.from && st.now < p.until
	var g *leg // what the answer comes of besides the train and the time
	if f.status == inService {
		if c := l.m.call(f.place); !c.ends {
			g = l.leg(c)
		}
		// Without one it takes more into account than is compared here.
		holds = holds && g != nil && g.n > 0 && g.lastAt == p.lastAt && g.mean == p.mean
	}
	if !holds {
		*p = guess{told: l.predict(st, k, f, 0), from: st.now, until: maxTime}
		if g != nil {
			p.lastAt, p.mean = g.lastAt, g.mean
			p.until = p.due + 60_000*max(1, (st.now-p.due)/60_000+1) // a whole minute more overdue
		}
	}
	p.late = t.late
	return &p.told
}

// predict says what is to be told of a train.
func (l *Lines) predict(st *lineState, k trainKey, f *fix, late int64) told {
	t := told{
		place: f.place, site: f.site, status: f.status, at: f.at, depart: f.at,
		next: -1, delay: int32(f.delay() / 1000), late: late, is: true,
	}
	if f.status != inService {
		return t
	}
	c := l.m.call(f.place)
	next := l.m.next(f.place)
	total, dwell := l.legTime(st, f.place)
	t.next, t.depart, t.due = int32(next.call), f.at+dwell, f.at+total
	switch {
	case f.seen > f.at && !c.turn:
		// It was reported again, mended perhaps: it leaves soon, not long ago.
		if wait := f.seen + int64(standardDwell) - t.depart; wait > 0 {
			t.depart, t.due = t.depart+wait, t.due+wait
		}
	case c.turn:
		l.predictTurn(st, k, f, &t)
	case c.start:
		// It leaves by the timetable, if it is there in time to do so.
		if at, _, ok := l.leaves(k.line, f.site, f.at); ok {
			t.due += at - t.depart
			t.depart = at
		}
	}
	// Overdue: it is later already, by whole minutes.
	if over := st.now - t.due; over >= 60_000 && !c.turn {
		t.delay += int32(over / 60_000 * 60)
	}
	return t
}
