package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"ell/test/system"
)

// Roles that are started before anything else exists wait, say for what in one
// line, and go on when it appears.
func TestRolesStartedFirstWaitForTheRest(t *testing.T) {
	at, early := system.FreePorts(t), system.FreePorts(t)
	neighbours := []string{"--brokers", at.Kafka, "--registry", "http://" + at.Registry, "--data", t.TempDir(), "--http-addr", early.HTTP, "--instance", "early"}
	serve := system.Start(t, binary, append([]string{"serve"}, neighbours...)...)
	process := system.Start(t, binary, append([]string{"process", "--metrics-addr", early.Gateway}, neighbours...)...)
	waiting := `msg=waiting for="the schema registry at http://` + at.Registry + `"`
	for _, p := range []*system.Proc{serve, process} {
		system.Within(t, 20*time.Second, func() error { return says(p, waiting) })
	}
	stopped := system.Start(t, binary, append([]string{"gateway"}, neighbours...)...)
	system.Within(t, 20*time.Second, func() error { return says(stopped, waiting) })
	stopped.Stop()              // with code 0, while it waits
	time.Sleep(3 * time.Second) // in which nothing more is said
	for _, p := range []*system.Proc{serve, process} {
		if n := strings.Count(p.Output(), "\n"); n != 1 {
			t.Errorf("%d lines while it waits:\n%s", n, p.Output())
		}
	}
	up := system.Start(t, binary, append([]string{"--data", t.TempDir(), "--speed", "60"}, at.Args()...)...)
	system.Ready(t, up, at)
	system.Ready(t, serve, early)
	for _, p := range []*system.Proc{serve, process} {
		system.Within(t, 20*time.Second, func() error { return says(p, "waited; going on") })
	}
	system.Within(t, 60*time.Second, func() error {
		text, err := system.Page("http://" + early.Gateway + "/metrics")
		if err != nil {
			return err
		}
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "ell_stage_transactions_committed_total") && !strings.HasSuffix(line, " 0\n") {
				return nil
			}
		}
		return errors.New("the processor that came first has committed nothing")
	})
	process.Kill()
	serve.Kill()
	up.Kill() // how it stops is another test
}

// says wants the words in what the process has said.
func says(p *system.Proc, words string) error {
	if out := p.Output(); !strings.Contains(out, words) {
		return fmt.Errorf("no word of %q in:\n%s", words, out)
	}
	return nil
}
