package connect_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ell/internal/connect"
)

func keep(t *testing.T, f *fakeConnect, d time.Duration, change ...func(*connect.Keep)) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	k := connect.Keep{Name: "s", Config: map[string]string{"a": "b"}}
	for _, c := range change {
		c(&k)
	}
	return newClient(t, f).Keep(ctx, k)
}

func TestKeepWaitsForAClusterThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeConnect{state: "RUNNING", down: 3}
		if err := keep(t, f, time.Minute); err != nil || f.puts != 1 || f.restarts != 0 {
			t.Errorf("%v, %d puts, %d restarts", err, f.puts, f.restarts)
		}
	})
}

func TestKeepRestartsAFailedTaskLessAndLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeConnect{state: "FAILED", trace: "x"}
		if err := keep(t, f, time.Hour); err != nil {
			t.Fatal(err)
		}
		// 2 s doubling to 30 s: 5 restarts in the first minute, then at most 2 a minute.
		if f.restarts < 60 || f.restarts > 125 || f.all != 0 {
			t.Errorf("%d restarts in an hour, %d of them of all tasks", f.restarts, f.all)
		}
	})
}

func TestKeepIsContentOnceTheTaskRunsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeConnect{state: "FAILED", trace: "x", fixed: 2}
		var flows bool
		report := func(k *connect.Keep) { k.Report = func(err error) { flows = err == nil } }
		if err := keep(t, f, time.Hour, report); err != nil || f.restarts != 2 || !flows {
			t.Errorf("%v, %d restarts, want 2; flows %v", err, f.restarts, flows)
		}
	})
}

func TestKeepRestartsAConnectorThatSaysThatItRunsAndDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeConnect{state: "RUNNING"}
		began := time.Now()
		var told time.Duration
		var why error
		stuck := func(k *connect.Keep) {
			k.Check = func(context.Context) error {
				if f.all > 0 {
					return nil
				}
				return errors.New("nobody reads the slot")
			}
			k.Report = func(err error) {
				if err != nil && told == 0 {
					told, why = time.Since(began), err
				}
			}
		}
		if err := keep(t, f, 5*time.Minute, stuck); err != nil || f.all != 1 || f.restarts != 1 {
			t.Errorf("%v, %d restarts, %d of all tasks, want 1", err, f.restarts, f.all)
		}
		if told < 5*time.Second || told > 10*time.Second || !strings.Contains(why.Error(), "nobody reads") {
			t.Errorf("told after %v: %v; want a moment of grace, then the reason", told, why)
		}
	})
}

func TestKeepPutsARemovedConfigurationBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeConnect{state: "RUNNING"}
		time.AfterFunc(20*time.Second, func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.config = nil
		})
		want := map[string]string{"a": "b", "name": "s"}
		if err := keep(t, f, time.Minute); err != nil || f.puts != 2 || !maps.Equal(f.config, want) {
			t.Errorf("%v, %d puts, configuration %v", err, f.puts, f.config)
		}
	})
}

func TestKeepEndsWithAConfigurationThatWaitingDoesNotMend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		err := keep(t, &fakeConnect{refuse: `FATAL: password authentication failed for user "u"`}, time.Hour)
		if err == nil || !strings.Contains(err.Error(), "refuses the connector's user or password") || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v", err)
		}
	})
}

func TestKeepWaitsForADatabaseThatIsAwayWhenTheConnectorIsRegistered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeConnect{state: "RUNNING", refuse: "Connection to db:5432 refused. Check that the hostname and port are correct."}
		time.AfterFunc(time.Minute, func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.refuse = ""
		})
		if err := keep(t, f, 5*time.Minute); err != nil || f.refused < 3 || f.refused > 30 || f.puts != 1 {
			t.Errorf("%v, refused %d times, %d puts", err, f.refused, f.puts)
		}
	})
}

func TestAConnectorThatRanIsNotGivenUpWhenItIsRefusedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeConnect{state: "RUNNING"}
		time.AfterFunc(20*time.Second, func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.config, f.refuse = nil, "FATAL: password authentication failed"
		})
		time.AfterFunc(5*time.Minute, func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.refuse = ""
		})
		if err := keep(t, f, time.Hour); err != nil || f.puts != 2 {
			t.Errorf("%v, %d puts", err, f.puts)
		}
	})
}
