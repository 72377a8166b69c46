package process

import (
	"time"

	"ell/internal/cta"
	"ell/internal/event"
)

// Train status as it is kept, in the order of event's words.
const (
	inService uint8 = iota
	outOfService
	brokenDown
)

var statusWords = [...]string{event.InService, event.OutOfService, event.BrokenDown}

func statusOf(word string) (uint8, bool) {
	for i, w := range statusWords {
		if w == word {
			return uint8(i), true
		}
	}
	return 0, false
}

const (
	// none stands for no site or no pattern.
	none int16 = -1
	// maxSteps is the most calls a train may have passed unseen for two
	// sightings to be of one trip: a few sensors may miss it.
	maxSteps = 4
	// standardDwell is what the timetable's run times leave out at each stop, in ms.
	standardDwell = int64(cta.Dwell / time.Millisecond)
)

// sighting is one arrival of a train, as its line sees it.
type sighting struct {
	at     int64 // event time, ms
	site   int16
	hint   int16 // index of the pattern on the train's sign, none if not told
	prev   int16 // site the sensor says it came from, none if not told
	status uint8
	src    event.Source
}

// before orders sightings of one train in a way that does not depend on the
// order in which they came.
func (s *sighting) before(o *sighting) bool {
	if s.at != o.at {
		return s.at < o.at
	}
	if s.site != o.site {
		return s.site < o.site
	}
	return s.status < o.status
}

func (s *sighting) same(o *sighting) bool {
	return s.at == o.at && s.site == o.site && s.status == o.status
}

// fix is where a train is, after all sightings up to one.
type fix struct {
	place  place // its pattern is none while nothing is known
	site   int16
	status uint8
	at     int64 // when it came there, ms
	seen   int64 // its newest sighting, ms; later than at if it was reported again
	tripAt int64 // when the present trip was first seen, ms
	tripMS int64 // time the timetable gives from there to here
	legs   int32 // calls from there to here
	src    event.Source
}

// known says that there is a fix at all.
func (f *fix) known() bool { return f.seen != 0 }

// delay is how far the train is behind the timetable's run time on this trip, in ms.
func (f *fix) delay() int64 { return f.at - f.tripAt - f.tripMS }

// behind is how far the train is behind what its line's trains take usually,
// which is the timetable's run time and something more a leg.
func (f *fix) behind(extra float64) int64 {
	return f.delay() - int64(float64(f.legs)*max(0, extra))
}

// move is what a sighting says beyond the new fix: the leg the train ran, if it
// ran exactly one, and whether it came to a new site.
type move struct {
	arrived bool
	steps   int // calls passed; 0: not known or a new trip
}

// step takes a train from one fix to the next by a sighting that is not older.
func (m *Map) step(l *lineInfo, f fix, s *sighting) (fix, move) {
	if f.known() && f.site == s.site {
		// Reported again where it stands, perhaps with another status.
		f.status, f.seen, f.src = s.status, s.at, s.src
		if p, ok := m.hinted(l, s); ok && p.pattern != f.place.pattern {
			f.place = p
		}
		return f, move{}
	}
	to, steps := m.match(l, &f, s)
	next := fix{place: to, site: s.site, status: s.status, at: s.at, seen: s.at, tripAt: s.at, src: s.src}
	if steps < 1 || steps > maxSteps {
		return next, move{arrived: true}
	}
	run, ok := m.scheduled(to, steps)
	if ok {
		next.tripAt, next.tripMS, next.legs = f.tripAt, f.tripMS+run, f.legs+int32(steps)
	}
	return next, move{arrived: true, steps: steps}
}

// hinted is the call of the pattern on the train's sign at the sighting's site.
func (m *Map) hinted(l *lineInfo, s *sighting) (place, bool) {
	for _, p := range l.sites[s.site].places {
		if p.pattern == s.hint {
			return p, true
		}
	}
	return place{}, false
}

// match finds the call of a pattern that a sighting is of: on the pattern of
// the train's sign if it calls there, else the one nearest ahead of where the
// train was, staying on its pattern if there is a choice. steps is how many
// calls ahead that is, 0 if the train was nowhere or its way there is not known.
func (m *Map) match(l *lineInfo, f *fix, s *sighting) (to place, steps int) {
	from, at := f.site, f.place
	if !f.known() {
		from, at = s.prev, place{none, none}
	}
	_, hinted := m.hinted(l, s)
	best := 0 // the cost of to; 0: none yet
	for _, p := range l.sites[s.site].places {
		if hinted && p.pattern != s.hint {
			continue
		}
		d := 0
		if from != none {
			d = m.steps(l, from, at, p)
		}
		cost := 4 * d
		if d <= 0 {
			d, cost = 0, 1<<20
		}
		if p.pattern != at.pattern {
			cost += 2
		}
		if cost++; best == 0 || cost < best {
			best, to, steps = cost, p, d
		}
	}
	if !f.known() {
		steps = 0
	}
	return to, steps
}

// scheduled is the time in ms that the timetable gives a train from the call
// that lies steps back to the call to, both of them stops; ok is false if the
// train turned back on the way, where it stands as long as it likes.
func (m *Map) scheduled(to place, steps int) (ms int64, ok bool) {
	calls := m.patterns[to.pattern].calls
	n := len(calls)
	for ; steps > 0; steps-- {
		c := &calls[(int(to.call)-steps+n)%n]
		if c.turn || c.start {
			return 0, false
		}
		ms += int64(c.run*1000) + standardDwell
	}
	return ms, true
}
