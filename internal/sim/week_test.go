package sim

import (
	"math"
	"slices"
	"testing"
	"time"

	"ell/internal/cta"
	"ell/internal/event"
)

// week is what a week of the city looks like from outside.
type week struct {
	*inspector
	origin map[[2]int]map[int64]int // by pattern and call: trips begun, by hour
	calls  map[string]map[int64]int // by line: arrivals, by hour
}

func (w *week) Arrival(a *event.Arrival) {
	prev := w.trains[a.TrainID]
	moved := prev == nil || prev.arrival.StationID != a.StationID || prev.arrival.Direction != a.Direction
	w.inspector.Arrival(a)
	h := a.Timestamp / hour
	if w.calls[a.Line] == nil {
		w.calls[a.Line] = make(map[int64]int)
	}
	w.calls[a.Line][h]++
	here, ok := w.find(a)
	if !ok || !moved {
		return
	}
	n := len(here.pattern.Calls)
	if here.pattern.Calls[(here.call+n-1)%n].Turn {
		key := [2]int{here.pattern.Index, here.call}
		if w.origin[key] == nil {
			w.origin[key] = make(map[int64]int)
		}
		// A train draws up a while before it leaves.
		w.origin[key][(a.Timestamp+lead)/hour]++
	}
}

func runWeek(t *testing.T, o Options) *week {
	t.Helper()
	c := mustCity(t, cta.Chicago(), o)
	w := &week{
		inspector: inspect(t, cta.Chicago()),
		origin:    make(map[[2]int]map[int64]int),
		calls:     make(map[string]map[int64]int),
	}
	c.Advance(o.Start+2, w)
	clear(w.platforms)
	c.Advance(o.Start+7*24*hour, w)

	running := 0
	for i := range c.trains {
		if c.trains[i].phase != unused && c.trains[i].seenAt > 0 {
			running++
		}
	}
	if w.entered-w.left != running || len(w.trains) != running {
		t.Errorf("%d trains came into service, %d left it, %d run", w.entered, w.left, running)
	}
	return w
}

// A week from Monday 03:00 with Thanksgiving on its Thursday.
var thanksgivingWeek = chicago(2025, time.November, 24, 3, 0)

func TestAWeekKeepsTheLawsOfTheRailway(t *testing.T) {
	for _, incidents := range []string{"off", "heavy"} {
		t.Run(incidents, func(t *testing.T) {
			w := runWeek(t, Options{Seed: 7, Start: thanksgivingWeek, Incidents: incidents})
			checkTurnBacks(t, w)
			checkStatus(t, w, incidents)
			checkEntries(t, w)
			if incidents == "heavy" {
				return // delays move departures
			}
			checkDepartures(t, w)
			checkNights(t, w)
			checkDayTypes(t, w)
		})
	}
}

func checkTurnBacks(t *testing.T, w *week) {
	for _, p := range w.net.Patterns {
		for _, c := range p.Calls {
			if c.Turn && w.turns[c.Station] < 100 {
				t.Errorf("%s: %d trains turned back at %d in a week", p.ID, w.turns[c.Station], c.Station)
			}
		}
	}
}

func checkStatus(t *testing.T, w *week, incidents string) {
	broken := w.status[event.BrokenDown]
	if incidents == "off" && broken != 0 || incidents == "heavy" && broken < 100 {
		t.Errorf("%d breakdowns in a week", broken)
	}
	if w.status[event.OutOfService] == 0 {
		t.Error("no train went out of service")
	}
}

// serviceDays are the day types of the week, day by day.
func serviceDays() (days []cta.ServiceDay) {
	d := cta.ServiceDayOf(time.UnixMilli(thanksgivingWeek))
	for range 7 {
		days = append(days, d)
		d = d.Next()
	}
	return days
}

func checkEntries(t *testing.T, w *week) {
	var all, allReal float64
	for _, s := range w.net.Stations {
		var want float64
		for _, d := range serviceDays() {
			want += s.Entries[d.Type]
		}
		got := float64(w.gates[s.ID].entries)
		all, allReal = all+got, allReal+want
		// 2 % and, for small stations, what chance allows.
		if math.Abs(got-want) > max(0.02*want, 4.5*math.Sqrt(want)) {
			t.Errorf("%s (%d): %.0f entries in a week, really %.0f", s.Name, s.ID, got, want)
		}
		for line := range w.gates[s.ID].lines {
			if !slices.Contains(s.Lines, line) {
				t.Errorf("%s (%d) has riders of line %q", s.Name, s.ID, line)
			}
		}
	}
	if math.Abs(all/allReal-1) > 0.003 {
		t.Errorf("%.0f entries in a week, really %.0f", all, allReal)
	}
}

