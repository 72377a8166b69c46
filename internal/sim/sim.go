// Package sim is the city: a deterministic discrete-event simulation of trains,
// riders and weather. The same seed, start and network give the same events,
// byte for byte, however the time is cut into steps. It does no I/O and reads
// no clock: whoever drives it decides how fast its time goes.
//
// # Trains
//
// A train leaves its terminal when the timetable says so, runs each leg in the
// scheduled time give or take a little, stands at each platform as long as its
// riders need, and turns back at the end after a lay-over. A platform holds one
// train; the others wait outside in the order they came, also where lines share
// the track. Trains leave a leg in the order they entered it. A departure with
// no train waiting takes a new one into service; a train that no departure
// needs soon goes out of service at its terminal.
//
// # What the sensors see
//
// There is one event when a train stops at a platform, with the platform where
// it was last seen. A change of status (broken down, mended, out of service) is
// one more event at the platform the train already stands at, which is then its
// previous one too. Turning back is an event at the other direction of the same
// station, when the train draws up for its next trip.
//
// The city runs for some hours before its first moment so that the network is
// full of trains by then, and the sensors are switched on at that moment: a train
// that stands at a platform is seen at once, any other where it stops next, and
// for each that first event has no previous station.
//
// Disturbances show in arrivals alone. Where a train is between stations is for
// the reader of the events to find out.
package sim

import (
	"fmt"
	"time"

	"ell/internal/cta"
	"ell/internal/event"
)

// Bounds of the city's time, ms: 1990 to 2200.
const (
	minTime = 631_152_000_000
	maxTime = 7_258_118_400_000
)

// warmUp is how long the city runs before its first moment, longer than any
// round trip.
const warmUp = 4 * hour

// Lengths of time in ms, the unit of event time.
const (
	second = int64(1000)
	minute = 60 * second
	hour   = 60 * minute
)

// Options say which city it is.
type Options struct {
	Seed int64
	// Start is the city's first moment in ms since the epoch; every event is later.
	Start int64
	// Incidents is how often service is disturbed: off, light, normal or
	// heavy; "" is off.
	Incidents string
}

// Sink takes the city's events. The pointers are valid during the call only.
type Sink interface {
	Arrival(*event.Arrival)
	Turnstile(*event.Turnstile)
}

// City is a running city. It is not safe for concurrent use.
type City struct {
	w       *world
	opts    Options
	level   level
	now     int64
	warming bool

	agenda    agenda   // everything but riders
	today     *plan    // trips of this service day
	tomorrow  *plan    // and of the one after it
	nextTrip  int      // in today.trips
	runsSoFar []uint32 // by line: how many trains it has put into service

	trains    []train
	occupant  []int32   // by platform: the train that stands there, or none
	freeAt    []int64   // by platform: when the next train may enter
	waiting   [][]int32 // by platform: trains outside, in order
	onLeg     []int32   // by leg: trains that left one platform and have not reached the next
	lastOnLeg []int64   // by leg: when the newest of them comes before the platform
	slowUntil []int64   // by leg: end of its slow zone
	layover   [][]int32 // by terminal: trains that wait for a departure

	disturb rng // draws incidents
	riders  riders

	sink      Sink
	arrival   event.Arrival
	turnstile event.Turnstile
}

// New returns the city of o at its first moment, with the trains on their way
// but nothing emitted yet. It fails if o or the network makes no sense.
func New(net *cta.Network, o Options) (*City, error) {
	w, err := newWorld(net)
	if err != nil {
		return nil, err
	}
	return newCity(w, o)
}

func newCity(w *world, o Options) (*City, error) {
	c, err := emptyCity(w, o)
	if err != nil {
		return nil, err
	}
	c.warming = true
	c.now = o.Start - warmUp
	c.today = w.planAt(c.now + lead)
	c.tomorrow = w.planAt(c.today.end)
	for c.dispatchAt() <= c.now { // trips from before the warm-up have gone
		c.nextTrip++
	}
	c.agenda.set(agendaDispatch, c.dispatchAt())
	c.run(o.Start)
	c.warming = false

	c.agenda.set(agendaSwitchOn, o.Start+1)
	if gap := c.level.gap(); gap > 0 {
		c.agenda.set(agendaIncident, o.Start+1+c.w.exponential(&c.disturb, gap))
	}
	c.riders.begin(c)
	return c, nil
}

// emptyCity returns a city without trains, riders or anything to come.
func emptyCity(w *world, o Options) (*City, error) {
	if o.Start < minTime || o.Start > maxTime {
		return nil, fmt.Errorf("start of the city is %s, it must be between 1990 and 2200",
			time.UnixMilli(o.Start).UTC().Format(time.RFC3339))
	}
	if o.Incidents == "" {
		o.Incidents = levelOff.String()
	}
	lv, err := parseLevel(o.Incidents)
	if err != nil {
		return nil, err
	}
	c := &City{
		w: w, opts: o, level: lv, now: o.Start,
		runsSoFar: make([]uint32, len(w.lines)),
		trains:    make([]train, w.maxTrains),
		occupant:  make([]int32, w.platforms),
		freeAt:    make([]int64, w.platforms),
		waiting:   make([][]int32, w.platforms),
		onLeg:     make([]int32, len(w.legs)),
		lastOnLeg: make([]int64, len(w.legs)),
		slowUntil: make([]int64, len(w.legs)),
		layover:   make([][]int32, len(w.terminals)),
		disturb:   newRNG(o.Seed, streamIncidents, 0),
	}
	for i := range c.occupant {
		c.occupant[i] = none
	}
	c.agenda.init(agendaTrains + int32(w.maxTrains))
	c.riders.init(len(w.stations))
	return c, nil
}

// Now returns the city's time in ms: every event up to it has been emitted.
func (c *City) Now() int64 { return c.now }

// Options returns what the city was made with.
func (c *City) Options() Options { return c.opts }

// Advance emits every event after Now and up to until, in order of time, and
// makes until the new Now. Earlier times are no-ops. How a span is cut into
// calls does not change the events.
func (c *City) Advance(until int64, s Sink) {
	c.sink = s
	c.run(min(until, maxTime))
	c.sink = nil
}

// run works through everything up to until. At the same millisecond trains go
// before riders.
func (c *City) run(until int64) {
	for {
		at, who := c.agenda.next()
		c.riders.until(c, min(at-1, until))
		if at > until {
			break
		}
		c.now = at
		c.agenda.clear(who)
		switch who {
		case agendaDispatch:
			c.dispatch()
		case agendaSwitchOn:
			c.switchOn()
		case agendaIncident:
			c.incident()
		default:
			c.step(who - agendaTrains)
		}
	}
	c.now = max(c.now, until)
}
