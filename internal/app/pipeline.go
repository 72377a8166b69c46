package app

import (
	"fmt"

	"ell/internal/event"
	"ell/internal/exactly"
	"ell/internal/web"
)

// newFlows says what the parts of the system are and how what flows between
// them is measured: parts beside the website by their own counters, others by the log.
func (p *platform) newFlows(s *site, beside parts) *flows {
	n := p.Names
	f := &flows{kafka: p.kafka, deadLetters: &s.deadLetters}
	add := func(from, to, topic string, read func() reading) {
		f.all = append(f.all, flow{web.PipelineEdge{From: from, To: to, Topic: topic, Unit: "records"}, read})
	}
	board := func(from, topic string) {
		add(from, "board", topic, func() reading { return s.counted.read(topic, s.follower) })
	}
	state := func(string) (string, string) { return "elsewhere", "" }
	if beside.city != nil {
		add("weather", "gateway", "", func() reading {
			st := beside.city.device.Stats()
			return reading{count: st.Sent, lag: int64(st.Spooled)}
		})
	} else {
		add("weather", "gateway", "", func() reading { return reading{count: s.counted.read(n.Weather(), s.follower).count} })
	}
	inputs := [...]struct{ from, stage, topic string }{
		{"source", event.StageStations, n.Stations()},
		{"city", event.StageTurnstiles, p.sensors("turnstiles")},
		{"city", event.StageLines, p.sensors("arrivals")},
	}
	if beside.processor != nil {
		state = beside.processor.state
		for _, in := range inputs {
			add(in.from, in.stage, in.topic, beside.processor.reader(in.stage))
		}
	} else {
		far := p.newElsewhere()
		f.far, state = far, far.state
		for _, in := range inputs {
			add(in.from, in.stage, in.topic, func() reading { return far.stages[in.stage].reading })
			f.all[len(f.all)-1].Unit = "offsets"
		}
	}
	board("city", n.Clock())
	board("gateway", n.Weather())
	board("stations", n.StationsTable())
	board("turnstiles", n.Summary())
	board("turnstiles", n.Windows())
	board("lines", n.Trains())
	board("lines", n.Lines())
	add("board", "viewers", "", func() reading { return reading{count: int64(s.hub.Stats().Frames)} }) //nolint:gosec // no server sends 2^63 frames
	f.all[len(f.all)-1].Unit = "frames"
	f.nodes = func(edges []web.PipelineEdge) []web.PipelineNode { return p.nodes(s, beside, state, edges) }
	return f
}

// nodes are the parts. A part that begins something is as fast as what leaves
// it, every other as what comes to it.
func (p *platform) nodes(s *site, beside parts, stage func(string) (state, why string), edges []web.PipelineEdge) []web.PipelineNode {
	in, out := make(map[string]float64), make(map[string]float64)
	for _, e := range edges {
		in[e.To] += e.Rate
		out[e.From] += e.Rate
	}
	var all []web.PipelineNode
	add := func(id, kind, name, state, detail string) {
		rate := in[id]
		if kind == "producer" || kind == "source" {
			rate = out[id]
		}
		all = append(all, web.PipelineNode{ID: id, Kind: kind, Name: name, State: state, Detail: detail, Rate: rate})
	}
	part := "elsewhere"
	if beside.embedded {
		part = "ok"
	}
	city, device := "ok", "ok"
	switch {
	case beside.city != nil:
		if beside.city.device.Stats().Spooled > 1 {
			device = "waiting"
		}
	case out["city"] == 0:
		city, device = "silent", "elsewhere"
	default:
		device = "elsewhere"
	}
	add("city", "producer", "City", city, "trains and riders: one transaction for a batch of events and the checkpoint")
	add("weather", "producer", "Weather device", device, "plain HTTP; knows no Kafka")
	add("gateway", "gateway", "REST Proxy", part, "Confluent v2 API")
	add("registry", "registry", "Schema registry", part, p.Options.Registry.URL)
	add("source", "source", "Station source", part, "rows of two tables, as Kafka Connect brings them")
	for _, id := range []string{event.StageStations, event.StageTurnstiles, event.StageLines} {
		word, why := stage(id)
		work := stageWork[id]
		if why != "" {
			work += "; " + why
		}
		add(id, "processor", stageNames[id], word, work)
	}
	board := "ok"
	if !s.pump.CaughtUp() {
		board = "waiting"
	}
	add("board", "board", "Board", board, "folds the processed topics into one snapshot and numbered deltas")
	watching := s.hub.Stats().Viewers
	add("viewers", "viewers", "Viewers", "ok", fmt.Sprintf("%d watching; one stream for all, encoded and compressed once", watching))
	return all
}

// sensors names the topics of one kind of sensor, with a star for the station.
func (p *platform) sensors(kind string) string {
	if p.Names.Layout == event.PerStation {
		return p.Names.Prefix + "station." + kind + ".*"
	}
	if kind == "arrivals" {
		return p.Names.ByLine()
	}
	return p.Names.Turnstiles(0, "")
}

// stats are those of the stage of a name.
func (p *processor) stats(name string) exactly.Stats {
	for _, s := range p.stages {
		if s.name == name {
			return s.Stats()
		}
	}
	return exactly.Stats{}
}

// reader reads the input of a stage in this process.
func (p *processor) reader(name string) func() reading {
	return func() reading {
		st := p.stats(name)
		return reading{st.In, st.Lag, st.Behind}
	}
}

// state says how a stage in this process is.
func (p *processor) state(name string) (state, why string) {
	if st := p.stats(name); !st.CaughtUp {
		return "waiting", "it has not caught up yet"
	}
	return "ok", ""
}

// state says how a stage in another process is.
func (e *elsewhere) state(name string) (state, why string) {
	switch d := e.stages[name]; {
	case e.fault != "":
		return "unknown", e.fault
	case d.members == 0:
		return "away", "nobody does this work now"
	case d.members == 1:
		return "ok", "1 instance"
	default:
		return "ok", fmt.Sprintf("%d instances", d.members)
	}
}

var (
	stageNames = map[string]string{"stations": "Stations", "turnstiles": "Turnstiles", "lines": "Trains and lines"}
	stageWork  = map[string]string{
		"stations":   "joins the two tables into one row per station and line",
		"turnstiles": "counts entries, in total and in windows of five minutes",
		"lines":      "knows where each train is, when it is due next, and how each line runs",
	}
)
