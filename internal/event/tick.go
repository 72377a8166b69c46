package event

import "slices"

// HeaderTick marks a record of the city's clock among the arrivals by line.
const HeaderTick = "tick"

// TickEvery is how often, in milliseconds of city time, the lines are told the
// time. A change of speed and a pause are told at once.
const TickEvery = 10_000

// Ticks chooses which readings of the city's clock are put between the arrivals
// by line, as punctuation: they say how far time has come when no train does.
// The zero value has told nothing yet. Copies are independent.
type Ticks struct {
	at     int64
	speed  float64
	paused bool
}

// Next says whether c has to be told now, and takes note of it if so.
func (t *Ticks) Next(c *Clock) bool {
	next := Ticks{at: c.CityTime, speed: c.Speed, paused: c.Paused}
	if next.speed == t.speed && next.paused == t.paused && next.at < t.at+TickEvery {
		return false
	}
	*t = next
	return true
}

// IsTick says whether a record of arrivals by line is one of the city's clock.
func IsTick(headers []Header) bool {
	for i := range headers {
		if headers[i].Key == HeaderTick {
			return true
		}
	}
	return false
}

// LinePartitions are the partitions of arrivals by line that hold any of the
// lines, in order, each once: the ones that are told the time.
func LinePartitions(lines []string) []int32 {
	var all []int32
	for _, l := range lines {
		all = append(all, LinePartition(l))
	}
	slices.Sort(all)
	return slices.Compact(all)
}
