package stack

import (
	"testing"
	"time"

	"ell/internal/event"
)

// TestOneTwoAndFourProcessorsShareTheWork lets processors join, leave and die on
// the shared layout, beside two gateways and two websites.
func TestOneTwoAndFourProcessorsShareTheWork(t *testing.T) {
	long(t)
	c := startCluster(t, 1)
	p := c.start(event.Shared, c.bootstrap(), "gateway", "gateway/2", "simulate", "stations", "process/one", "serve", "serve/2")
	p.ready()
	join := func(names ...string) {
		t.Helper()
		begun := time.Now()
		p.add(names...)
		p.balanced()
		t.Logf("%v joined: the work is shared anew after %v", names, time.Since(begun).Round(100*time.Millisecond))
	}
	leave := func(name string, kill bool) {
		t.Helper()
		begun, how := time.Now(), "left"
		r := p.take(name)
		if kill {
			how = "was killed"
			r.proc.Kill()
		} else {
			r.proc.Stop()
		}
		p.balanced()
		t.Logf("%s %s: the work is shared anew after %v", name, how, time.Since(begun).Round(100*time.Millisecond))
		p.recovered(time.Now(), 90*time.Second)
	}
	join("process/two")
	join("process/three", "process/four")
	leave("process/two", false)
	leave("process/one", true)
	join("process/one")
	leave("process/three", true)
	leave("process/four", false)
	t.Logf("%d records on the log are the undisturbed city's, and all totals follow", p.finish())
}
