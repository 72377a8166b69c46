package process

import (
	"sort"
	"time"

	"ell/internal/cta"
)

// departures are those of the timetable on one service day, by line and site, in
// ms. A look at a line asks for those of its terminals, and to search all trips
// of the city for them takes longer than all else that it does.
type departures struct {
	day  cta.ServiceDay
	from [][][]int64
}

// departuresOn returns the departures of a day from a site, sorted.
func (l *Lines) departuresOn(day cta.ServiceDay, li int, site int16) []int64 {
	for i := range l.days {
		if d := &l.days[i]; d.from != nil && d.day.Start.Equal(day.Start) {
			return d.from[li][site]
		}
	}
	d := departures{day: day, from: make([][][]int64, len(l.m.lines))}
	for _, li := range l.mine {
		d.from[li] = make([][]int64, len(l.m.lines[li].sites))
	}
	for _, trip := range l.m.timetable.DeparturesOn(day) {
		p := &l.m.patterns[trip.Pattern]
		if of := d.from[p.line]; of != nil {
			s := p.calls[trip.Call].site
			of[s] = append(of[s], day.Time(trip.Minute).UnixMilli())
		}
	}
	l.days[1], l.days[0] = l.days[0], d
	return d.from[li][site]
}

// departures appends to out the departures of the timetable from a site between
// two moments, in ms, the second no more than a day after the first.
func (l *Lines) departures(out []int64, li int, site int16, from, until int64) []int64 {
	day := cta.ServiceDayOf(time.UnixMilli(from))
	for range 2 {
		trips := l.departuresOn(day, li, site)
		for _, at := range trips[sort.Search(len(trips), func(i int) bool { return trips[i] >= from }):] {
			if at > until {
				return out
			}
			out = append(out, at)
		}
		if day.End.UnixMilli() > until {
			break
		}
		day = day.Next()
	}
	return out
}

// headways are those of the timetable that were asked for last, by direction and
// time, in steps of headwayStep. A look at a line asks for now, and for some time
// back and ahead, so that each is asked for many times; more than two hours have a place.
type headways [2][32]struct {
	step    int64
	seconds int32
}

// headwayStep is how long, in ms, a headway of the timetable holds: it is a mean
// over an hour and more.
const headwayStep = 5 * 60_000

// headway is the timetable's at about a moment, in seconds.
func (l *Lines) headway(li int, dir cta.Direction, at int64) int32 {
	step := at / headwayStep
	h := &l.kept[li].gaps[dir][step%int64(len(headways{}[0]))]
	if h.step != step {
		t := time.UnixMilli(step * headwayStep)
		h.step, h.seconds = step, int32(l.m.timetable.Headway(l.m.lines[li].id, dir, t)/time.Second)
	}
	return h.seconds
}
