package app

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"ell/internal/event"
	"ell/internal/kafka"
	"ell/internal/web"
)

// reading is what is known of one flow at one moment.
type reading struct {
	count  int64 // records so far, or offsets where only the log can tell
	lag    int64 // records that wait
	behind time.Duration
}

// flow is an edge of the pipeline and how it is measured.
type flow struct {
	web.PipelineEdge
	read func() reading
}

// flows measures what flows through the system, once a second, whether
// anybody looks or not, so that a look costs nothing and its rates are of the last seconds.
type flows struct {
	kafka       kafka.Config
	all         []flow
	nodes       func(edges []web.PipelineEdge) []web.PipelineNode
	deadLetters *atomic.Int64
	far         *elsewhere // nil: the processor is beside the website
	doc         atomic.Pointer[web.Pipeline]
	past        map[string]*window // of the goroutine in run alone
}

const (
	measureEvery = time.Second
	measureOver  = 5 // measurements
)

// run measures until ctx ends, then returns nil.
func (f *flows) run(ctx context.Context) error {
	f.past = make(map[string]*window)
	var adm *kadm.Client
	if f.far != nil {
		cl, err := f.kafka.New()
		if err != nil {
			return err
		}
		defer cl.Close()
		adm = kadm.NewClient(cl)
	}
	tick := time.NewTicker(measureEvery)
	defer tick.Stop()
	for {
		if f.far != nil {
			f.far.look(ctx, adm)
		}
		f.measure(time.Now())
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (f *flows) measure(now time.Time) {
	doc := web.Pipeline{At: now.UnixMilli(), DeadLetters: f.deadLetters.Load()}
	for _, e := range f.all {
		r := e.read()
		name := e.From + " " + e.To + " " + e.Topic
		e.Count, e.Rate = r.count, max(0, f.slope(name, now, r.count))
		e.LagRecords, e.LagMS = r.lag, r.behind.Milliseconds()
		e.Trend = f.slope("lag "+name, now, r.lag)
		doc.Edges = append(doc.Edges, e.PipelineEdge)
	}
	doc.Nodes = f.nodes(doc.Edges)
	f.doc.Store(&doc)
}

// pipeline is the newest measurement; it never changes.
func (f *flows) pipeline() web.Pipeline {
	if doc := f.doc.Load(); doc != nil {
		return *doc
	}
	return web.Pipeline{}
}

// slope is by how much a value grows a second, over the last measurements.
func (f *flows) slope(name string, now time.Time, value int64) float64 {
	w := f.past[name]
	if w == nil {
		w = &window{}
		f.past[name] = w
	}
	return w.slope(now, value)
}

// window keeps the newest values of something.
type window struct {
	at    [measureOver]time.Time
	value [measureOver]int64
	n     int
}

func (w *window) slope(now time.Time, value int64) float64 {
	out := 0.0
	if w.n > 0 {
		first := max(0, w.n-measureOver) % measureOver
		if d := now.Sub(w.at[first]).Seconds(); d > 0 {
			out = float64(value-w.value[first]) / d
		}
	}
	w.at[w.n%measureOver], w.value[w.n%measureOver] = now, value
	w.n++
	return out
}

// counted counts the records of the board's topics on their way to it.
type counted struct {
	topics map[string]*atomic.Int64 // fixed
	next   func(context.Context, []event.Record) error
}

func newCounted(topics []string, next func(context.Context, []event.Record) error) *counted {
	c := &counted{topics: make(map[string]*atomic.Int64, len(topics)), next: next}
	for _, t := range topics {
		c.topics[t] = new(atomic.Int64)
	}
	return c
}

func (c *counted) batch(ctx context.Context, records []event.Record) error {
	for i := range records {
		if n := c.topics[records[i].Topic]; n != nil {
			n.Add(1)
		}
	}
	return c.next(ctx, records)
}

// read tells of one topic on its way to the board.
func (c *counted) read(topic string, f *kafka.Follower) reading {
	r := reading{count: c.topics[topic].Load()}
	for _, p := range f.Progress() {
		if p.Topic == topic {
			r.lag += p.Lag
			r.behind = max(r.behind, p.Behind)
		}
	}
	return r
}
