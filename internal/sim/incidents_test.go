package sim

import (
	"strings"
	"testing"
	"time"

	"ell/internal/cta"
	"ell/internal/event"
)

// inject starts an incident on the first train of a line that is on its way.
func inject(t *testing.T, c *City, kind, line string, minutes int32) string {
	t.Helper()
	for i := range c.trains {
		tr := &c.trains[i]
		at := c.callOf(tr)
		if tr.phase == running && c.w.lines[tr.line] == line && at.terminal == none && at.through {
			if err := c.Inject(event.Incident{Kind: kind, Line: line, TrainID: tr.id, Minutes: minutes}); err != nil {
				t.Fatal(err)
			}
			return tr.id
		}
	}
	t.Fatalf("no train of the %s line is on its way", line)
	return ""
}

// seen is a sink that keeps the arrivals of some trains.
type seen struct {
	count
	keep func(*event.Arrival) bool
	all  []event.Arrival
}

func (s *seen) Arrival(a *event.Arrival) {
	if s.keep(a) {
		s.all = append(s.all, *a)
	}
}

func quiet(t *testing.T) *City {
	c := mustCity(t, cta.Chicago(), Options{Seed: 4, Start: chicago(2025, time.October, 15, 7, 0)})
	c.Advance(c.Now()+30*minute, &count{})
	return c
}

func TestABreakdownStopsATrainAndThoseBehindIt(t *testing.T) {
	c, same := quiet(t), quiet(t)
	id := inject(t, c, Breakdown, "red", 15)
	s := &seen{keep: func(a *event.Arrival) bool { return a.TrainID == id }}
	c.Advance(c.Now()+3*hour, s)

	if got := s.all[0]; got.TrainStatus != event.BrokenDown {
		t.Fatalf("the train's next event is %+v, want it broken down", got)
	}
	if got, was := s.all[1], s.all[0]; got.TrainStatus != event.InService || got.Timestamp-was.Timestamp != 15*minute ||
		got.StationID != was.StationID || got.PrevStationID != was.StationID || got.PrevDirection != was.Direction {
		t.Errorf("after 15 minutes it is mended where it stands, but: %+v, then %+v", was, got)
	}
	if got := s.all[len(s.all)-1]; got.TrainStatus != event.OutOfService {
		t.Errorf("a train that broke down ends its trip with %+v, want it out of service", got)
	}

	// The trains behind come later at the place than they would have.
	where := func(a *event.Arrival) bool {
		return a.StationID == s.all[0].StationID && a.Direction == s.all[0].Direction && a.Line == "red" && a.TrainStatus == event.InService && a.TrainID != id
	}
	delayed, onTime := &seen{keep: where}, &seen{keep: where}
	c = quiet(t)
	inject(t, c, Breakdown, "red", 15)
	c.Advance(c.Now()+hour, delayed)
	same.Advance(same.Now()+hour, onTime)
	late := 0
	for i := range min(len(onTime.all), len(delayed.all)) {
		if delayed.all[i].Timestamp > onTime.all[i].Timestamp+3*minute {
			late++
		}
	}
	if late < 2 {
		t.Errorf("%d trains behind were delayed", late)
	}
}

func TestAHeldTrainStands(t *testing.T) {
	c := quiet(t)
	now := c.Now()
	id := inject(t, c, HeldTrain, "blue", 12)
	s := &seen{keep: func(a *event.Arrival) bool { return a.TrainID == id }}
	c.Advance(now+hour, s)
	if len(s.all) < 2 || s.all[1].Timestamp < now+12*minute || s.all[1].Timestamp > now+20*minute {
		t.Errorf("held for 12 minutes from %d: %+v", now, s.all[:2])
	}
}

