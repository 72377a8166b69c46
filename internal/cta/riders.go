package cta

// HourlyShare returns which share of a day's riders enters in each hour of
// the clock; the shares sum to 1. It holds for the network as a whole and for
// stations with service all night.
func (n *Network) HourlyShare(day DayType) [24]float64 {
	if int(day) >= len(n.share) {
		return [24]float64{}
	}
	return n.share[day]
}

// StationShare is HourlyShare for one station: nobody enters in hours without
// a train, and the rest is scaled so that the day's total stays what it is.
// An unknown station has no riders. Hours are hours of the clock within a
// service day, so hours 0 to 2 are the night after that day.
func (n *Network) StationShare(station int32, day DayType) [24]float64 {
	s := n.stationShare[station]
	if s == nil || int(day) >= len(s) {
		return [24]float64{}
	}
	return s[day]
}

// buildShares works out, per station and day type, the hours in which a train
// is due there, and spreads the day's riders over them.
func (n *Network) buildShares() {
	open := make(map[int32]*[3][24]bool, len(n.Stations))
	for _, s := range n.Stations {
		open[s.ID] = new([3][24]bool)
	}
	for day := range n.departs {
		for _, d := range n.departs[day] {
			p := n.Patterns[d.Pattern]
			m, end := d.Minute, p.End(d.Call)
			for c := d.Call; c <= end; c++ {
				open[p.Calls[c].Station][day][int(m/60)%24] = true
				m += (p.Calls[c].Run + Dwell.Seconds()) / 60
			}
		}
	}
	n.stationShare = make(map[int32]*[3][24]float64, len(n.Stations))
	for id, days := range open {
		out := new([3][24]float64)
		for day := range days {
			var sum float64
			for h, isOpen := range days[day] {
				if isOpen {
					sum += n.share[day][h]
				}
			}
			for h, isOpen := range days[day] {
				if isOpen && sum > 0 {
					out[day][h] = n.share[day][h] / sum
				}
			}
		}
		n.stationShare[id] = out
	}
}
