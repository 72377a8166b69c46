package cta

import (
	"sort"
	"time"
)

// Departures returns all trips of a service day, sorted by minute, then
// pattern, then call. Minutes count from midnight and lie in [180, 1620): a
// service day runs from 03:00 to 03:00. The slice is shared: do not change it.
func (n *Network) Departures(day DayType) []Departure {
	if int(day) >= len(n.departs) {
		return nil
	}
	return n.departs[day]
}

// DeparturesOn returns the trips of one particular day. It differs from
// Departures only where the clock changes in the day's last night: a day of 23
// hours loses the last hour's trips, a day of 25 hours has them twice, so that
// there is neither a gap nor a double hour before the next day begins.
func (n *Network) DeparturesOn(d ServiceDay) []Departure {
	all := n.Departures(d.Type)
	const dayEnd = (dayStart + 24) * 60
	end := d.Minute(d.End)
	if end == dayEnd {
		return all
	}
	if end < dayEnd {
		i := sort.Search(len(all), func(i int) bool { return all[i].Minute >= end })
		return all[:i:i]
	}
	extra := end - dayEnd
	i := sort.Search(len(all), func(i int) bool { return all[i].Minute >= dayEnd-extra })
	out := append([]Departure(nil), all...)
	for _, t := range all[i:] {
		t.Minute += extra
		out = append(out, t)
	}
	return out
}

// lineService is what Headway needs of one line and direction: on each day
// type the sorted minutes at which trips begin, per pattern.
type lineService [2]directionService

type directionService struct {
	trips  [3][]float64 // minutes of departure, all patterns together, sorted
	window float64      // minutes: how far back to count; at least the longest trip
}

// minWindow keeps the headway of short lines from flickering with each trip.
const minWindow = 60.0

// maxGap is the longest break, in minutes, that still counts as service; a
// longer one between two departures means that service stopped in between.
const maxGap = 60.0

func (n *Network) buildHeadways() {
	n.headways = make(map[string]*lineService, len(n.Lines))
	for _, l := range n.Lines {
		n.headways[l.ID] = new(lineService)
	}
	for day := range n.departs {
		for _, d := range n.departs[day] {
			p := n.Patterns[d.Pattern]
			trip := p.TripTime(d.Call).Minutes()
			for _, dir := range [...]Direction{A, B} {
				if !p.Circuit && p.Calls[d.Call].Direction != dir {
					continue
				}
				s := &n.headways[p.Line][dir]
				s.trips[day] = append(s.trips[day], d.Minute)
				s.window = max(s.window, trip, minWindow)
			}
		}
	}
}

// Headway returns the scheduled time between trains of a line in one
// direction at t, seen where all of its patterns run together, or 0 where the
// timetable has no train of that line and direction on the way. It is the
// mean over the trips that began within the last trip time (an hour at least),
// so it follows the trains along the line and not the terminal's clock.
func (n *Network) Headway(lineID string, dir Direction, t time.Time) time.Duration {
	s := n.headways[lineID]
	if s == nil || dir > B {
		return 0
	}
	return s[dir].headway(t)
}

func (s *directionService) headway(t time.Time) time.Duration {
	day := ServiceDayOf(t)
	now := day.Minute(t)
	recent := s.between(nil, day.Type, now-s.window, now)
	if now-s.window < dayStart*60 {
		prev := ServiceDayOf(day.Start.Add(-time.Minute))
		shift := prev.Minute(day.Start) - dayStart*60
		recent = s.between(nil, prev.Type, now-s.window+shift, dayStart*60+shift)
		for i := range recent {
			recent[i] -= shift
		}
		recent = s.between(recent, day.Type, dayStart*60, now)
	}
	switch len(recent) {
	case 0:
		return 0
	case 1:
		return time.Duration(min(s.window, maxGap) * float64(time.Minute))
	}
	// The mean gap, leaving out breaks in service.
	var sum float64
	gaps := 0
	for i := 1; i < len(recent); i++ {
		if g := recent[i] - recent[i-1]; g <= maxGap {
			sum += g
			gaps++
		}
	}
	if gaps == 0 {
		return time.Duration(maxGap * float64(time.Minute))
	}
	return time.Duration(sum / float64(gaps) * float64(time.Minute)).Round(time.Second)
}

func (s *directionService) between(dst []float64, day DayType, from, to float64) []float64 {
	m := s.trips[day]
	i := sort.SearchFloat64s(m, from)
	for ; i < len(m) && m[i] <= to; i++ {
		dst = append(dst, m[i])
	}
	return dst
}
