package cta

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// perHour counts a line's departures in one direction by hour of the clock.
func perHour(n *Network, day DayType, pattern string, dir Direction) [24]int {
	var out [24]int
	for _, d := range n.Departures(day) {
		p := n.Patterns[d.Pattern]
		if p.ID == pattern && p.Calls[d.Call].Direction == dir {
			out[int(d.Minute/60)%24]++
		}
	}
	return out
}

func TestDeparturesPerHourAreNearTheServiceLevels(t *testing.T) {
	n := Chicago()
	for _, tc := range []struct {
		what    string
		day     DayType
		pattern string
		dir     Direction
		near    int // trips an hour
		want    [24]int
	}{
		{"Red south from Howard on a weekday", Weekday, "red-main", B, 0, [24]int{4, 4, 4, 4, 5, 7, 10, 14, 13, 10, 10, 10, 10, 10, 10, 12, 12, 11, 10, 9, 8, 8, 8, 8}},
		{"Red north from 95th on a Sunday", Sunday, "red-main", A, 1, [24]int{5, 4, 4, 4, 5, 5, 6, 6, 6, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 6, 6, 5}},
		{"Brown from Kimball on a weekday", Weekday, "brown-loop", B, 4, [24]int{4, 1, 0, 0, 4, 7, 8, 16, 10, 10, 9, 8, 8, 8, 10, 10, 11, 10, 7, 9, 8, 6, 6, 5}},
		{"Orange from Midway on a Saturday", Saturday, "orange-loop", B, 1, [24]int{4, 1, 0, 0, 4, 5, 5, 6, 5, 7, 6, 6, 6, 5, 7, 6, 6, 6, 6, 6, 6, 6, 6, 5}},
		{"Purple shuttle from Linden on a weekday", Weekday, "purple-shuttle", B, 1, [24]int{4, 4, 0, 0, 0, 0, 0, 0, 0, 4, 6, 6, 6, 6, 1, 0, 0, 0, 3, 6, 6, 6, 6, 4}},
		{"Yellow from Howard on a weekday", Weekday, "yellow-main", A, 0, [24]int{0, 0, 0, 0, 1, 4, 4, 6, 5, 4, 4, 4, 4, 4, 4, 6, 5, 4, 4, 4, 4, 4, 4, 1}},
	} {
		got := perHour(n, tc.day, tc.pattern, tc.dir)
		for h := range got {
			if d := got[h] - tc.want[h]; d > tc.near || d < -tc.near {
				t.Errorf("%s: %d trips in hour %d, want %d ± %d", tc.what, got[h], h, tc.want[h], tc.near)
			}
		}
	}
}

func TestTripsPerWeekday(t *testing.T) {
	n := Chicago()
	got := map[string]int{}
	for _, d := range n.Departures(Weekday) {
		p := n.Patterns[d.Pattern]
		got[p.Line+" "+p.Calls[d.Call].Direction.String()]++
	}
	want := map[string]int{
		"red a": 211, "red b": 211, "blue a": 202, "blue b": 202, "brown b": 175, "green a": 128, "green b": 128,
		"orange b": 139, "pink b": 139, "purple a": 67, "purple b": 67 + 55, "yellow a": 80, "yellow b": 80,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("trips (-want +got):\n%s", d)
	}
}

func TestAsManyTrainsComeInAsGoOut(t *testing.T) {
	n := Chicago()
	for day := range DayType(3) {
		for _, p := range n.Patterns {
			balance := map[int32]int{}
			for _, d := range n.Departures(day) {
				if d.Pattern == p.Index {
					balance[p.Calls[d.Call].Station]--
					balance[p.Calls[p.End(d.Call)].Station]++
				}
			}
			for id, b := range balance {
				if b != 0 {
					t.Errorf("%s on day type %d: %+d trains a day at %s", p.ID, day, b, name(n, id))
				}
			}
		}
	}
}

