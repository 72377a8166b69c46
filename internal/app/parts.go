package app

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"ell/internal/event"
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
