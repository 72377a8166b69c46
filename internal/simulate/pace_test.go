package simulate

import (
	"testing"
	"time"
)

func TestTheCityCommitsMoreOftenWhereEventsComeFast(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		events   int
		interval time.Duration
		want     time.Duration
	}{
		"nothing happened":                      {0, time.Second, tick},
		"a quiet city":                          {3, tick, tick},
		"just what a tick may hold":             {tickEvents, tick, tick},
		"three times as much":                   {3 * tickEvents, tick, tick / 3},
		"the same rate, told in a short tick":   {tickEvents, tick / 3, tick / 3},
		"more than can be cut":                  {100 * tickEvents, tick, tickLeast},
		"after a pause, many but no high rate":  {2 * tickEvents, 10 * time.Second, tick},
		"the first transaction, no time before": {5, 0, tickLeast},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := restFor(c.events, c.interval); got != c.want {
				t.Errorf("%d events in %v: %v, want %v", c.events, c.interval, got, c.want)
			}
		})
	}
}
