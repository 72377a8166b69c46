package event_test

import (
	"slices"
	"testing"

	"ell/internal/event"
)

func TestLinesAreToldTheTimeEveryTenSecondsAndOfEveryChangeAtOnce(t *testing.T) {
	const t0 = 1_776_000_000_000
	clock := func(at int64, speed float64, paused bool) event.Clock {
		return event.Clock{CityTime: t0 + at, Speed: speed, Paused: paused}
	}
	for name, c := range map[string]struct {
		clocks []event.Clock
		want   []bool
	}{
		"the first goes at once":              {[]event.Clock{clock(0, 1, false)}, []bool{true}},
		"nothing goes before ten seconds":     {[]event.Clock{clock(0, 1, false), clock(9999, 1, false)}, []bool{true, false}},
		"one goes every ten seconds":          {[]event.Clock{clock(0, 1, false), clock(10_000, 1, false), clock(19_999, 1, false), clock(20_000, 1, false)}, []bool{true, true, false, true}},
		"a change of speed goes at once":      {[]event.Clock{clock(0, 1, false), clock(10, 60, false)}, []bool{true, true}},
		"a pause and its end go at once":      {[]event.Clock{clock(0, 1, false), clock(10, 1, true), clock(10, 1, false)}, []bool{true, true, true}},
		"a clock that goes back is not news":  {[]event.Clock{clock(50_000, 1, false), clock(0, 1, false)}, []bool{true, false}},
		"what was not told does not postpone": {[]event.Clock{clock(0, 1, false), clock(6_000, 1, false), clock(12_000, 1, false)}, []bool{true, false, true}},
	} {
		t.Run(name, func(t *testing.T) {
			var ticks event.Ticks
			var got []bool
			for i := range c.clocks {
				got = append(got, ticks.Next(&c.clocks[i]))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("told %v, want %v", got, c.want)
			}
		})
	}
}

func TestPartitionsThatHoldALineAreNamedOnce(t *testing.T) {
	if got := event.LinePartitions([]string{"blue", "red", "blue"}); !slices.Equal(got, []int32{0, 1}) {
		t.Errorf("%v", got)
	}
	if got := event.LinePartitions(nil); len(got) != 0 {
		t.Errorf("no lines: %v", got)
	}
}
