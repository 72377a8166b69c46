package event_test

import (
	"slices"
	"testing"

	"ell/internal/event"
)

func TestLinesAreToldTheTimeEveryTenSecondsAndOfAPauseAtOnce(t *testing.T) {
	const t0 = 1_776_000_000_000
	clock := func(at int64, paused bool) event.Clock {
		return event.Clock{CityTime: t0 + at, Speed: 1, Paused: paused}
	}
	for name, c := range map[string]struct {
		clocks []event.Clock
		want   []bool
	}{
		"the first goes at once":               {[]event.Clock{clock(0, false)}, []bool{true}},
		"nothing goes before ten seconds":      {[]event.Clock{clock(0, false), clock(9999, false)}, []bool{true, false}},
		"one goes every ten seconds":           {[]event.Clock{clock(0, false), clock(10_000, false), clock(19_999, false), clock(20_000, false)}, []bool{true, true, false, true}},
		"a pause goes at once, and once":       {[]event.Clock{clock(0, false), clock(10, true), clock(10, true)}, []bool{true, true, false}},
		"the end of a pause is not a new time": {[]event.Clock{clock(0, true), clock(0, false)}, []bool{true, false}},
		"a clock that goes back is not news":   {[]event.Clock{clock(50_000, false), clock(0, false), clock(0, true)}, []bool{true, false, false}},
		"what was not told does not postpone":  {[]event.Clock{clock(0, false), clock(6_000, false), clock(12_000, false)}, []bool{true, false, true}},
	} {
		t.Run(name, func(t *testing.T) {
			told := int64(0)
			var got []bool
			for i := range c.clocks {
				due := event.TickDue(told, &c.clocks[i])
				if due {
					told = c.clocks[i].CityTime
				}
				got = append(got, due)
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
