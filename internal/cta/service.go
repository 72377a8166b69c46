package cta

import (
	"errors"
	"fmt"
)

var dayNames = [...]string{Weekday: "weekday", Saturday: "saturday", Sunday: "sunday"}

// maxTrips bounds the trips that one row of timetable.csv may stand for: one
// a minute round the clock.
const maxTrips = 24 * 60

func (n *Network) parseTimetable(r *row) error {
	p := n.patternCol(r)
	dir := r.direction("dir")
	day := r.day("day")
	minute := r.clock("first")
	gaps := r.gaps("gaps")
	if r.err != nil {
		return r.err
	}
	call := 0
	if dir == A {
		if p.Circuit {
			return fmt.Errorf("pattern %q is a circuit: its trips begin in direction b only", p.ID)
		}
		call = len(p.Calls) / 2
	}
	for _, d := range n.departs[day] {
		if d.Pattern == p.Index && d.Call == call {
			return fmt.Errorf("pattern %q direction %s has two timetables for a %s", p.ID, dir, dayNames[day])
		}
	}
	trips := []Departure{{Pattern: p.Index, Call: call, Minute: minute}}
	for _, g := range gaps {
		minute += g
		trips = append(trips, Departure{Pattern: p.Index, Call: call, Minute: minute})
	}
	if first, last := trips[0].Minute, minute; first < dayStart*60 || last >= (dayStart+24)*60 {
		return fmt.Errorf("pattern %q direction %s: trips from minute %g to %g; a service day is minute 180 to 1620", p.ID, dir, first, last)
	}
	n.departs[day] = append(n.departs[day], trips...)
	return nil
}

// parseRiders takes the hours in order, so that none can be missing or twice.
func (n *Network) parseRiders(r *row) error {
	h := r.stop("hour")
	if int(h) != n.riderHours || h > 23 {
		r.fail("hour %d: want hours 0 to 23 in order, once each", h)
		return r.err
	}
	for day, col := range dayNames {
		n.share[day][h] = r.number(col, 0, maxEntries)
	}
	n.riderHours++
	return r.err
}

// finishRiders scales each day's curve to the sum 1.
func (n *Network) finishRiders() error {
	if n.riderHours != 24 {
		return fmt.Errorf("%d hours: want 24", n.riderHours)
	}
	for day := range n.share {
		var sum float64
		for _, v := range n.share[day] {
			sum += v
		}
		if sum <= 0 {
			return errors.New("the curve of a " + dayNames[day] + " is empty")
		}
		for h := range n.share[day] {
			n.share[day][h] /= sum
		}
	}
	return nil
}
