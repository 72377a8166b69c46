package e2e

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"ell/internal/cta"
	"ell/internal/embedded"
	"ell/internal/event"
	"ell/test/system"
)

// keepAll stops retention, so that the whole log can be compared.
var keepAll = []string{"--retention-bytes", "1073741824", "--retention", "240h"}

func rounds(most int) int {
	if testing.Short() {
		return most / 4
	}
	return most
}

func TestKill9OfTheWholeAtRandomMomentsLosesNothingAndRepeatsNothing(t *testing.T) {
	for _, layout := range []event.Layout{event.PerStation, event.Shared} {
		t.Run(string(layout), func(t *testing.T) {
			at, data := system.FreePorts(t), t.TempDir()
			args := append(append([]string{"--data", data, "--speed", "120", "--incidents", "heavy", "--topics", string(layout)}, at.Args()...), keepAll...)
			seed := uint64(time.Now().UnixNano())
			rng := rand.New(rand.NewPCG(seed, 1))
			n := rounds(10)
			for range n {
				p := start(t, args...)
				time.Sleep(time.Duration(rng.IntN(1500)) * time.Millisecond) // the moment of the kill, from before the first listener to full work
				p.Kill()
			}
			p := start(t, args...)
			system.Ready(t, p, at)
			system.Clock(t, at, `{"paused":true}`)
			compared := verify(t, at, layout)
			p.Stop()
			t.Logf("killed %d times (seed %d); %d records on the log are the undisturbed city's, and all totals follow", n, seed, compared)
		})
	}
}

func TestKill9OfSingleRolesLosesNothingAndRepeatsNothing(t *testing.T) {
	at, data := system.FreePorts(t), t.TempDir()
	stack, err := embedded.Open(context.Background(), embedded.Options{DataDir: t.TempDir(), KafkaAddr: at.Kafka, RegistryAddr: at.Registry, Network: cta.Chicago()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stack.Close(); err != nil {
			t.Error(err)
		}
	})
	args := func(role string, more ...string) []string {
		a := append([]string{role, "--brokers", at.Kafka, "--registry", "http://" + at.Registry, "--data", data, "--http-addr", at.HTTP, "--gateway-addr", at.Gateway, "--speed", "120"}, keepAll...)
		return append(a, more...)
	}
	roles := [][]string{
		args("gateway"), args("stations"), args("simulate"), args("serve", "--control", "on"),
		args("process", "--instance", "one"), args("process", "--instance", "two"),
	}
	running := make([]*system.Proc, len(roles))
	for i, r := range roles {
		running[i] = start(t, r...)
	}
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 2))
	n := rounds(20)
	killed := map[string]int{}
	for range n {
		time.Sleep(time.Duration(200+rng.IntN(800)) * time.Millisecond)
		i := rng.IntN(len(roles))
		running[i].Kill()
		killed[roles[i][0]]++
		running[i] = start(t, roles[i]...)
	}
	system.Ready(t, running[3], at)
	system.Clock(t, at, `{"paused":true}`)
	compared := verify(t, at, event.PerStation)
	for _, p := range running {
		p.Stop()
	}
	t.Logf("killed %v (seed %d); %d records on the log are the undisturbed city's, and all totals follow", killed, seed, compared)
	if t.Failed() {
		for i, p := range running {
			t.Logf("%v:\n%s", roles[i][0], p.Output())
		}
	}
}