func TestDeparturesAreOrderedAndWithinTheServiceDay(t *testing.T) {
	n := Chicago()
	for day := range DayType(3) {
		last := map[string]float64{}
		for i, d := range n.Departures(day) {
			if i > 0 && d.Minute < n.Departures(day)[i-1].Minute {
				t.Fatalf("departure %d of day type %d is out of order", i, day)
			}
			if d.Minute < 180 || d.Minute >= 1620 {
				t.Errorf("departure at minute %g of day type %d", d.Minute, day)
			}
			p := n.Patterns[d.Pattern]
			if d.Call != 0 && (p.Circuit || d.Call != len(p.Stations)) {
				t.Errorf("a trip of %s begins at call %d", p.ID, d.Call)
			}
			// Two trains cannot leave one platform within a minute.
			// (at Howard Purple and Yellow have two edges with one stop id).
			key := fmt.Sprint(p.Line, p.Calls[d.Call].Platform)
			if m, ok := last[key]; ok && d.Minute-m < 1 {
				t.Errorf("%s day type %d: departures at %g and %g", p.ID, day, m, d.Minute)
			}
			last[key] = d.Minute
		}
	}
	if n.Departures(3) != nil || n.HourlyShare(3) != [24]float64{} {
		t.Error("there is a fourth day type")
	}
}

func TestOnlyRedAndBlueRunAllNight(t *testing.T) {
	n := Chicago()
	for day := range DayType(3) {
		for _, l := range n.Lines {
			longest := 0.0 // gap between departures of the line, round the clock
			var at []float64
			for _, d := range n.Departures(day) {
				if n.Patterns[d.Pattern].Line == l.ID {
					at = append(at, d.Minute)
				}
			}
			for i := range at {
				next := at[(i+1)%len(at)]
				if i == len(at)-1 {
					next += 1440
				}
				longest = max(longest, next-at[i])
			}
			allNight := l.ID == "red" || l.ID == "blue"
			if allNight && longest > 20 || !allNight && (longest < 120 || longest > 600) {
				t.Errorf("%s on day type %d: the longest break is %.0f min", l.Name, day, longest)
			}
		}
	}
}

func TestPurpleExpressRunsInWeekdayPeaksOnly(t *testing.T) {
	n := Chicago()
	express := n.Pattern("purple-express").Index
	for day := range DayType(3) {
		for _, d := range n.Departures(day) {
			if d.Pattern != express {
				continue
			}
			if h := d.Minute / 60; day != Weekday || h < 5 || h > 9.5 && h < 14 || h > 18.5 {
				t.Errorf("an express leaves Linden at minute %g of day type %d", d.Minute, day)
			}
		}
	}
	// Express or shuttle: someone leaves Linden at least every 20 minutes through the day.
	last := 0.0
	for _, d := range n.Departures(Weekday) {
		if p := n.Patterns[d.Pattern]; p.Line == "purple" && d.Call == 0 {
			if last != 0 && d.Minute-last > 20 {
				t.Errorf("nothing leaves Linden between minutes %g and %g", last, d.Minute)
			}
			last = d.Minute
		}
	}
	if last < 1500 {
		t.Errorf("the last train leaves Linden at minute %g", last)
	}
}

func TestTrainsUnderWayInTheMorningPeak(t *testing.T) {
	n := Chicago()
	got := map[string]float64{}
	// Averaged over the peak hour, since one moment is a matter of luck.
	for m := 480.0; m < 540; m++ {
		for _, d := range n.Departures(Weekday) {
			p := n.Patterns[d.Pattern]
			if d.Minute <= m && m < d.Minute+p.TripTime(d.Call).Minutes() {
				got[p.Line] += 1.0 / 60
			}
		}
	}
	for line, want := range map[string]float64{"red": 29, "blue": 38, "brown": 20, "green": 14, "orange": 8, "pink": 8, "purple": 11, "yellow": 1.5} {
		if math.Abs(got[line]-want) > 0.2*want+1 {
			t.Errorf("%s has %.1f trains under way at half past eight, want about %g", line, got[line], want)
		}
	}
}

func TestBranchesOfGreenAlternateAtHarlem(t *testing.T) {
	n := Chicago()
	var at []float64
	for _, d := range n.Departures(Weekday) {
		if p := n.Patterns[d.Pattern]; p.Line == "green" && d.Call == 0 {
			at = append(at, d.Minute)
		}
	}
	for i := 1; i < len(at); i++ {
		if g := at[i] - at[i-1]; g < 5 || g > 20 && at[i] < 1440 {
			t.Errorf("Green trains leave Harlem at minutes %g and %g", at[i-1], at[i])
		}
	}
}

func at(s string) time.Time {
	t, err := time.ParseInLocation("2006-01-02 15:04", s, Location())
	if err != nil {
		panic(err)
	}
	return t
}

