package app

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ell/internal/event"
	"ell/internal/exactly"
	"ell/internal/web"
)

// parts are the roles that run in the same process as the website, nil where
// they run elsewhere.
type parts struct {
	city      *city
	processor *processor
	embedded  bool
	rates     *rates
}

// unready says what the website still waits for.
func (p *platform) unready(s *site, beside parts) []string {
	var out []string
	if !s.pump.CaughtUp() {
		out = append(out, "the board has not caught up with the log")
	}
	if beside.processor != nil {
		for _, r := range beside.processor.stages {
			if st := r.Stats(); !st.CaughtUp {
				out = append(out, "stage "+r.name+" has not caught up with its input")
			}
		}
	}
	return out
}

// system is what /api/v1/system tells of the parts.
func (b parts) system(s *site) any {
	doc := map[string]any{}
	lag, behind := s.follower.Lag()
	doc["board"] = map[string]any{"lag_records": lag, "lag_ms": behind.Milliseconds()}
	if b.city != nil {
		st := b.city.sim.Stats()
		doc["city"] = map[string]any{
			"time_ms": st.Clock.CityTime, "speed": st.Clock.Speed, "paused": st.Clock.Paused, "seed": st.Clock.Seed,
			"events": st.Events, "transactions": st.Transactions, "restarts": st.Restarts, "behind_s": st.Behind,
			"weather": b.city.device.Stats(),
		}
	}
	if b.processor != nil {
		stages := map[string]any{}
		for _, r := range b.processor.stages {
			st := r.Stats()
			stages[r.name] = map[string]any{
				"committed": st.Committed, "aborted": st.Aborted, "records_in": st.In, "records_out": st.Out,
				"dead_letters": st.DeadLetters, "restarts": st.Restarts, "missed": st.Missed,
				"lag_records": st.Lag, "lag_ms": st.Behind.Milliseconds(), "commit_ms": float64(st.CommitTook.Microseconds()) / 1000,
				"restored": st.Restored, "restore_ms": st.RestoreTook.Milliseconds(), "caught_up": st.CaughtUp,
				"partitions": len(st.Partitions), "hanging_ms": st.HangingFor.Milliseconds(),
			}
		}
		doc["stages"] = stages
	}
	return doc
}

// gatewayRecords is how many records the gateway is known to have taken: those
// of the weather device beside it.
func gatewayRecords(b parts) int64 {
	if b.city == nil {
		return 0
	}
	return b.city.device.Stats().Sent
}

// rates turns counters into rates a second, over the time between two looks of
// at least a second.
type rates struct {
	began time.Time  // the first look goes back to here
	mu    sync.Mutex // guards all below
	last  map[string]look
}

type look struct {
	at    time.Time
	count int64
	rate  float64
}

func newRates() *rates { return &rates{began: time.Now(), last: map[string]look{}} }

func (r *rates) of(name string, count int64) float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	l, ok := r.last[name]
	if !ok {
		l = look{at: r.began}
	}
	if d := now.Sub(l.at); d >= time.Second {
		l = look{at: now, count: count, rate: float64(count-l.count) / d.Seconds()}
		r.last[name] = l
	}
	return l.rate
}

