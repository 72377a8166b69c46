package sim

import (
	"testing"
	"time"

	"ell/internal/cta"
	"ell/internal/event"
)

// count is a sink that counts.
type count struct{ arrivals, entries int }

func (c *count) Arrival(*event.Arrival)     { c.arrivals++ }
func (c *count) Turnstile(*event.Turnstile) { c.entries++ }

// chicago returns a moment on the clock in Chicago, in ms.
func chicago(y int, m time.Month, d, h, min int) int64 {
	return time.Date(y, m, d, h, min, 0, 0, cta.Location()).UnixMilli()
}

// wednesday is an ordinary weekday, at the start of its service.
var wednesday = chicago(2025, time.October, 15, 3, 0)

func BenchmarkNew(b *testing.B) {
	net := cta.Chicago()
	for b.Loop() {
		if _, err := New(net, Options{Seed: 1, Start: wednesday + 4*hour + 30*minute}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWeekday is the city alone: a weekday of all lines, every event to a
// sink that does nothing.
func BenchmarkWeekday(b *testing.B) {
	net := cta.Chicago()
	var n count
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		c, err := New(net, Options{Seed: 1, Start: wednesday, Incidents: "normal"})
		if err != nil {
			b.Fatal(err)
		}
		n = count{}
		b.StartTimer()
		c.Advance(wednesday+24*hour, &n)
	}
	b.ReportMetric(float64(n.arrivals), "arrivals")
	b.ReportMetric(float64(n.entries), "entries")
}

func BenchmarkWeather(b *testing.B) {
	w := NewWeather(1, wednesday)
	for b.Loop() {
		w.Next(wednesday + 1000*hour)
	}
}
