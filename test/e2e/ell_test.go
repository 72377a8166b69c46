// Package e2e runs the built binary on its embedded parts as a user does, kills
// it at random moments, and holds what is on the log against the city computed anew.
package e2e

import (
	"testing"

	"ell/internal/event"
	"ell/internal/kafka"
	"ell/test/system"
)

// binary is the ell that all tests run.
var binary string

func TestMain(m *testing.M) { system.Main(m, &binary) }

func start(t *testing.T, args ...string) *system.Proc {
	t.Helper()
	return system.Start(t, binary, args...)
}

// verify holds the log of the paused system at the given ports against the undisturbed city.
func verify(t *testing.T, at system.Ports, layout event.Layout) int {
	t.Helper()
	return system.Verify(t, kafka.Config{Brokers: []string{at.Kafka}}, "http://"+at.Registry, event.Names{Prefix: event.DefaultPrefix, Layout: layout})
}
