package sim

import (
	"fmt"

	"ell/internal/cta"
	"ell/internal/event"
)

// level is how often service is disturbed.
type level uint8

const (
	levelOff level = iota
	levelLight
	levelNormal
	levelHeavy
	levels
)

func (l level) String() string {
	return [...]string{"off", "light", "normal", "heavy"}[l]
}

func parseLevel(s string) (level, error) {
	for l := range levels {
		if l.String() == s {
			return l, nil
		}
	}
	return levelOff, fmt.Errorf("incidents %.40q: it must be off, light, normal or heavy", s)
}

// gap returns the mean time between incidents in ms, 0 for never.
func (l level) gap() int64 {
	return [...]int64{0, 90 * minute, 25 * minute, 5 * minute}[l]
}

// Kinds of incident.
const (
	SlowZone  = "slow_zone"
	HeldTrain = "held_train"
	Breakdown = "breakdown"
)

const (
	maxMinutes = 240
	slowFactor = 250 // percent of the run time in a slow zone
)

// incident is one that happens by chance, to a train picked from all in
// service; there are none while none runs.
func (c *City) incident() {
	c.agenda.set(agendaIncident, c.now+1+c.w.exponential(&c.disturb, c.level.gap()))
	// Every incident draws the same number of variates, whatever comes of it.
	kind, pick := c.disturb.below(100), int64(c.disturb.next()>>1)
	part := c.disturb.below(1000)
	length := func(lo, hi int64) int64 { return (lo*1000 + (hi-lo)*part) * minute / 1000 }

	var busy int64
	for i := range c.trains {
		if c.trains[i].underway() {
			busy++
		}
	}
	if busy == 0 {
		return
	}
	pick %= busy
	for i := range c.trains {
		t := &c.trains[i]
		if !t.underway() {
			continue
		}
		if pick--; pick >= 0 {
			continue
		}
		switch {
		case kind < 45:
			t.hold = max(t.hold, c.now+length(2, 8))
		case kind < 80:
			if at := c.callOf(t); at.leg != none {
				c.slowUntil[at.leg] = max(c.slowUntil[at.leg], c.now+length(30, 90))
			}
		default:
			c.strike(int32(i), length(6, 18))
		}
		return
	}
}

// underway says whether a train is on a trip and in order.
func (t *train) underway() bool {
	return t.phase == running || t.phase == queued || t.phase == standing
}

// strike breaks a train down: at once if it stands at a platform, else at the
// next one, for only platforms have sensors.
func (c *City) strike(slot int32, length int64) {
	t := &c.trains[slot]
	t.repair = length
	if t.phase == standing {
		c.agenda.set(agendaTrains+slot, c.now+1)
	}
}

// Inject starts an incident now. It fails, and changes nothing, if the
// incident names no line, train or leg that there is.
func (c *City) Inject(in event.Incident) error {
	if in.Minutes < 1 || in.Minutes > maxMinutes {
		return fmt.Errorf("incident of %d minutes: it must last 1 to %d", in.Minutes, maxMinutes)
	}
	length := int64(in.Minutes) * minute
	switch in.Kind {
	case SlowZone:
		return c.slow(in, length)
	case HeldTrain, Breakdown:
		slot := c.byID(in.TrainID)
		if slot == none || in.Line != "" && c.w.lines[c.trains[slot].line] != in.Line {
			return fmt.Errorf("incident on train %.20q: no such train in service on line %.20q", in.TrainID, in.Line)
		}
		t := &c.trains[slot]
		if in.Kind == HeldTrain {
			t.hold = max(t.hold, c.now+length)
			return nil
		}
		if t.phase == broken {
			return fmt.Errorf("incident on train %.20q: it is broken down already", in.TrainID)
		}
		c.strike(slot, length)
		return nil
	}
	return fmt.Errorf("incident %.40q: it must be %s, %s or %s", in.Kind, SlowZone, HeldTrain, Breakdown)
}

func (c *City) slow(in event.Incident, length int64) error {
	dir := cta.A
	if in.Direction == cta.B.String() {
		dir = cta.B
	} else if in.Direction != cta.A.String() {
		return fmt.Errorf("slow zone in direction %.20q: it must be a or b", in.Direction)
	}
	found := false
	for _, p := range c.w.patterns {
		if c.w.lines[p.line] != in.Line {
			continue
		}
		for _, at := range p.calls {
			if at.leg == none || at.dir != dir || c.w.stations[at.station].id != in.StationID {
				continue
			}
			found = true
			c.slowUntil[at.leg] = max(c.slowUntil[at.leg], c.now+length)
		}
	}
	if !found {
		return fmt.Errorf("slow zone at station %d, direction %s: line %.20q has no leg that begins there", in.StationID, in.Direction, in.Line)
	}
	return nil
}

func (c *City) byID(id string) int32 {
	for i := range c.trains {
		if c.trains[i].phase != unused && c.trains[i].id == id {
			return int32(i)
		}
	}
	return none
}
