package system

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"ell/internal/access"
	"ell/internal/cta"
	"ell/internal/event"
	"ell/internal/kafka"
	"ell/internal/registry"
	"ell/internal/sim"
)

// city is what the log should hold: the events of the city, computed anew
// from its seed, as the records they become.
type city struct {
	names   event.Names
	enc     *event.Encoder
	slugs   map[int32]string
	records map[string][][2][]byte // key and value, by topic and partition
	entries map[int32]int64
	last    map[string]event.Arrival // newest, by train
}

func (c *city) add(topic string, partition int32, key, value []byte) {
	at := place(topic, partition)
	c.records[at] = append(c.records[at], [2][]byte{key, value})
}

func place(topic string, partition int32) string { return topic + "-" + strconv.Itoa(int(partition)) }

func (c *city) Arrival(a *event.Arrival) {
	c.last[a.TrainID] = *a
	c.add(c.names.Arrivals(a.StationID, c.slugs[a.StationID]), c.names.ArrivalPartition(a.Line), c.enc.AppendArrivalKey(nil, a.StationID, a.Timestamp), c.enc.AppendArrival(nil, a))
}

func (c *city) Turnstile(e *event.Turnstile) {
	c.entries[e.StationID]++
	c.add(c.names.Turnstiles(e.StationID, c.slugs[e.StationID]), c.names.TurnstilePartition(e.StationID), c.enc.AppendTurnstileKey(nil, e.StationID, e.Timestamp), c.enc.AppendTurnstile(nil, e))
}

