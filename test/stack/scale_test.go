package stack

import (
	"testing"
	"time"

	"ell/internal/event"
	"ell/test/system"
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
	end := func(name, how string, stop func(*system.Proc)) {
		t.Helper()
		begun := time.Now()
		stop(p.take(name).proc)
		p.balanced()
		t.Logf("%s %s: the work is shared anew after %v", name, how, time.Since(begun).Round(100*time.Millisecond))
		p.recovered(time.Now(), 90*time.Second)
	}
	stop, kill := (*system.Proc).Stop, (*system.Proc).Kill
	join("process/two")
	join("process/three", "process/four")
	end("process/two", "was stopped", stop)
	end("process/one", "was killed", kill)
	join("process/one")
	end("process/three", "was killed", kill)
	p.flags = []string{"--on-stop", "leave"}
	join("process/five")
	end("process/five", "left", stop)
	end("process/four", "was stopped", stop)
	t.Logf("%d records on the log are the undisturbed city's, and all totals follow", p.finish())
}
