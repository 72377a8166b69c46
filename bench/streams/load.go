package main

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/cta"
	"ell/internal/event"
)

// batchBytes bounds the batches that the records are loaded in.
const batchBytes = 128 << 10

// day is how long the loaded entries take by the city's clock: five million
// are then a weekday of a metro of New York's size.
const day = 20 * time.Hour

// truth is how many entries each station has.
type truth map[int32]int64

func (t truth) sum() (n int64) {
	for _, v := range t {
		n += v
	}
	return n
}

// loadTurnstiles makes sure that the shared turnstile topic under prefix holds n
// entries of Chicago's stations, the same ones every time, and nothing else.
func (b *bench) loadTurnstiles(ctx context.Context, prefix string, n int) (topic string, want truth, err error) {
	names := event.Names{Prefix: prefix, Layout: event.Shared}
	topic = names.Turnstiles(0, "")
	want = truth{}
	have, err := b.count(ctx, topic)
	if err != nil {
		return "", nil, err
	}
	load := have != int64(n)
	if load {
		if err := b.remake(ctx, inputTopic, event.Partitions, topic); err != nil {
			return "", nil, err
		}
	}
	begun := time.Now()
	var failed atomic.Pointer[error]
	promise := func(_ *kgo.Record, err error) {
		if err != nil {
			failed.CompareAndSwap(nil, &err)
		}
	}
	stations := cta.Chicago().Stations
	partitions := make([]int32, len(stations))
	for i, s := range stations {
		partitions[i] = event.StationPartition(s.ID)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	start := time.Date(2026, 4, 14, 4, 0, 0, 0, time.UTC).UnixMilli()
	const room = 128 // bytes of a key or a value
	var arena []byte
	for i := range n {
		at := rng.IntN(len(stations))
		s := stations[at]
		want[s.ID]++
		if !load {
			continue
		}
		ts := start + int64(i)*day.Milliseconds()/int64(n)
		if cap(arena)-len(arena) < 2*room {
			arena = make([]byte, 0, 1<<20)
		}
		k := len(arena)
		arena = b.enc.AppendTurnstileKey(arena, s.ID, ts)
		v := len(arena)
		arena = b.enc.AppendTurnstile(arena, &event.Turnstile{StationID: s.ID, Timestamp: ts, StationName: s.Name, Line: s.Lines[0]})
		b.cl.Produce(ctx, &kgo.Record{Topic: topic, Partition: partitions[at], Key: arena[k:v:v], Value: arena[v:len(arena):len(arena)]}, promise)
	}
	if load {
		if err := b.cl.Flush(ctx); err != nil {
			return "", nil, fmt.Errorf("load %s: %w", topic, err)
		}
		if p := failed.Load(); p != nil {
			return "", nil, fmt.Errorf("load %s: %w", topic, *p)
		}
		log.Printf("loaded %d entries of %d stations in %s", n, len(stations), time.Since(begun).Round(100*time.Millisecond))
	}
	return topic, want, nil
}

// count is how many offsets a topic holds; 0 if it is not there.
func (b *bench) count(ctx context.Context, topic string) (n int64, err error) {
	ends, err := b.adm.ListEndOffsets(ctx, topic)
	if err != nil {
		return 0, fmt.Errorf("look up the end of %s: %w", topic, err)
	}
	for _, p := range ends[topic] {
		if p.Err == nil {
			n += p.Offset
		}
	}
	return n, nil
}
