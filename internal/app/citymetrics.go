package app

import (
	"github.com/prometheus/client_golang/prometheus"

	"ell/internal/board"
	"ell/internal/event"
)

// cityMetrics tells how the city runs, from the board's newest snapshot.
type cityMetrics struct{ board *board.Board }

var _ prometheus.Collector = cityMetrics{}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	lineTrains    = describe("ell_line_trains", "Trains in service on a line.", "line")
	lineDelay     = describe("ell_line_delay_seconds", "How late the trains of a line are, on average; negative is early.", "line")
	lineDelayMax  = describe("ell_line_delay_max_seconds", "How late the latest train of a line is.", "line")
	lineStatus    = describe("ell_line_status", "1 for the status that a line has.", "line", "status")
	lineHeadway   = describe("ell_line_headway_seconds", "Median of the recent gaps between trains, by direction.", "line", "direction")
	lineScheduled = describe("ell_line_headway_scheduled_seconds", "Gap between trains by timetable, by direction.", "line", "direction")
	cityEntries   = describe("ell_city_entries_total", "Entries at all turnstiles, as the processor counts them.")
	citySpeed     = describe("ell_city_speed", "City seconds to a real second; 0 while paused.")
	cityWarmth    = describe("ell_city_temperature_celsius", "Temperature of the newest weather reading.")
)

var statuses = []string{event.StatusDelays, event.StatusLongWaits, event.StatusSlow, event.StatusGood, event.StatusNotScheduled, event.StatusNoService}

// Describe implements prometheus.Collector.
func (c cityMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{lineTrains, lineDelay, lineDelayMax, lineStatus, lineHeadway, lineScheduled, cityEntries, citySpeed, cityWarmth} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c cityMetrics) Collect(out chan<- prometheus.Metric) {
	snap := c.board.Snapshot()
	set := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	delays := map[string]*delays{}
	for _, t := range snap.Trains {
		d := delays[t.Line]
		if d == nil {
			d = newDelays(t.DelayS)
			delays[t.Line] = d
		}
		d.add(t.DelayS)
	}
	for _, l := range snap.Lines {
		set(lineTrains, float64(l.Trains), l.Line)
		if d := delays[l.Line]; d != nil {
			set(lineDelay, float64(d.sum)/float64(d.trains), l.Line)
			set(lineDelayMax, float64(d.most), l.Line)
		}
		for _, s := range statuses {
			set(lineStatus, one(l.Status == s), l.Line, s)
		}
		for _, h := range l.Headways {
			if h.Observed > 0 {
				set(lineHeadway, float64(h.Observed), l.Line, h.Direction)
			}
			if h.Scheduled > 0 {
				set(lineScheduled, float64(h.Scheduled), l.Line, h.Direction)
			}
		}
	}
	var entries int64
	for _, t := range snap.Totals {
		entries += t.Total
	}
	out <- prometheus.MustNewConstMetric(cityEntries, prometheus.CounterValue, float64(entries))
	if snap.HasClock {
		set(citySpeed, snap.Clock.Speed*one(!snap.Clock.Paused))
	}
	if w := snap.Weather; w != nil {
		set(cityWarmth, (float64(w.Temperature)-32)/1.8)
	}
}

// delays sums up how late the trains of a line are, in seconds.
type delays struct {
	trains, sum int64
	most        int32
}

func newDelays(first int32) *delays { return &delays{most: first} }

func (d *delays) add(s int32) {
	d.trains, d.sum, d.most = d.trains+1, d.sum+int64(s), max(d.most, s)
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
