package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/cta"
	"ell/internal/event"
	"ell/internal/sim"
)

// sight is where a train was seen last.
type sight struct {
	at      int64 // city time, ms
	station int32
	dir     string
	status  string
}

// arrivals is what was loaded: where each train was seen last, and when the last of all was.
type arrivals struct {
	names event.Names
	last  map[string]sight
	end   int64
}

// settled is how long before the end a train must have been seen for both sides
// to agree that it still exists.
const settled = 30 * time.Minute

// check compares the trains on the topic of positions with the truth: each
// that was seen lately and is in service stands where its last arrival was.
func (a *arrivals) check(got map[string]*event.Train) (trains int, err error) {
	for id, want := range a.last {
		if a.end-want.at > settled.Milliseconds() || want.status != event.InService {
			continue
		}
		trains++
		t := got[id]
		if t == nil {
			return trains, fmt.Errorf("wrong result: train %s is not on the topic", id)
		}
		if t.StationID != want.station || t.Direction != want.dir || t.ArrivedAt > want.at {
			return trains, fmt.Errorf("wrong result: train %s is at %d%s since %d, not at %d%s since %d", id,
				t.StationID, t.Direction, t.ArrivedAt, want.station, want.dir, want.at)
		}
		if t.DueAt <= t.ArrivedAt || t.NextCall < 0 {
			return trains, fmt.Errorf("wrong result: train %s has no arrival predicted", id)
		}
	}
	if trains < 20 {
		return trains, fmt.Errorf("the city has only %d trains at the end: nothing to check", trains)
	}
	return trains, nil
}

// loader is the city's sink.
type loader struct {
	b       *bench
	ctx     context.Context
	want    *arrivals
	slugs   map[int32]string
	left    int
	produce bool
	arena   []byte
	err     chan error // the first failure
}

func (l *loader) Turnstile(*event.Turnstile) {}

func (l *loader) Arrival(a *event.Arrival) {
	if l.left == 0 {
		return
	}
	l.left--
	l.want.last[a.TrainID] = sight{at: a.Timestamp, station: a.StationID, dir: a.Direction, status: a.TrainStatus}
	l.want.end = a.Timestamp
	if !l.produce {
		return
	}
	const room = 256
	if cap(l.arena)-len(l.arena) < room {
		l.arena = make([]byte, 0, 1<<20)
	}
	k := len(l.arena)
	l.arena = l.b.enc.AppendArrivalKey(l.arena, a.StationID, a.Timestamp)
	v := len(l.arena)
	l.arena = l.b.enc.AppendArrival(l.arena, a)
	r := &kgo.Record{
		Topic: l.want.names.Arrivals(a.StationID, l.slugs[a.StationID]), Key: l.arena[k:v:v], Value: l.arena[v:len(l.arena):len(l.arena)],
		Headers: []kgo.RecordHeader{{Key: event.HeaderPattern, Value: []byte(a.Pattern)}},
	}
	r.Partition = l.want.names.ArrivalPartition(a.Line)
	l.b.cl.Produce(l.ctx, r, func(_ *kgo.Record, err error) {
		if err != nil {
			select {
			case l.err <- err:
			default:
			}
		}
	})
}

// loadArrivals makes sure that the arrival topics of a layout hold the first n
// arrivals of a city that begins on a Tuesday.
func (b *bench) loadArrivals(ctx context.Context, names event.Names, n int) (*arrivals, error) {
	net := cta.Chicago()
	l := &loader{b: b, ctx: ctx, want: &arrivals{names: names, last: map[string]sight{}}, slugs: map[int32]string{}, left: n, err: make(chan error, 1)}
	var topics []string
	for _, s := range net.Stations {
		l.slugs[s.ID] = s.Slug
		if t := names.Arrivals(s.ID, s.Slug); len(topics) == 0 || topics[0] != t {
			topics = append(topics, t)
		}
	}
	var have int64
	for _, t := range topics {
		c, err := b.count(ctx, t)
		if err != nil {
			return nil, err
		}
		have += c
	}
	begun := time.Now()
	if l.produce = have != int64(n); l.produce {
		if err := b.removeMatching(ctx, func(t string) bool { return strings.HasPrefix(t, names.Prefix) }); err != nil {
			return nil, err
		}
		partitions := int32(1)
		if names.Layout == event.Shared {
			partitions = event.Partitions
		}
		if err := b.remake(ctx, inputTopic, partitions, topics...); err != nil {
			return nil, err
		}
	}
	start := time.Date(2026, 4, 14, 3, 0, 0, 0, cta.Location()).UnixMilli()
	city, err := sim.New(net, sim.Options{Seed: 1, Start: start, Incidents: "normal"})
	if err != nil {
		return nil, err
	}
	for until := start; l.left > 0; {
		until += time.Hour.Milliseconds()
		city.Advance(until, l)
	}
	if !l.produce {
		return l.want, nil
	}
	if err := b.cl.Flush(ctx); err != nil {
		return nil, fmt.Errorf("load arrivals: %w", err)
	}
	select {
	case err := <-l.err:
		return nil, fmt.Errorf("load arrivals: %w", err)
	default:
	}
	log.Printf("loaded %d arrivals, %.1f days of the city, %d topics in %s", n, float64(l.want.end-start)/8.64e7, len(topics), time.Since(begun).Round(100*time.Millisecond))
	return l.want, nil
}

// writeNetwork writes the patterns of Chicago's trips for contestants that are not Go.
func (b *bench) writeNetwork() (file string, err error) {
	type call struct {
		Station   int32  `json:"station"`
		Direction string `json:"direction"`
		RunMS     int64  `json:"run_ms"`
		Turn      bool   `json:"turn"`
	}
	type pattern struct {
		ID    string `json:"id"`
		Line  string `json:"line"`
		Calls []call `json:"calls"`
	}
	var all []pattern
	for _, p := range cta.Chicago().Patterns {
		o := pattern{ID: p.ID, Line: p.Line}
		for _, c := range p.Calls {
			o.Calls = append(o.Calls, call{c.Station, c.Direction.String(), int64(c.Run * 1000), c.Turn})
		}
		all = append(all, o)
	}
	text, err := json.Marshal(all)
	if err != nil {
		return "", err
	}
	file = filepath.Join(b.work, "network.json")
	return file, os.WriteFile(file, text, 0o644)
}