func TestScheduledHeadways(t *testing.T) {
	n := Chicago()
	for _, tc := range []struct {
		what, when, line string
		dir              Direction
		least, most      float64 // minutes
	}{
		{"Red in the morning peak", "2025-10-15 08:30", "red", B, 4, 5},
		{"Red at midday", "2025-10-15 12:30", "red", A, 5.9, 6.1},
		{"Red at night", "2025-10-15 03:10", "red", A, 10, 16},
		{"Blue at night, across the start of the service day", "2025-10-15 03:00", "blue", B, 12, 20},
		{"Brown in the evening", "2025-10-15 21:00", "brown", B, 7, 9},
		{"Brown on the way back as the way out", "2025-10-15 12:00", "brown", A, 7, 8},
		{"Green trunk from both branches", "2025-10-15 12:30", "green", A, 9, 11},
		{"Green on a Sunday", "2025-10-19 12:30", "green", B, 9.5, 10.5},
		{"Purple express at the peak", "2025-10-15 08:15", "purple", B, 5, 9},
		{"Purple shuttle at midday", "2025-10-15 12:30", "purple", A, 9.9, 10.1},
		{"Yellow between two trains", "2025-10-15 12:25", "yellow", B, 14.9, 15.1},
		{"Yellow in the night", "2025-10-15 01:00", "yellow", B, 0, 0},
		{"Pink in the night", "2025-10-15 02:45", "pink", A, 0, 0},
		{"Brown on its last way back", "2025-10-15 02:00", "brown", A, 10, 16},
		{"Brown out after the last", "2025-10-15 02:20", "brown", B, 0, 0},
		{"Orange before the first", "2025-10-15 03:15", "orange", B, 0, 0},
		{"Thanksgiving runs Sunday's midday", "2025-11-27 12:30", "red", B, 7.4, 7.6},
		{"a line that is not there", "2025-11-27 12:30", "violet", B, 0, 0},
		{"a direction that is not there", "2025-11-27 12:30", "red", 2, 0, 0},
	} {
		got := n.Headway(tc.line, tc.dir, at(tc.when)).Minutes()
		if got < tc.least || got > tc.most {
			t.Errorf("%s: %.1f min, want %g to %g", tc.what, got, tc.least, tc.most)
		}
	}
}

func TestHeadwayNeverDropsOutWhereServiceRuns(t *testing.T) {
	n := Chicago()
	// A week with a change of clocks in it.
	for m := at("2025-10-30 03:00"); m.Before(at("2025-11-05 03:00")); m = m.Add(7 * time.Minute) {
		for _, l := range []string{"red", "blue"} {
			for _, dir := range []Direction{A, B} {
				if h := n.Headway(l, dir, m); h < 2*time.Minute || h > 25*time.Minute {
					t.Errorf("%s %s at %s: %v", l, dir, m, h)
				}
			}
		}
	}
}

func TestRidersCurves(t *testing.T) {
	n := Chicago()
	peak := [3]float64{}
	for day := range DayType(3) {
		share := n.HourlyShare(day)
		var sum float64
		for _, v := range share {
			sum += v
		}
		if math.Abs(sum-1) > 1e-9 {
			t.Errorf("day type %d: shares sum to %g", day, sum)
		}
		peak[day] = slices.Max(share[:])
		for _, s := range n.Stations {
			var sum float64
			for _, v := range n.StationShare(s.ID, day) {
				sum += v
			}
			if math.Abs(sum-1) > 1e-9 {
				t.Errorf("%s, day type %d: shares sum to %g", s.Descriptive, day, sum)
			}
		}
	}
	if peak[Weekday] < 0.12 || peak[Saturday] > 0.09 || peak[Sunday] > 0.09 {
		t.Errorf("the highest hour has %.3f of the day; weekends must be flatter", peak)
	}
	howard, kimball := int32(40900), int32(41290)
	if n.StationShare(kimball, Weekday)[3] != 0 || n.StationShare(howard, Weekday)[3] == 0 {
		t.Error("at 03:00 Kimball is closed and Howard open")
	}
	if n.StationShare(1, Weekday) != [24]float64{} || n.StationShare(howard, 3) != [24]float64{} {
		t.Error("an unknown station or day has riders")
	}
}

func BenchmarkHeadway(b *testing.B) {
	n, t := Chicago(), at("2025-10-15 08:30")
	b.ReportAllocs()
	for b.Loop() {
		n.Headway("green", A, t)
	}
}
