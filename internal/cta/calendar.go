package cta

import (
	"sync"
	"sync/atomic"
	"time"
	_ "time/tzdata" // the city's zone must load on a machine without a zone database
)

// dayStart is the hour at which a service day begins. Trips between midnight
// and then belong to the evening before.
const dayStart = 3

var chicagoZone = sync.OnceValue(func() *time.Location {
	loc, err := time.LoadLocation("America/Chicago")
	if err != nil { // impossible: tzdata is embedded
		panic(err)
	}
	return loc
})

// Location returns the city's time zone, America/Chicago.
func Location() *time.Location { return chicagoZone() }

// ServiceDay is one day of the timetable. It runs from 03:00 on the clock in
// Chicago to 03:00 of the next day: 24 hours, but 23 or 25 where the clock
// changes in its last night.
type ServiceDay struct {
	Start, End time.Time
	Type       DayType
}

// days are the service days asked for last, by the UTC day that most of them
// lies in. A look at a line asks some twenty times, and working a day out takes seven times as
// long as finding it (BenchmarkServiceDay).
var days [64]atomic.Pointer[ServiceDay]

// ServiceDayOf returns the service day that t falls into.
func ServiceDayOf(t time.Time) ServiceDay {
	slot := &days[uint64(t.Add(-utcStart).Unix())/86400%uint64(len(days))]
	if d := slot.Load(); d != nil && !t.Before(d.Start) && t.Before(d.End) {
		return *d
	}
	d := serviceDayOf(t)
	slot.Store(&d)
	return d
}

// utcStart is when, in UTC, a service day of Chicago begins in summer. In winter
// it is an hour later, and in that hour the day's place holds the day before.
const utcStart = 8 * time.Hour

func serviceDayOf(t time.Time) ServiceDay {
	y, m, d := t.In(Location()).Date()
	start := time.Date(y, m, d, dayStart, 0, 0, 0, Location())
	if t.Before(start) {
		d--
		start = time.Date(y, m, d, dayStart, 0, 0, 0, Location())
	}
	end := time.Date(y, m, d+1, dayStart, 0, 0, 0, Location())
	return ServiceDay{Start: start, End: end, Type: dateType(start)}
}

// Next returns the service day that begins where d ends.
func (d ServiceDay) Next() ServiceDay { return ServiceDayOf(d.End) }

// Time returns the moment of a timetable minute (Departure.Minute) on this
// day. Minutes run evenly from the day's start, so on the two nights when the
// clock changes they are elapsed minutes and not what the clock shows.
func (d ServiceDay) Time(minute float64) time.Time {
	return d.Start.Add(time.Duration((minute - dayStart*60) * float64(time.Minute)))
}

// Minute is the inverse of Time.
func (d ServiceDay) Minute(t time.Time) float64 {
	return dayStart*60 + t.Sub(d.Start).Minutes()
}

// DayTypeOf returns the kind of service that runs at t. A service day begins
// at 03:00 in Chicago: 02:00 on a Sunday is still Saturday's service. On New
// Year's Day, Memorial Day, Independence Day, Labor Day, Thanksgiving and
// Christmas the CTA runs Sunday service; a holiday that falls on a weekend is
// not moved to another day.
func DayTypeOf(t time.Time) DayType { return ServiceDayOf(t).Type }

func dateType(t time.Time) DayType {
	if Holiday(t) != "" {
		return Sunday
	}
	switch t.Weekday() {
	case time.Saturday:
		return Saturday
	case time.Sunday:
		return Sunday
	default:
		return Weekday
	}
}

// Holiday returns the name of the holiday on t's calendar date, as t's own
// location shows it, or "" on any other date.
func Holiday(t time.Time) string {
	_, m, d := t.Date()
	week := (d-1)/7 + 1 // the how-manieth of its weekday in the month
	switch {
	case m == time.January && d == 1:
		return "New Year's Day"
	case m == time.May && t.Weekday() == time.Monday && d > 24:
		return "Memorial Day"
	case m == time.July && d == 4:
		return "Independence Day"
	case m == time.September && t.Weekday() == time.Monday && week == 1:
		return "Labor Day"
	case m == time.November && t.Weekday() == time.Thursday && week == 4:
		return "Thanksgiving Day"
	case m == time.December && d == 25:
		return "Christmas Day"
	}
	return ""
}
