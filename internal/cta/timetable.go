package cta

import "sort"

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