// meter registers the metrics of the parts. Labels have few values: stages by
// name, never topics or stations.
func (p *platform) meter(s *site, beside parts) error {
	gauge := func(name, help string, labels prometheus.Labels, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, f)
	}
	counter := func(name, help string, labels prometheus.Labels, f func() float64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels}, f)
	}
	var all []prometheus.Collector
	if s != nil {
		all = append(all,
			gauge("ell_board_lag_records", "Records of the board's topics not folded yet.", nil, func() float64 { n, _ := s.follower.Lag(); return float64(n) }),
			gauge("ell_board_lag_seconds", "Age of the newest record folded while the board lags.", nil, func() float64 { _, d := s.follower.Lag(); return d.Seconds() }))
	}
	if c := beside.city; c != nil {
		all = append(all,
			counter("ell_city_events_total", "Arrivals and entries put on the log.", nil, func() float64 { return float64(c.sim.Stats().Events) }),
			counter("ell_city_transactions_total", "Transactions of the city.", nil, func() float64 { return float64(c.sim.Stats().Transactions) }),
			counter("ell_city_behind_seconds_total", "Wall time by which the city fell behind its speed.", nil, func() float64 { return c.sim.Stats().Behind }),
			gauge("ell_weather_spooled", "Weather readings that wait for the REST Proxy.", nil, func() float64 { return float64(c.device.Stats().Spooled) }),
			counter("ell_weather_dropped_total", "Weather readings given up because the spool was full.", nil, func() float64 { return float64(c.device.Stats().Dropped) }))
	}
	if beside.processor != nil {
		for _, r := range beside.processor.stages {
			l := prometheus.Labels{"stage": r.name}
			of := func(f func(exactly.Stats) float64) func() float64 { return func() float64 { return f(r.Stats()) } }
			all = append(all,
				counter("ell_stage_transactions_committed_total", "Transactions committed.", l, of(func(s exactly.Stats) float64 { return float64(s.Committed) })),
				counter("ell_stage_transactions_aborted_total", "Transactions aborted.", l, of(func(s exactly.Stats) float64 { return float64(s.Aborted) })),
				counter("ell_stage_records_in_total", "Input records of committed transactions.", l, of(func(s exactly.Stats) float64 { return float64(s.In) })),
				counter("ell_stage_records_out_total", "Output and state records of committed transactions.", l, of(func(s exactly.Stats) float64 { return float64(s.Out) })),
				counter("ell_stage_dead_letters_total", "Records sent to the dead-letter topic.", l, of(func(s exactly.Stats) float64 { return float64(s.DeadLetters) })),
				counter("ell_stage_restarts_total", "Times the stage started again from committed state.", l, of(func(s exactly.Stats) float64 { return float64(s.Restarts) })),
				counter("ell_stage_missed_total", "Offsets that retention removed before they were processed.", l, of(func(s exactly.Stats) float64 { return float64(s.Missed) })),
				gauge("ell_stage_lag_records", "Input records not processed yet.", l, of(func(s exactly.Stats) float64 { return float64(s.Lag) })),
				gauge("ell_stage_lag_seconds", "Age of the last record processed while the stage lags.", l, of(func(s exactly.Stats) float64 { return s.Behind.Seconds() })),
				gauge("ell_stage_commit_seconds", "Duration of the last transaction.", l, of(func(s exactly.Stats) float64 { return s.CommitTook.Seconds() })),
				gauge("ell_stage_hanging_seconds", "How long an unfinished transaction has held back an input.", l, of(func(s exactly.Stats) float64 { return s.HangingFor.Seconds() })))
		}
	}
	for _, c := range all {
		if err := p.metrics.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// sensors names the topics of one kind of sensor, with a star for the station.
func (p *platform) sensors(kind string) string {
	if p.Names.Layout == event.PerStation {
		return p.Names.Prefix + "station." + kind + ".*"
	}
	if kind == "arrivals" {
		return p.Names.Arrivals(0, "")
	}
	return p.Names.Turnstiles(0, "")
}

// pipeline is the system as it runs, for the pipeline view.
func (p *platform) pipeline(s *site, beside parts) web.Pipeline {
	doc := web.Pipeline{At: time.Now().UnixMilli()}
	node := func(id, kind, name, state, detail string, rate float64) {
		doc.Nodes = append(doc.Nodes, web.PipelineNode{ID: id, Kind: kind, Name: name, State: state, Detail: detail, Rate: rate})
	}
	edge := func(e web.PipelineEdge) { doc.Edges = append(doc.Edges, e) }
	rate := beside.rates.of
	here := func(x bool) string {
		if x {
			return "ok"
		}
		return "elsewhere"
	}
	if c := beside.city; c != nil {
		st := c.sim.Stats()
		events := rate("city", st.Events)
		node("city", "producer", "City", here(true), "trains and riders: one transaction for a batch of events and the checkpoint", events)
		w := c.device.Stats()
		state := "ok"
		if w.Spooled > 1 {
			state = "waiting"
		}
		node("weather", "producer", "Weather device", state, "plain HTTP; knows no Kafka", rate("weather", w.Sent))
		edge(web.PipelineEdge{From: "weather", To: "gateway", Rate: rate("weather", w.Sent), LagRecords: int64(w.Spooled)})
		edge(web.PipelineEdge{From: "city", To: "forward", Topic: p.sensors("arrivals")})
		edge(web.PipelineEdge{From: "city", To: "turnstiles", Topic: p.sensors("turnstiles")})
	}
	node("gateway", "gateway", "REST Proxy", here(beside.embedded), "Confluent v2 API", rate("weather", gatewayRecords(beside)))
	edge(web.PipelineEdge{From: "gateway", To: "board", Topic: p.Names.Weather()})
	node("registry", "registry", "Schema registry", here(beside.embedded), p.Registry.URL, 0)
	node("source", "source", "Station source", here(beside.embedded), "rows of two tables, as Kafka Connect brings them", 0)
	edge(web.PipelineEdge{From: "source", To: "stations", Topic: p.Names.Stations()})
	if beside.processor != nil {
		for _, r := range beside.processor.stages {
			st := r.Stats()
			id := r.name
			state := "ok"
			if !st.CaughtUp {
				state = "waiting"
			}
			node(id, "processor", stageNames[id], state, stageWork[id], rate("in "+id, st.In))
			doc.DeadLetters += st.DeadLetters
			for i := range doc.Edges {
				if e := &doc.Edges[i]; e.To == id {
					e.Rate, e.LagRecords, e.LagMS = rate("in "+id, st.In), st.Lag, st.Behind.Milliseconds()
				}
			}
		}
		edge(web.PipelineEdge{From: "forward", To: "lines", Topic: p.Names.ByLine()})
	}
	lag, behind := s.follower.Lag()
	for from, topic := range map[string]string{"stations": p.Names.StationsTable(), "turnstiles": p.Names.Summary(), "lines": p.Names.Trains()} {
		edge(web.PipelineEdge{From: from, To: "board", Topic: topic, LagRecords: lag, LagMS: behind.Milliseconds()})
	}
	hub := s.hub.Stats()
	frames := rate("frames", int64(hub.Frames)) //nolint:gosec // no server sends 2^63 frames
	node("board", "board", "Board", "ok", "folds the processed topics into one snapshot and numbered deltas", frames)
	node("viewers", "viewers", "Viewers", "ok", "one stream for all, encoded and compressed once", rate("deliveries", int64(hub.Deliveries))) //nolint:gosec // as above
	edge(web.PipelineEdge{From: "board", To: "viewers", Rate: frames})
	slices.SortStableFunc(doc.Edges, func(a, b web.PipelineEdge) int {
		return cmp.Or(strings.Compare(a.From, b.From), strings.Compare(a.To, b.To))
	})
	return doc
}

var (
	stageNames = map[string]string{"stations": "Stations", "forward": "By line", "turnstiles": "Turnstiles", "lines": "Trains and lines"}
	stageWork  = map[string]string{
		"stations":   "joins the two tables into one row per station and line",
		"forward":    "brings the arrivals of all stations together by line",
		"turnstiles": "counts entries, in total and in windows of five minutes",
		"lines":      "knows where each train is, when it is due next, and how each line runs",
	}
)
