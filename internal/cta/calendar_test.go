package cta

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

func TestHolidays(t *testing.T) {
	want := map[string]string{
		"2025-01-01": "New Year's Day", "2025-05-26": "Memorial Day", "2025-07-04": "Independence Day",
		"2025-09-01": "Labor Day", "2025-11-27": "Thanksgiving Day", "2025-12-25": "Christmas Day",
		"2026-01-01": "New Year's Day", "2026-05-25": "Memorial Day", "2026-07-04": "Independence Day",
		"2026-09-07": "Labor Day", "2026-11-26": "Thanksgiving Day", "2026-12-25": "Christmas Day",
		"2027-01-01": "New Year's Day", "2027-05-31": "Memorial Day", "2027-07-04": "Independence Day",
		"2027-09-06": "Labor Day", "2027-11-25": "Thanksgiving Day", "2027-12-25": "Christmas Day",
	}
	found := 0
	for d := time.Date(2025, 1, 1, 12, 0, 0, 0, Location()); d.Year() < 2028; d = d.AddDate(0, 0, 1) {
		date := d.Format(time.DateOnly)
		if got := Holiday(d); got != want[date] {
			t.Errorf("%s is %q, want %q", date, got, want[date])
		} else if got != "" {
			found++
			if DayTypeOf(d) != Sunday {
				t.Errorf("%s runs day type %d, want Sunday's", got, DayTypeOf(d))
			}
		}
	}
	if found != len(want) {
		t.Errorf("found %d holidays, want %d", found, len(want))
	}
}

func TestDayTypeOf(t *testing.T) {
	for _, tc := range []struct {
		what, when string
		want       DayType
	}{
		{"Wednesday at noon", "2025-10-15 12:00", Weekday},
		{"Saturday at noon", "2025-10-18 12:00", Saturday},
		{"Sunday at noon", "2025-10-19 12:00", Sunday},
		{"before three on Saturday it is still Friday's service", "2025-10-18 02:59", Weekday},
		{"at three on Saturday Saturday's service begins", "2025-10-18 03:00", Saturday},
		{"before three on Monday it is still Sunday's service", "2025-10-20 01:00", Sunday},
		{"the night after Christmas is Christmas's", "2025-12-26 02:00", Sunday},
		{"the night before Christmas is a weekday's", "2025-12-25 02:00", Weekday},
		{"an Independence Day on Saturday stays there", "2026-07-03 12:00", Weekday},
	} {
		if got := DayTypeOf(at(tc.when)); got != tc.want {
			t.Errorf("%s: day type %d, want %d", tc.what, got, tc.want)
		}
	}
	// The caller's zone does not matter.
	if got := DayTypeOf(time.Date(2025, 10, 18, 7, 59, 0, 0, time.UTC)); got != Weekday {
		t.Errorf("02:59 in Chicago, given in UTC: day type %d", got)
	}
}

func TestServiceDaysTileTheYear(t *testing.T) {
	n := Chicago()
	d := ServiceDayOf(at("2025-01-01 12:00"))
	for range 730 {
		next := d.Next()
		if !next.Start.Equal(d.End) {
			t.Fatalf("the day after %v begins at %v", d, next.Start)
		}
		length := d.End.Sub(d.Start)
		want := 24 * time.Hour
		switch d.Start.Format(time.DateOnly) {
		case "2025-03-08", "2026-03-07":
			want = 23 * time.Hour
		case "2025-11-01", "2026-10-31":
			want = 25 * time.Hour
		}
		if length != want {
			t.Errorf("the service day of %v has %v, want %v", d.Start, length, want)
		}
		var last time.Time
		red := n.Pattern("red-main").Index
		for _, dep := range n.DeparturesOn(d) {
			m := d.Time(dep.Minute)
			if m.Before(d.Start) || !m.Before(d.End) {
				t.Errorf("a trip at %v is outside of its day %v to %v", m, d.Start, d.End)
			}
			if got := d.Minute(m); got != dep.Minute {
				t.Errorf("minute %g comes back as %g", dep.Minute, got)
			}
			if dep.Pattern == red && dep.Call == 0 {
				if !last.IsZero() && m.Sub(last) > 25*time.Minute {
					t.Errorf("no Red train between %v and %v", last, m)
				}
				last = m
			}
		}
		if d.End.Sub(last) > 25*time.Minute {
			t.Errorf("the last Red train leaves at %v, the day ends at %v", last, d.End)
		}
		d = next
	}
}

func TestTheServiceDayOfAMomentDoesNotDependOnWhatWasAskedBefore(t *testing.T) {
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(worker)))
			for range 20_000 {
				// A year around two changes of the clock, hours before 1970 too.
				at := time.Unix(1_767_225_600+rng.Int64N(366*86400), 0)
				if rng.IntN(50) == 0 {
					at = time.Unix(-rng.Int64N(86400), 0)
				}
				d := ServiceDayOf(at)
				if at.Before(d.Start) || !at.Before(d.End) || d.Start.In(Location()).Hour() != dayStart || d.Type != dateType(d.Start) {
					t.Errorf("%v is in %v to %v, %v", at, d.Start, d.End, d.Type)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestAskingForAServiceDayAgainCostsNoMemory(t *testing.T) {
	at := time.Date(2026, 4, 14, 8, 0, 0, 0, Location())
	if n := testing.AllocsPerRun(100, func() { ServiceDayOf(at) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkServiceDay(b *testing.B) {
	at := time.Date(2026, 4, 14, 8, 0, 0, 0, Location())
	b.Run("kept", func(b *testing.B) {
		for b.Loop() {
			ServiceDayOf(at)
		}
	})
	b.Run("worked out", func(b *testing.B) {
		for b.Loop() {
			serviceDayOf(at)
		}
	})
}
