package event

import "slices"

// HeaderTick marks a record of the city's clock among the arrivals by line.
const HeaderTick = "tick"

// tickEvery is how often, in milliseconds of city time, the lines are told the time.
const tickEvery = 10_000

// TickDue says whether lines that were told the time told last, 0 if never, have
// to be told c: how far time has come when no train does. A pause is told at
// once, since nothing follows it.
func TickDue(told int64, c *Clock) bool {
	return told == 0 || c.CityTime >= told+tickEvery || c.Paused && c.CityTime > told
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
