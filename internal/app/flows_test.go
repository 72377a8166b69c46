package app

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"ell/internal/event"
	"ell/internal/web"
)

var noon = time.Date(2026, 4, 14, 12, 0, 0, 0, time.UTC)

func TestRatesAndTrendsAreOfTheLastSeconds(t *testing.T) {
	var letters atomic.Int64
	now := reading{}
	f := &flows{
		all:   []flow{{web.PipelineEdge{From: "a", To: "b"}, func() reading { return now }}},
		nodes: func(e []web.PipelineEdge) []web.PipelineNode { return []web.PipelineNode{{ID: "b", Rate: e[0].Rate}} },
		past:  map[string]*window{}, deadLetters: &letters,
	}
	if doc := f.pipeline(); len(doc.Edges) != 0 {
		t.Errorf("before the first measurement: %+v", doc)
	}
	at := func(s int, r reading) web.PipelineEdge {
		now = r
		f.measure(noon.Add(time.Duration(s) * time.Second))
		return f.pipeline().Edges[0]
	}
	if e := at(0, reading{count: 5000, lag: 7}); e.Rate != 0 || e.Trend != 0 || e.LagRecords != 7 {
		t.Errorf("the first measurement has nothing to compare with: %+v", e)
	}
	for s := 1; s <= 4; s++ {
		if e := at(s, reading{count: 5000 + int64(s)*100, lag: 7}); e.Rate != 100 || e.Trend != 0 {
			t.Errorf("after %d s: %+v", s, e)
		}
	}
	var e web.PipelineEdge
	for s := 5; s <= 9; s++ {
		e = at(s, reading{count: 5400, lag: 7 + int64(s-4)*50, behind: 1500 * time.Millisecond})
	}
	if e.Rate != 0 || e.Trend != 50 || e.LagMS != 1500 {
		t.Errorf("after 5 s of standstill: %+v", e)
	}
	if e := at(10, reading{count: 0}); e.Rate != 0 {
		t.Errorf("a counter that begins anew gives a rate of %g", e.Rate)
	}
}

func TestABacklogIsAsOldAsItsOldestOffset(t *testing.T) {
	var b backlog
	for _, c := range []struct {
		s         int
		done, end int64
		lag       int64
		behind    time.Duration
	}{
		{0, 10, 10, 0, 0},
		{1, 10, 14, 4, 0}, // came within the last second
		{2, 10, 20, 10, time.Second},
		{3, 14, 20, 6, time.Second}, // those of second 2 are the oldest now
		{60, 14, 20, 6, 58 * time.Second},
		{61, 19, 20, 1, 59 * time.Second},
		{62, 20, 20, 0, 0},
		{63, 25, 20, 0, 0}, // the group was heard of later than the end
	} {
		lag, behind := b.see(noon.Add(time.Duration(c.s)*time.Second), c.done, c.end)
		if lag != c.lag || behind != c.behind {
			t.Errorf("second %d: %d offsets, %v; want %d, %v", c.s, lag, behind, c.lag, c.behind)
		}
	}
	for s := range 10_000 {
		_, behind := b.see(noon.Add(time.Duration(s)*time.Second), 20, 21+int64(s))
		if want := time.Duration(s) * time.Second; behind != want {
			t.Fatalf("second %d: %v", s, behind)
		}
	}
	if len(b.marks) > maxMarks {
		t.Errorf("%d marks are kept", len(b.marks))
	}
}

func TestRecordsAreCountedByTopicOnTheirWay(t *testing.T) {
	passed := 0
	c := newCounted([]string{"x", "y"}, func(_ context.Context, r []event.Record) error { passed += len(r); return nil })
	batch := []event.Record{{Topic: "x"}, {Topic: "y"}, {Topic: "x"}, {Topic: "unknown"}}
	if err := c.batch(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if x, y := c.topics["x"].Load(), c.topics["y"].Load(); x != 2 || y != 1 || passed != 4 {
		t.Errorf("x %d, y %d, passed on %d", x, y, passed)
	}
}
