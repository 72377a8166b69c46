package cta

import (
	"cmp"
	"slices"
	"sort"
	"time"
)

const (
	// minWindow is how many minutes of trips a headway is the mean of, at
	// least, so that the headway of a short line does not flicker.
	minWindow = 60.0
	// maxGap is the longest gap between trips, in minutes, that still is
	// service; in a longer one the line does not run.
	maxGap = 60.0
)

// lineService is the timetable of one line as Headway needs it, by Direction.
type lineService [2]directionService

type directionService struct {
	trips  [3][]span // by DayType: all patterns' trips, by start
	window float64   // minutes: the longest trip, at least minWindow
}

// span is the minutes in which one trip runs in one direction.
type span struct{ start, end float64 }

func (n *Network) buildHeadways() {
	n.headways = make(map[string]*lineService, len(n.Lines))
	for _, l := range n.Lines {
		n.headways[l.ID] = new(lineService)
	}
	for day := range n.departs {
		for _, d := range n.departs[day] {
			p := n.Patterns[d.Pattern]
			for dir, s := range p.spans(d) {
				if s.end > s.start {
					h := &n.headways[p.Line][dir]
					h.trips[day] = append(h.trips[day], s)
					h.window = max(h.window, s.end-s.start, minWindow)
				}
			}
		}
	}
	for _, l := range n.headways {
		for dir := range l {
			for day := range l[dir].trips {
				slices.SortFunc(l[dir].trips[day], func(a, b span) int { return cmp.Compare(a.start, b.start) })
			}
		}
	}
}

// spans says when the trip of d runs in each direction: a linear trip in one,
// a circuit first out and then, from its last stop on the Loop, back.
func (p *Pattern) spans(d Departure) [2]span {
	var out [2]span
	minute := d.Minute
	for c, end := d.Call, p.End(d.Call); c < end; c++ {
		s := &out[p.Calls[c].Direction]
		if s.end == 0 {
			s.start = minute
		}
		minute += (p.Calls[c].Run + Dwell.Seconds()) / 60
		s.end = minute
	}
	return out
}

// Headway returns the scheduled time between trains of a line in one
// direction at t, as it is where all of the line's patterns run together, or 0
// where the line does not run: no train of that direction is on its way and
// none is due before and after within an hour. It is the mean over the trips
// begun within the last trip time (an hour at least), so it follows the trains
// along the line.
func (n *Network) Headway(lineID string, dir Direction, t time.Time) time.Duration {
	l := n.headways[lineID]
	if l == nil || dir > B {
		return 0
	}
	return l[dir].headway(t)
}

func (s *directionService) headway(t time.Time) time.Duration {
	day := ServiceDayOf(t)
	now := day.Minute(t)
	from, to := now-s.window-maxGap, now+maxGap

	var sum float64 // of the gaps in the window
	gaps := 0
	running := false
	last := -maxGap - 1e9
	visit := func(trips []span, shift, from, to float64) {
		first := sort.Search(len(trips), func(i int) bool { return trips[i].start+shift >= from })
		for _, trip := range trips[first:] {
			start, end := trip.start+shift, trip.end+shift
			if start > to {
				return
			}
			gap := start - last
			between := last <= now && now < start && gap <= maxGap
			under := start <= now && now < end
			running = running || between || under
			if gap <= maxGap && start >= now-s.window && (start <= now || gaps == 0) {
				sum, gaps = sum+gap, gaps+1
			}
			last = start
		}
	}
	// A trip of the day before may still be under way, and the next trip may be the next day's.
	days := [3]ServiceDay{1: day}
	lo, hi := 1, 2
	if from < dayStart*60 {
		lo, days[0] = 0, ServiceDayOf(day.Start.Add(-time.Minute))
	}
	if to >= day.Minute(day.End) {
		hi, days[2] = 3, day.Next()
	}
	for _, d := range days[lo:hi] {
		trips := s.trips[d.Type]
		begin, end := day.Minute(d.Start), day.Minute(d.End)
		shift := begin - dayStart*60
		visit(trips, shift, from, min(to, end))
		if extra := end - begin - 24*60; extra > 0 { // as DeparturesOn has it
			visit(trips, shift+extra, max(from, end-extra), min(to, end))
		}
	}
	switch {
	case !running:
		return 0
	case gaps == 0:
		return time.Duration(maxGap * float64(time.Minute))
	}
	return time.Duration(sum / float64(gaps) * float64(time.Minute)).Round(time.Second)
}