// Verify waits until the system that is paused has nothing left to do, and
// then holds the log against the undisturbed city, and every total against the
// log. It returns how many records it compared.
func Verify(t *testing.T, cfg kafka.Config, registryURL string, names event.Names) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	reg, err := registry.New(registry.Config{Access: access.HTTP{URL: registryURL}})
	if err != nil {
		t.Fatal(err)
	}
	ids, err := reg.RegisterAll(ctx, names.Schemas())
	if err != nil {
		t.Fatal(err)
	}
	enc, err := event.NewEncoder(ids)
	if err != nil {
		t.Fatal(err)
	}
	dec := event.NewDecoder(reg)

	// A command that was taken has yet to reach the city: only a checkpoint that
	// says it is paused is the end of the log.
	var clock event.Clock
	Within(t, 20*time.Second, func() error {
		table, err := kafka.ReadTable(ctx, cfg, names.Clock(), 0)
		if err != nil {
			return err
		}
		rec := table[string(enc.AppendClockKey(nil))]
		if err := dec.Clock(&rec, &clock); err != nil {
			return err
		}
		if !clock.Paused {
			return fmt.Errorf("the city is not paused at %d", clock.CityTime)
		}
		return nil
	})

	want := &city{names: names, enc: enc, slugs: map[int32]string{}, records: map[string][][2][]byte{}, entries: map[int32]int64{}, last: map[string]event.Arrival{}}
	net := cta.Chicago()
	for _, s := range net.Stations {
		want.slugs[s.ID] = s.Slug
	}
	undisturbed, err := sim.New(net, sim.Options{Seed: clock.Seed, Start: clock.Start, Incidents: clock.Incidents})
	if err != nil {
		t.Fatal(err)
	}
	undisturbed.Advance(clock.CityTime, want)

	got := map[string][][2][]byte{}
	n := 0
	Read(ctx, t, cfg, names.ArrivalsPattern()+"|"+names.TurnstilesPattern(), func(r *event.Record) {
		if event.IsTick(r.Headers) {
			return // the clock between the arrivals
		}
		n++
		p := place(r.Topic, r.Partition)
		got[p] = append(got[p], [2][]byte{bytes.Clone(r.Key), bytes.Clone(r.Value)})
	})
	for p, w := range want.records {
		g := got[p]
		for i := range min(len(g), len(w)) {
			if !bytes.Equal(g[i][0], w[i][0]) || !bytes.Equal(g[i][1], w[i][1]) {
				t.Errorf("%s: record %d is not the undisturbed city's", p, i)
				break
			}
		}
		if len(g) != len(w) {
			t.Errorf("%s: %d records, the undisturbed city has %d", p, len(g), len(w))
		}
	}
	for p := range got {
		if _, ok := want.records[p]; !ok {
			t.Errorf("%s: records that the undisturbed city has not", p)
		}
	}

	// Totals: processing may have a little left to do.
	Within(t, 90*time.Second, func() error {
		totals := map[int32]int64{}
		Read(ctx, t, cfg, "^"+names.Summary()+"$", func(r *event.Record) {
			var s event.Summary
			if err := json.Unmarshal(r.Value, &s); err != nil || strconv.Itoa(int(s.StationID)) != string(r.Key) {
				t.Fatalf("row %s of %s: %v", r.Value, r.Key, err)
			}
			if s.Count < totals[s.StationID] {
				t.Fatalf("the total of %d went from %d back to %d", s.StationID, totals[s.StationID], s.Count)
			}
			totals[s.StationID] = s.Count
		})
		for id, n := range want.entries {
			if totals[id] != n {
				return fmt.Errorf("station %d: total %d, the log has %d entries", id, totals[id], n)
			}
		}
		return nil
	})
	// What follows the totals may come later, after a rebalance that waited for a
	// member that was killed; but it may never be more than the log has.
	var all int64
	for _, c := range want.entries {
		all += c
	}
	Within(t, 90*time.Second, func() error {
		windows, sum := map[string]int64{}, int64(0)
		Read(ctx, t, cfg, "^"+names.Windows()+"$", func(r *event.Record) {
			var w event.Window
			if r.Value == nil {
				return
			}
			if err := dec.Window(r, &w); err != nil {
				t.Fatal(err)
			}
			windows[string(r.Key)] = w.Count
		})
		for _, c := range windows {
			sum += c
		}
		if sum > all {
			t.Fatalf("the windows hold %d entries, the log %d", sum, all)
		}
		if sum < all {
			return fmt.Errorf("the windows hold %d entries, the log %d", sum, all)
		}
		return nil
	})
	// Every train that is told of stands where the log saw it last.
	Within(t, 90*time.Second, func() error {
		trains := map[string]event.Train{}
		Read(ctx, t, cfg, "^"+names.Trains()+"$", func(r *event.Record) {
			if r.Value == nil {
				delete(trains, string(r.Key))
				return
			}
			var at event.Train
			if err := dec.Train(r, &at); err != nil {
				t.Fatal(err)
			}
			trains[string(r.Key)] = at
		})
		if len(trains) == 0 {
			return errors.New("no train is told of")
		}
		for _, at := range trains {
			if last := want.last[at.TrainID]; at.StationID != last.StationID || at.Direction != last.Direction || at.Status != last.TrainStatus {
				return fmt.Errorf("train %s is told of at %d%s, %s; the log saw it last at %d%s, %s", at.TrainID,
					at.StationID, at.Direction, at.Status, last.StationID, last.Direction, last.TrainStatus)
			}
		}
		return nil
	})
	letters := Read(ctx, t, cfg, "^"+names.DeadLetter()+"$", func(*event.Record) {})
	if letters != 0 {
		t.Errorf("%d dead letters", letters)
	}
	return n
}

// Read hands every committed record of the topics to f and returns their number.
func Read(ctx context.Context, t *testing.T, cfg kafka.Config, pattern string, f func(*event.Record)) int {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n := 0
	fl, err := kafka.NewFollower(kafka.Follow{Config: cfg, Pattern: pattern, CaughtUp: cancel, Batch: func(_ context.Context, batch []event.Record) error {
		for i := range batch {
			n++
			f(&batch[i])
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := fl.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return n
}
