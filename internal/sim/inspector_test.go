package sim

import (
	"fmt"
	"strings"
	"testing"

	"ell/internal/cta"
	"ell/internal/event"
)

// faultList is a reporter that keeps what the inspector finds.
type faultList []string

func (*faultList) Helper() {}
func (f *faultList) Errorf(format string, args ...any) {
	*f = append(*f, fmt.Sprintf(format, args...))
}

// TestTheInspectorFindsWhatIsWrong is the negative control of the week: each
// fault put into good events must be found.
func TestTheInspectorFindsWhatIsWrong(t *testing.T) {
	c := mustCity(t, cta.Chicago(), Options{Seed: 1, Start: wednesday + 4*hour, Incidents: "normal"})
	tape := &seen{keep: func(*event.Arrival) bool { return true }}
	c.Advance(c.Now()+2, tape)
	first := len(tape.all)
	c.Advance(c.Now()+3*hour, tape)

	replay := func(events []event.Arrival) faultList {
		var f faultList
		in := inspect(&f, cta.Chicago())
		for i := range events {
			if i == first {
				clear(in.platforms)
			}
			in.Arrival(&events[i])
		}
		return f
	}
	if f := replay(tape.all); len(f) > 0 {
		t.Fatalf("good events have faults: %v", f)
	}

	// pick returns an event well into the tape that fits.
	pick := func(fits func(a *event.Arrival) bool) int {
		for i := 3000; i < len(tape.all); i++ {
			if fits(&tape.all[i]) {
				return i
			}
		}
		t.Fatal("no event fits")
		return 0
	}
	moving := func(a *event.Arrival) bool {
		return a.PrevStationID != 0 && a.PrevStationID != a.StationID && a.Line == "red"
	}
	for name, tt := range map[string]struct {
		change func(e []event.Arrival) []event.Arrival
		want   string
	}{
		"an event is missing": {func(e []event.Arrival) []event.Arrival {
			i := pick(moving)
			return append(e[:i], e[i+1:]...)
		}, "does not follow on"},
		"an event comes twice": {func(e []event.Arrival) []event.Arrival {
			i := pick(moving)
			return append(e[:i+1], e[i:]...)
		}, "does not follow on"},
		"a train skips to another line": {func(e []event.Arrival) []event.Arrival {
			e[pick(moving)].Pattern = "blue-main"
			return e
		}, "does not call there"},
		"time goes back": {func(e []event.Arrival) []event.Arrival {
			e[pick(moving)].Timestamp -= hour
			return e
		}, "time goes back"},
		"a train is too fast": {func(e []event.Arrival) []event.Arrival {
			i := pick(moving)
			for j := i - 1; ; j-- {
				if e[j].TrainID == e[i].TrainID {
					e[j].Timestamp = e[i].Timestamp - 30*second
					a := e[j]
					copy(e[j:], e[j+1:i])
					e[i-1] = a
					return e
				}
			}
		}, "runs a leg in"},
		"two trains swap places": {func(e []event.Arrival) []event.Arrival {
			i := pick(moving)
			for j := i + 1; ; j++ {
				a, b := &e[i], &e[j]
				if moving(b) && a.StationID == b.StationID && a.Direction == b.Direction && a.PrevStationID == b.PrevStationID {
					a.TrainID, b.TrainID = b.TrainID, a.TrainID
					return e
				}
			}
		}, "overtakes"},
		"a train vanishes between stations": {func(e []event.Arrival) []event.Arrival {
			e[pick(moving)].TrainStatus = event.OutOfService
			return e
		}, "moves out of service"},
	} {
		t.Run(name, func(t *testing.T) {
			e := append([]event.Arrival(nil), tape.all...)
			f := replay(tt.change(e))
			if !strings.Contains(strings.Join(f, "\n"), tt.want) {
				t.Errorf("found %.500q, want %q", []string(f), tt.want)
			}
		})
	}
}
