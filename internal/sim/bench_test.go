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

// encoded is a sink that encodes every event as it goes on the log.
type encoded struct {
	count
	enc *event.Encoder
	buf []byte
	sum int
}

func (e *encoded) Arrival(a *event.Arrival) {
	e.arrivals++
	e.buf = e.enc.AppendArrivalKey(e.buf[:0], a.StationID, a.Timestamp)
	e.buf = e.enc.AppendArrival(e.buf, a)
	e.sum += len(e.buf)
}

func (e *encoded) Turnstile(x *event.Turnstile) {
	e.entries++
	e.buf = e.enc.AppendTurnstileKey(e.buf[:0], x.StationID, x.Timestamp)
	e.buf = e.enc.AppendTurnstile(e.buf, x)
	e.sum += len(e.buf)
}

// BenchmarkWeekdayEncoded is the whole weekday with every event encoded, key
// and value: the target is 1 s on one core.
func BenchmarkWeekdayEncoded(b *testing.B) {
	ids := make(event.IDs)
	for i, s := range event.Schemas() {
		ids[s.Name] = i + 1
	}
	enc, err := event.NewEncoder(ids)
	if err != nil {
		b.Fatal(err)
	}
	sink := encoded{enc: enc}
	b.ReportAllocs()
	for b.Loop() {
		sink.count, sink.sum = count{}, 0
		c := mustCity(b, cta.Chicago(), Options{Seed: 1, Start: wednesday, Incidents: "normal"})
		c.Advance(wednesday+24*hour, &sink)
	}
	b.ReportMetric(float64(sink.arrivals+sink.entries), "events")
	b.ReportMetric(float64(sink.sum), "bytes")
}

func BenchmarkSnapshot(b *testing.B) {
	c := mustCity(b, cta.Chicago(), Options{Seed: 1, Start: wednesday + 5*hour, Incidents: "heavy"})
	var size int
	for b.Loop() {
		size = len(c.Snapshot())
	}
	b.ReportMetric(float64(size), "bytes")
}

func BenchmarkRestore(b *testing.B) {
	s := mustCity(b, cta.Chicago(), Options{Seed: 1, Start: wednesday + 5*hour, Incidents: "heavy"}).Snapshot()
	for b.Loop() {
		if _, err := Restore(cta.Chicago(), s); err != nil {
			b.Fatal(err)
		}
	}
}
