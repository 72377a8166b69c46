package sim

import (
	"slices"
	"time"

	"ell/internal/cta"
)

const (
	// lead is how long before its departure a train draws up at the terminal.
	lead = 90 * second
	// throughLead is the same where other trains run through.
	throughLead = 25 * second
	// turnTime is what a train and its crew need at least to turn back.
	turnTime = 150 * second
	// lateness is how late a departure may be for a train that turns back,
	// before a fresh one takes it.
	lateness = 2 * minute
	// A train waits for its next trip this long, or goes out of service: the
	// first in line longer than those behind it.
	patienceFirst = 25 * minute
	patienceRest  = 10 * minute
)

// plan is the timetable of one service day, in event time.
type plan struct {
	start, end int64
	trips      []trip
	byTerminal [][]int64 // departures, sorted
}

type trip struct {
	at            int64
	pattern, call int32
	terminal      int32 // whose waiting trains may take it, or none
}

// planAt returns the plan of the service day that t falls into.
func (w *world) planAt(t int64) *plan {
	day := cta.ServiceDayOf(time.UnixMilli(t))
	departures := w.net.DeparturesOn(day)
	p := &plan{
		start: day.Start.UnixMilli(), end: day.End.UnixMilli(),
		trips:      make([]trip, 0, len(departures)),
		byTerminal: make([][]int64, len(w.terminals)),
	}
	for _, d := range departures {
		pt := &w.patterns[d.Pattern]
		t := trip{at: day.Time(d.Minute).UnixMilli(), pattern: int32(d.Pattern), call: int32(d.Call)}
		t.terminal = w.terminalAt(pt.line, pt.calls[t.call].station)
		if t.terminal != none {
			p.byTerminal[t.terminal] = append(p.byTerminal[t.terminal], t.at)
		}
		p.trips = append(p.trips, t)
	}
	return p
}

// dispatchAt returns when the next trip needs a train, or the next day its plan.
func (c *City) dispatchAt() int64 {
	if c.nextTrip < len(c.today.trips) {
		return c.today.trips[c.nextTrip].at - lead
	}
	return c.today.end - lead
}

// dispatch finds a train for the next trip.
func (c *City) dispatch() {
	if c.nextTrip == len(c.today.trips) {
		c.today, c.tomorrow, c.nextTrip = c.tomorrow, c.w.planAt(c.tomorrow.end), 0
		c.agenda.set(agendaDispatch, max(c.now, c.dispatchAt()))
		return
	}
	tr := c.today.trips[c.nextTrip]
	c.nextTrip++
	c.agenda.set(agendaDispatch, max(c.now, c.dispatchAt()))

	slot := c.fromLayover(tr)
	if slot == none {
		if slot = c.freshTrain(c.w.patterns[tr.pattern].line); slot == none {
			return // more trains than the city can hold: the trip is cancelled
		}
	}
	t := &c.trains[slot]
	t.phase, t.pattern, t.call, t.due = staged, tr.pattern, tr.call, tr.at
	from := c.now
	if c.w.patterns[tr.pattern].calls[tr.call].through {
		from = tr.at - throughLead
	}
	c.agenda.set(agendaTrains+slot, max(from, t.ready))
}

// fromLayover takes the train that waits longest, if it can make the trip.
func (c *City) fromLayover(tr trip) int32 {
	if tr.terminal == none {
		return none
	}
	line := c.layover[tr.terminal]
	if len(line) == 0 || c.trains[line[0]].ready > tr.at+lateness {
		return none
	}
	slot := line[0]
	c.layover[tr.terminal] = slices.Delete(line, 0, 1)
	return slot
}

// freshTrain puts a new train into service.
func (c *City) freshTrain(line int32) int32 {
	slot := int32(slices.IndexFunc(c.trains, func(t train) bool { return t.phase == unused }))
	if slot == none {
		return none
	}
	for range numbers {
		n := c.runsSoFar[line]
		c.runsSoFar[line]++
		num := int32(firstNumber + n%numbers)
		if c.find(line, num) == none {
			c.trains[slot] = train{
				line: line, number: num, id: trainID(c.w.codes[line], num), leg: none,
				rng: newRNG(c.opts.Seed, streamTrain, uint64(line)<<32|uint64(n)),
			}
			return slot
		}
	}
	return none
}

// endTrip decides what a train does that stands at the end of its trip: it
// leaves the platform either way.
func (c *City) endTrip(slot int32) {
	t := &c.trains[slot]
	at := c.callOf(t)
	t.ready = c.now + turnTime
	if !t.retire && c.needed(at.terminal, t.ready) {
		t.phase = laidOver
		c.layover[at.terminal] = append(c.layover[at.terminal], slot)
		c.leavePlatform(at.platform)
		return
	}
	c.report(t, outOfService)
	c.leavePlatform(at.platform)
	c.trains[slot] = train{}
}

// needed says whether a train that is ready then will have a trip soon, after
// those that wait already have had theirs.
func (c *City) needed(terminal int32, ready int64) bool {
	behind := len(c.layover[terminal])
	patience := patienceFirst
	if behind > 0 {
		patience = patienceRest
	}
	// Trips less than lead away have their train.
	from := c.now + lead
	for _, p := range [...]*plan{c.today, c.tomorrow} {
		times := p.byTerminal[terminal]
		for _, at := range times[sortedIndex(times, from):] {
			if behind == 0 && at+lateness < ready {
				continue // goes with a fresh train
			}
			if behind == 0 {
				return at <= ready+patience
			}
			behind--
		}
	}
	return false
}