func checkDepartures(t *testing.T, w *week) {
	want := make(map[[2]int]map[int64]int)
	for _, d := range serviceDays() {
		for _, dep := range w.net.DeparturesOn(d) {
			key := [2]int{dep.Pattern, dep.Call}
			if want[key] == nil {
				want[key] = make(map[int64]int)
			}
			want[key][d.Time(dep.Minute).UnixMilli()/hour]++
		}
	}
	if len(want) < 10 {
		t.Fatalf("the timetable has trips from %d places only", len(want))
	}
	for key, hours := range want {
		p := w.net.Patterns[key[0]]
		var got, scheduled, off int
		for h, n := range hours {
			scheduled += n
			got += w.origin[key][h]
			if d := w.origin[key][h] - n; d < -2 || d > 2 {
				off++
			}
		}
		// The last day's last trips may draw up after the week, the first day's before it.
		if got < scheduled-3-scheduled/200 || got > scheduled+3 {
			t.Errorf("%s from call %d: %d trips, scheduled %d", p.ID, key[1], got, scheduled)
		}
		if off > 2 {
			t.Errorf("%s from call %d: %d hours of %d are over 2 trips away from the timetable", p.ID, key[1], off, len(hours))
		}
	}
}

// checkNights: at half past two the last trains of the evening are in, and the
// first of the morning leave at half past three.
func checkNights(t *testing.T, w *week) {
	in := make(map[string]int)
	for _, d := range serviceDays()[1:] {
		for line, hours := range w.calls {
			in[line] += hours[d.Start.UnixMilli()/hour-1] // 02:00 to 03:00
		}
	}
	for _, l := range w.net.Lines {
		owl := l.ID == "red" || l.ID == "blue"
		switch n := in[l.ID]; {
		case owl && n < 6*100:
			t.Errorf("%s: %d arrivals from 2 to 3 in six nights", l.ID, n)
		case !owl && n > 6*40: // stragglers
			t.Errorf("%s: %d arrivals from 2 to 3 in six nights, it does not run at night", l.ID, n)
		}
	}
}

func checkDayTypes(t *testing.T, w *week) {
	perDay := make([]int, 7)
	purple := make([]int, 7)
	for i, d := range serviceDays() {
		for line, hours := range w.calls {
			for h, n := range hours {
				if ms := h * hour; ms < d.Start.UnixMilli() || ms >= d.End.UnixMilli() {
					continue
				}
				perDay[i] += n
				if line == "purple" {
					purple[i] += n
				}
			}
		}
	}
	weekday, thanksgiving, saturday, sunday := perDay[1], perDay[3], perDay[5], perDay[6]
	if weekday < saturday*11/10 || saturday <= sunday {
		t.Errorf("arrivals on a weekday %d, Saturday %d, Sunday %d", weekday, saturday, sunday)
	}
	if math.Abs(float64(thanksgiving)/float64(sunday)-1) > 0.02 {
		t.Errorf("%d arrivals on Thanksgiving, %d on a Sunday: holidays run Sunday service", thanksgiving, sunday)
	}
	if purple[1] < 2*purple[5] {
		t.Errorf("purple: %d arrivals on a weekday, %d on a Saturday: the express runs on weekdays only", purple[1], purple[5])
	}
}

func TestTheNightsWhenTheClockChanges(t *testing.T) {
	for name, start := range map[string]int64{
		"forward": chicago(2026, time.March, 7, 20, 0),
		"back":    chicago(2025, time.November, 1, 20, 0),
	} {
		t.Run(name, func(t *testing.T) {
			c := mustCity(t, cta.Chicago(), Options{Seed: 3, Start: start})
			in := inspect(t, cta.Chicago())
			in.warm(c)
			howard := in.gates[40900]
			until := chicago(clock(start).Year(), clock(start).Month(), clock(start).Day()+1, 12, 0)
			lastRed, entries := start, 0
			for now := start; now < until; now += 5 * minute {
				before := in.arrivals["red"]
				c.Advance(now, in)
				if in.arrivals["red"] > before {
					lastRed = now
				} else if now-lastRed > 10*minute {
					t.Fatalf("no train on the red line from %v to %v", clock(lastRed), clock(now))
				}
				if now%hour == 0 {
					if howard.entries == entries && now > start {
						t.Errorf("nobody enters Howard in the hour to %v", clock(now))
					}
					entries = howard.entries
				}
			}
		})
	}
}
