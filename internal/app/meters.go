package app

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"ell/internal/connect"
	"ell/internal/exactly"
)

// newMetrics makes the registry of a process, with what is known of any process. The
// wall clock is for comparing: Prometheus notes its own time with each sample.
func newMetrics() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewBuildInfoCollector(),
		gauge("ell_wall_clock_seconds", "The wall clock of this process, seconds since the epoch.", nil, wallClock),
	)
	return r
}

func wallClock() float64 { return float64(time.Now().UnixMicro()) / 1e6 }

func gauge(name, help string, labels prometheus.Labels, f func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, f)
}

func counter(name, help string, labels prometheus.Labels, f func() float64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels}, f)
}

// meter registers metrics. Labels have few values: stages and lines by name,
// the sensors' topics by kind, never stations.
func (p *platform) meter(cs ...prometheus.Collector) error {
	var errs []error
	for _, c := range cs {
		errs = append(errs, p.metrics.Register(c))
	}
	return errors.Join(errs...)
}

// Upper bounds of durations, in seconds: of what should take milliseconds, and
// of an event's way to the viewers, close together where the promises are.
var (
	transactionBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	latencyBuckets     = []float64{.01, .02, .03, .05, .075, .1, .15, .2, .25, .35, .5, .75, 1, 2.5, 5, 10, 30}
)

func newTransactionTimes() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "ell_stage_transaction_seconds", Help: "Duration of committed transactions, begin to end.", Buckets: transactionBuckets,
	}, []string{"stage"})
}

func newEventLatency() prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "ell_event_latency_seconds", Help: "From an arrival's record being appended by the city to the frame that shows it.", Buckets: latencyBuckets,
	})
}

func (p *platform) meterStage(r stage) error {
	l := prometheus.Labels{"stage": r.name}
	of := func(f func(exactly.Stats) float64) func() float64 { return func() float64 { return f(r.Stats()) } }
	return p.meter(
		counter("ell_stage_transactions_committed_total", "Transactions committed.", l, of(func(s exactly.Stats) float64 { return float64(s.Committed) })),
		counter("ell_stage_transactions_aborted_total", "Transactions aborted.", l, of(func(s exactly.Stats) float64 { return float64(s.Aborted) })),
		counter("ell_stage_records_in_total", "Input records of committed transactions.", l, of(func(s exactly.Stats) float64 { return float64(s.In) })),
		counter("ell_stage_records_out_total", "Output and state records of committed transactions.", l, of(func(s exactly.Stats) float64 { return float64(s.Out) })),
		counter("ell_stage_dead_letters_total", "Records sent to the dead-letter topic.", l, of(func(s exactly.Stats) float64 { return float64(s.DeadLetters) })),
		counter("ell_stage_restarts_total", "Times the stage started again from committed state.", l, of(func(s exactly.Stats) float64 { return float64(s.Restarts) })),
		counter("ell_stage_missed_total", "Offsets that retention removed before they were processed.", l, of(func(s exactly.Stats) float64 { return float64(s.Missed) })),
		gauge("ell_stage_partitions", "Input partitions that this process owns.", l, of(func(s exactly.Stats) float64 { return float64(len(s.Partitions)) })),
		gauge("ell_stage_lag_records", "Input records not processed yet.", l, of(func(s exactly.Stats) float64 { return float64(s.Lag) })),
		gauge("ell_stage_lag_seconds", "Age of the last record processed while the stage lags.", l, of(func(s exactly.Stats) float64 { return s.Behind.Seconds() })),
		gauge("ell_stage_hanging_seconds", "How long an unfinished transaction has held back an input.", l, of(func(s exactly.Stats) float64 { return s.HangingFor.Seconds() })))
}

func (p *platform) meterCity(c *city) error {
	return p.meter(
		counter("ell_city_events_total", "Arrivals and entries put on the log.", nil, func() float64 { return float64(c.sim.Stats().Events) }),
		counter("ell_city_transactions_total", "Transactions of the city.", nil, func() float64 { return float64(c.sim.Stats().Transactions) }),
		counter("ell_city_restarts_total", "Times the city started again from its checkpoint on the log.", nil, func() float64 { return float64(c.sim.Stats().Restarts) }),
		counter("ell_city_behind_seconds_total", "Wall time by which the city fell behind its speed.", nil, func() float64 { return c.sim.Stats().Behind }),
		counter("ell_weather_sent_total", "Weather readings that the REST Proxy took.", nil, func() float64 { return float64(c.device.Stats().Sent) }),
		gauge("ell_weather_spooled", "Weather readings that wait for the REST Proxy.", nil, func() float64 { return float64(c.device.Stats().Spooled) }),
		counter("ell_weather_dropped_total", "Weather readings given up because the spool was full.", nil, func() float64 { return float64(c.device.Stats().Dropped) }))
}

func (p *platform) meterSource(s *connect.Poller) error {
	return p.meter(
		counter("ell_source_rows_total", "Rows of the station tables sent to Kafka, new or changed.", nil, func() float64 { return float64(s.Stats().Rows) }),
		counter("ell_source_tombstones_total", "Rows of the station tables that were deleted.", nil, func() float64 { return float64(s.Stats().Tombstones) }),
		counter("ell_source_refused_total", "Rows that cannot be sent, each time they are met.", nil, func() float64 { return float64(s.Stats().Refused) }),
		counter("ell_source_failures_total", "Looks at the station tables that failed and are repeated.", nil, func() float64 { return float64(s.Stats().Failures) }))
}

func (p *platform) meterSite(s *site) error {
	return p.meter(
		cityMetrics{s.board},
		gauge("ell_board_lag_records", "Records of the board's topics not folded yet.", nil, func() float64 { n, _ := s.follower.Lag(); return float64(n) }),
		gauge("ell_board_lag_seconds", "Age of the newest record folded while the board lags.", nil, func() float64 { _, d := s.follower.Lag(); return d.Seconds() }))
}
