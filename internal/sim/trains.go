package sim

import (
	"slices"
	"strconv"

	"ell/internal/event"
)

const (
	firstNumber = 101 // of a train id's three digits
	numbers     = 899

	clearTime   = 25 * second // from one train's leaving a platform to the next one's arrival
	legGap      = 20 * second // between two trains that come off a leg
	boardLeast  = 20 * second // at the first stop of a trip
	unloadTime  = 35 * second // at the last
	holdStep    = 5 * second  // how often a train looks whether the leg ahead has room
	holdMost    = 10 * minute // after which it goes anyway, so that a full Loop cannot lock itself
	afterRepair = 20 * second
)

// phase is what a train is doing.
type phase uint8

const (
	unused   phase = iota // no train
	staged                // assigned to a trip; on the agenda: drawing up at its first platform
	running               // on a leg; on the agenda: coming before the platform
	queued                // before a platform that is taken or not clear yet
	standing              // at a platform; on the agenda: leaving
	broken                // at a platform; on the agenda: mended
	laidOver              // waiting at a terminal for a trip
	phases
)

// status words of events, in the order of the wire's.
type status uint8

const (
	inService status = iota
	outOfService
	brokenDown
)

func (s status) String() string {
	return [...]string{event.InService, event.OutOfService, event.BrokenDown}[s]
}

// train is one train in service. Times are ms of event time, 0 for none.
type train struct {
	phase   phase
	retire  bool // goes out of service at the end of this trip
	line    int32
	number  int32
	id      string
	rng     rng
	pattern int32
	call    int32 // where it stands, or what it comes to next
	leg     int32 // that it is on, or none

	due      int64 // scheduled departure of the trip, until it has left
	ready    int64 // when it may draw up for its next trip
	hold     int64 // does not leave a platform before
	repair   int64 // how long the breakdown will last that is before it
	patience int64 // how long it has stood because the leg ahead is full

	// Where the sensors saw it last: station index + 1, 0 if never.
	seenAt  int32
	seenDir uint8
}

func trainID(code string, number int32) string {
	return code + strconv.Itoa(int(number))
}

// find returns the train of a line with a number, or none.
func (c *City) find(line, number int32) int32 {
	return int32(slices.IndexFunc(c.trains, func(t train) bool {
		return t.phase != unused && t.line == line && t.number == number
	}))
}

func (c *City) callOf(t *train) *call { return &c.w.patterns[t.pattern].calls[t.call] }

// step lets a train do what it had on the agenda.
func (c *City) step(slot int32) {
	t := &c.trains[slot]
	switch t.phase {
	case staged, running:
		c.approach(slot)
	case queued:
		p := c.callOf(t).platform
		c.waiting[p] = slices.Delete(c.waiting[p], 0, 1)
		c.enter(slot)
	case standing:
		c.leave(slot)
	case broken:
		t.phase = standing
		c.report(t, inService)
		c.agenda.set(agendaTrains+slot, max(c.now+afterRepair, t.due))
	case unused, laidOver, phases: // have nothing on the agenda
	}
}

// approach brings a train to its platform or, if that is taken, behind those
// that wait for it.
func (c *City) approach(slot int32) {
	t := &c.trains[slot]
	p := c.callOf(t).platform
	free := c.occupant[p] == none && len(c.waiting[p]) == 0
	if free && c.now >= c.freeAt[p] {
		c.enter(slot)
		return
	}
	t.phase = queued
	c.waiting[p] = append(c.waiting[p], slot)
	if free {
		c.agenda.set(agendaTrains+slot, c.freeAt[p])
	}
}

// enter stops a train at its platform, where the sensor sees it.
func (c *City) enter(slot int32) {
	t := &c.trains[slot]
	at := c.callOf(t)
	c.occupant[at.platform] = slot
	if t.leg != none {
		c.onLeg[t.leg]--
		t.leg = none
	}
	if t.repair > 0 {
		c.breakDown(slot)
		return
	}
	t.phase = standing
	c.report(t, inService)
	c.agenda.set(agendaTrains+slot, c.now+c.standFor(t, at))
}

// standFor returns how long a train stands that has just stopped.
func (c *City) standFor(t *train, at *call) int64 {
	if at.terminal != none {
		return t.rng.around(unloadTime, 10*second)
	}
	h := c.riders.hourAt(c.now)
	mean := int64(c.w.stations[at.station].dwell[h.day][h.local])
	d := t.rng.around(mean, mean/4)
	if t.due > 0 {
		d = max(boardLeast, t.due-c.now)
	}
	return d
}

// leave takes a train that has stood long enough off its platform, unless
// something keeps it.
func (c *City) leave(slot int32) {
	t := &c.trains[slot]
	at := c.callOf(t)
	switch {
	case t.repair > 0:
		c.breakDown(slot)
		return
	case t.hold > c.now:
		c.agenda.set(agendaTrains+slot, t.hold)
		return
	case at.terminal != none:
		c.endTrip(slot)
		return
	case c.onLeg[at.leg] >= c.w.legs[at.leg].room && t.patience < holdMost:
		t.patience += holdStep
		c.agenda.set(agendaTrains+slot, c.now+holdStep)
		return
	}
	run := t.rng.around(at.run, at.run/20)
	if c.slowUntil[at.leg] > c.now {
		run = run * slowFactor / 100
	}
	arrive := max(c.now+run, c.lastOnLeg[at.leg]+legGap)
	c.lastOnLeg[at.leg] = arrive
	c.onLeg[at.leg]++
	c.leavePlatform(at.platform)
	t.phase, t.leg, t.call = running, at.leg, at.next
	t.due, t.hold, t.patience = 0, 0, 0
	c.agenda.set(agendaTrains+slot, arrive)
}

// leavePlatform frees a platform; the next train enters when it is clear.
func (c *City) leavePlatform(p int32) {
	c.occupant[p] = none
	c.freeAt[p] = c.now + clearTime
	if w := c.waiting[p]; len(w) > 0 {
		c.agenda.set(agendaTrains+w[0], c.freeAt[p])
	}
}

// breakDown stops a train at its platform until it is mended.
func (c *City) breakDown(slot int32) {
	t := &c.trains[slot]
	t.phase, t.retire = broken, true
	c.report(t, brokenDown)
	c.agenda.set(agendaTrains+slot, c.now+t.repair)
	t.repair = 0
}

// report is a sensor's event: the train is at its platform.
func (c *City) report(t *train, s status) {
	if c.warming {
		return
	}
	at := c.callOf(t)
	a := &c.arrival
	a.StationID = c.w.stations[at.station].id
	a.Timestamp = c.now
	a.TrainID = t.id
	a.Direction = at.dir.String()
	a.Line = c.w.lines[t.line]
	a.TrainStatus = s.String()
	a.PrevStationID, a.PrevDirection = 0, ""
	if t.seenAt > 0 {
		a.PrevStationID = c.w.stations[t.seenAt-1].id
		a.PrevDirection = directions[t.seenDir]
	}
	a.Pattern = c.w.patterns[t.pattern].id
	t.seenAt, t.seenDir = at.station+1, uint8(at.dir)
	c.sink.Arrival(a)
}

// switchOn is the moment the sensors begin to see: each reports the train that
// stands before it.
func (c *City) switchOn() {
	for i := range c.trains {
		switch t := &c.trains[i]; t.phase {
		case standing:
			c.report(t, inService)
		case broken:
			c.report(t, brokenDown)
		case unused, staged, running, queued, laidOver, phases:
		}
	}
}

// directions are the words on the wire, by cta.Direction.
var directions = [...]string{"a", "b"}