func TestASlowZoneSlowsItsLeg(t *testing.T) {
	leg := func(slow bool) (runs []int64) {
		c := quiet(t)
		if slow {
			if err := c.Inject(event.Incident{Kind: SlowZone, Line: "red", StationID: 40330, Direction: "b", Minutes: 120}); err != nil {
				t.Fatal(err)
			}
		}
		s := &seen{keep: func(a *event.Arrival) bool { return a.Line == "red" && a.Direction == "b" }}
		c.Advance(c.Now()+110*minute, s)
		since := make(map[string]int64)
		for _, a := range s.all {
			if a.PrevStationID == 40330 && a.StationID != 40330 && since[a.TrainID] > 0 {
				runs = append(runs, a.Timestamp-since[a.TrainID])
			}
			if a.StationID == 40330 {
				since[a.TrainID] = a.Timestamp
			}
		}
		return runs
	}
	mean := func(v []int64) (m int64) {
		for _, x := range v {
			m += x
		}
		return m / int64(max(1, len(v)))
	}
	fast, slow := leg(false), leg(true)
	if len(fast) < 10 || len(slow) < 10 || mean(slow) < mean(fast)*3/2 {
		t.Errorf("%d runs of %d ms, in a slow zone %d of %d ms", len(fast), mean(fast), len(slow), mean(slow))
	}
}

func TestMoreIncidentsMakeMoreDelay(t *testing.T) {
	// Mean time between arrivals of a train: it rises with every level.
	var before float64
	for _, level := range []string{"off", "light", "normal", "heavy"} {
		c := mustCity(t, cta.Chicago(), Options{Seed: 9, Start: wednesday, Incidents: level})
		last := make(map[string]int64)
		var sum, n float64
		c.Advance(wednesday+24*hour, &seen{keep: func(a *event.Arrival) bool {
			if was := last[a.TrainID]; was > 0 && a.PrevStationID != a.StationID && a.PrevStationID != 0 {
				sum += float64(a.Timestamp - was)
				n++
			}
			last[a.TrainID] = a.Timestamp
			return false
		}})
		if mean := sum / n; mean <= before {
			t.Errorf("%s: %.0f ms from stop to stop, one level down %.0f ms", level, mean, before)
		} else {
			before = mean
		}
	}
}

func TestIncidentsThatCannotBe(t *testing.T) {
	c := quiet(t)
	id := inject(t, c, Breakdown, "red", 200)
	c.Advance(c.Now()+20*minute, &count{})
	before := string(c.Snapshot())
	for name, tt := range map[string]struct {
		in   event.Incident
		want string
	}{
		"no kind":             {event.Incident{Minutes: 5}, "slow_zone, held_train or breakdown"},
		"no time":             {event.Incident{Kind: HeldTrain, TrainID: id}, "1 to 240"},
		"a week":              {event.Incident{Kind: HeldTrain, TrainID: id, Minutes: 10080}, "1 to 240"},
		"no train":            {event.Incident{Kind: HeldTrain, Line: "red", Minutes: 5}, "no such train"},
		"train of other line": {event.Incident{Kind: HeldTrain, Line: "blue", TrainID: id, Minutes: 5}, "no such train"},
		"broken down already": {event.Incident{Kind: Breakdown, TrainID: id, Minutes: 5}, "broken down already"},
		"no line":             {event.Incident{Kind: SlowZone, StationID: 40330, Direction: "a", Minutes: 5}, "no leg"},
		"no direction":        {event.Incident{Kind: SlowZone, Line: "red", StationID: 40330, Minutes: 5}, "a or b"},
		"end of the line":     {event.Incident{Kind: SlowZone, Line: "red", StationID: 40450, Direction: "b", Minutes: 5}, "no leg"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.Inject(tt.in); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
		})
	}
	if string(c.Snapshot()) != before {
		t.Error("a refused incident changed the city")
	}
}

func TestOptionsThatMakeNoCity(t *testing.T) {
	for name, tt := range map[string]struct {
		net  *cta.Network
		o    Options
		want string
	}{
		"no network":    {nil, rush, "no patterns"},
		"empty network": {&cta.Network{}, rush, "no patterns"},
		"no start":      {cta.Chicago(), Options{}, "between 1990 and 2200"},
		"far future":    {cta.Chicago(), Options{Start: 1 << 60}, "between 1990 and 2200"},
		"unknown level": {cta.Chicago(), Options{Start: wednesday, Incidents: "some"}, "off, light, normal or heavy"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := New(tt.net, tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
		})
	}
}
