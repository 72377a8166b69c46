package sim

import (
	"fmt"
	"testing"
	"time"

	"ell/internal/cta"
	"ell/internal/event"
)

// inspector is a sink that holds every event to the laws of the railway. It
// knows the network and nothing of the simulation.
type inspector struct {
	t      reporter
	net    *cta.Network
	faults int

	last    int64
	trains  map[string]*sighting
	entered int
	left    int
	turns   map[int32]int // by station
	// Of the train that stopped last at a platform, and of those on each leg.
	platforms map[int32]int64
	legs      map[[2]int32][]string
	arrivals  map[string]int // by line
	status    map[string]int

	gates map[int32]*gate // by station
}

// gate is what was seen of a station's riders.
type gate struct {
	name    string
	entries int
	last    int64
	lines   map[string]int
}

// reporter is the part of *testing.T that says what is wrong.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
}

// sighting is where a train was last seen.
type sighting struct {
	arrival event.Arrival
	place   place
	since   int64 // when it stopped there
}

// place is a platform of a pattern.
type place struct {
	pattern *cta.Pattern
	call    int
}

func (p place) at() cta.Call { return p.pattern.Calls[p.call] }

func inspect(t reporter, net *cta.Network) *inspector {
	in := &inspector{
		t: t, net: net,
		trains: make(map[string]*sighting), turns: make(map[int32]int),
		platforms: make(map[int32]int64), legs: make(map[[2]int32][]string),
		arrivals: make(map[string]int), status: make(map[string]int),
		gates: make(map[int32]*gate),
	}
	for _, s := range net.Stations {
		in.gates[s.ID] = &gate{name: s.Name, lines: make(map[string]int)}
	}
	return in
}

func (in *inspector) fault(a any, format string, args ...any) {
	in.t.Helper()
	if in.faults++; in.faults <= 20 {
		in.t.Errorf("%s: %+v", fmt.Sprintf(format, args...), a)
	}
}

func (in *inspector) Turnstile(e *event.Turnstile) {
	if e.Timestamp < in.last {
		in.fault(*e, "time goes back from %d", in.last)
	}
	in.last = e.Timestamp
	g := in.gates[e.StationID]
	if g == nil || g.name != e.StationName {
		in.fault(*e, "no such station")
		return
	}
	if g.last >= e.Timestamp {
		in.fault(*e, "two riders at a station in the same millisecond")
	}
	g.last = e.Timestamp
	g.entries++
	g.lines[e.Line]++
}

func (in *inspector) Arrival(a *event.Arrival) {
	if a.Timestamp < in.last {
		in.fault(*a, "time goes back from %d", in.last)
	}
	in.last = a.Timestamp
	in.arrivals[a.Line]++
	in.status[a.TrainStatus]++
	here, ok := in.find(a)
	if !ok {
		in.fault(*a, "the pattern does not call there")
		return
	}
	s := in.trains[a.TrainID]
	if s == nil {
		in.enter(a, here)
		return
	}
	if a.PrevStationID != s.arrival.StationID || a.PrevDirection != s.arrival.Direction || a.Line != s.arrival.Line {
		in.fault(*a, "does not follow on %+v", s.arrival)
	}
	was := s.arrival
	s.arrival = *a
	same := a.StationID == was.StationID && a.Direction == was.Direction
	if !same && (was.TrainStatus != event.InService || a.TrainStatus == event.OutOfService) {
		in.fault(*a, "moves out of service, or broken down")
	}
	switch {
	case same:
		in.change(a, was, here)
	case s.place.at().Turn && a.StationID == was.StationID:
		in.turn(a, s, here)
	default:
		in.move(a, s, here)
	}
}

// find returns the place of an arrival.
func (in *inspector) find(a *event.Arrival) (place, bool) {
	p := in.net.Pattern(a.Pattern)
	if p == nil || p.Line != a.Line {
		return place{}, false
	}
	for i, c := range p.Calls {
		if c.Station == a.StationID && c.Direction.String() == a.Direction {
			return place{p, i}, true
		}
	}
	return place{}, false
}

// enter is a train's first event.
func (in *inspector) enter(a *event.Arrival, here place) {
	if a.PrevStationID != 0 || a.PrevDirection != "" || a.TrainStatus == event.OutOfService {
		in.fault(*a, "a first event with a past")
	}
	in.entered++
	in.trains[a.TrainID] = &sighting{arrival: *a, place: here, since: a.Timestamp}
	in.stop(a, here)
}

// change is a change of status at the platform where the train stands.
func (in *inspector) change(a *event.Arrival, was event.Arrival, here place) {
	switch [2]string{was.TrainStatus, a.TrainStatus} {
	case [2]string{event.InService, event.BrokenDown}, [2]string{event.BrokenDown, event.InService}:
	case [2]string{event.InService, event.OutOfService}:
		if !here.at().Turn {
			in.fault(*a, "goes out of service away from a terminal")
		}
		in.left++
		delete(in.trains, a.TrainID)
	default:
		in.fault(*a, "no change from %s", was.TrainStatus)
	}
}

// turn is a train's drawing up for its next trip, perhaps of another pattern.
func (in *inspector) turn(a *event.Arrival, s *sighting, here place) {
	before := here.pattern.Calls[(here.call+len(here.pattern.Calls)-1)%len(here.pattern.Calls)]
	if !before.Turn || before.Station != a.StationID {
		in.fault(*a, "turns back in the middle of a trip")
	}
	if d := a.Timestamp - s.since; d < turnTime {
		in.fault(*a, "turns back in %d ms", d)
	}
	in.turns[a.StationID]++
	s.place, s.since = here, a.Timestamp
	in.stop(a, here)
}

// move is a run over one leg.
func (in *inspector) move(a *event.Arrival, s *sighting, here place) {
	from := s.place
	if here.pattern != from.pattern || here.call != from.pattern.Next(from.call) || from.at().Turn {
		in.fault(*a, "no leg from call %d of %s", from.call, from.pattern.ID)
		return
	}
	if d, least := a.Timestamp-s.since, from.at().Run*950; float64(d) < least {
		in.fault(*a, "runs a leg in %d ms, scheduled are %g s", d, from.at().Run)
	}
	leg := [2]int32{from.at().Platform, here.at().Platform}
	if q := in.legs[leg]; len(q) == 0 || q[0] != a.TrainID {
		in.fault(*a, "overtakes %v on a leg", q)
	} else {
		in.legs[leg] = q[1:]
	}
	s.place, s.since = here, a.Timestamp
	in.stop(a, here)
}

// leastHeadway is the least time between two trains at a platform.
const leastHeadway = clearTime + dwellLeast*3/4

// stop is a train's stopping at a platform.
func (in *inspector) stop(a *event.Arrival, here place) {
	p := here.at().Platform
	if before, ok := in.platforms[p]; ok && a.Timestamp-before < leastHeadway {
		in.fault(*a, "stops %d ms after another train", a.Timestamp-before)
	}
	in.platforms[p] = a.Timestamp
	if !here.at().Turn {
		next := here.pattern.Calls[here.pattern.Next(here.call)].Platform
		leg := [2]int32{p, next}
		in.legs[leg] = append(in.legs[leg], a.TrainID)
	}
}

// warm takes the moment the sensors are switched on, when a train may follow
// closely on one that has stood for a while.
func (in *inspector) warm(c *City) {
	c.Advance(c.Now()+2, in)
	clear(in.platforms)
}

func mustCity(t testing.TB, net *cta.Network, o Options) *City {
	t.Helper()
	c, err := New(net, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func clock(ms int64) time.Time { return time.UnixMilli(ms).In(cta.Location()) }
