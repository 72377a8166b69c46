package stack

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"ell/internal/event"
	"ell/test/system"
)

// TestRolesStartBeforeTheStack starts every role before there is anything to
// connect to, and then the stack, in the least helpful order.
func TestRolesStartBeforeTheStack(t *testing.T) {
	long(t)
	c := newCluster(t, 1)
	first := time.Now()
	p := c.start(event.PerStation, c.bootstrap(), "serve", "process/one", "simulate", "gateway", "stations")
	for _, r := range p.roles {
		system.Within(t, 20*time.Second, func() error {
			if !strings.Contains(r.proc.Output(), "msg=waiting") {
				return fmt.Errorf("%s does not say what it waits for: %s", r.name, r.proc.Output())
			}
			return nil
		})
	}
	for _, part := range []string{"registry", "kafka", "postgres", "connect"} {
		c.up(part)
		time.Sleep(2 * time.Second) // so that each role meets each half of a stack
		p.alive()
	}
	begun := time.Now()
	p.ready()
	t.Logf("the pipeline works %v after the last of its neighbours came up", time.Since(begun).Round(100*time.Millisecond))
	for _, r := range p.roles {
		lines := strings.Split(strings.TrimSpace(r.proc.Output()), "\n")
		t.Logf("%s said %d lines", r.name, len(lines))
		if most := 10 + int(time.Since(first)/(8*time.Second)); len(lines) > most {
			t.Errorf("%s said a stack of lines:\n%s", r.name, r.proc.Output())
		}
	}
}
