package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// outputs is what was found on a topic of results, read committed.
type outputs struct {
	records int64
	commits int64 // transactions, on the partition that has the most
	last    int64 // when the last of them was committed, ms, by the broker's clock
}

// readOutputs reads a topic of results to its end, beginning at the given
// offsets or, where there are none, at the start, and gives f every record.
func (b *bench) readOutputs(ctx context.Context, topic string, begin map[int32]int64, f func(*kgo.Record) error) (got outputs, err error) {
	ends, err := b.adm.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return got, fmt.Errorf("look up the end of %s: %w", topic, err)
	}
	left, from := map[int32]int64{}, map[int32]kgo.Offset{}
	for p, o := range ends[topic] {
		if o.Offset > begin[p] {
			left[p], from[p] = o.Offset, kgo.NewOffset().At(begin[p])
		}
	}
	if len(from) == 0 {
		return got, nil
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.brokers...), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		return got, err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	commits, open, ended := map[int32]int64{}, map[int32]bool{}, map[int32]int64{}
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return got, fmt.Errorf("read %s: %w", topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
			at := r.Timestamp.UnixMilli()
			if r.Attrs.IsControl() {
				if open[r.Partition] {
					open[r.Partition], ended[r.Partition] = false, at
					commits[r.Partition]++
				}
				return
			}
			got.records++
			if err == nil {
				err = f(r)
			}
			open[r.Partition], ended[r.Partition] = true, at
		})
		if err != nil {
			return got, err
		}
	}
	for p, at := range ended {
		got.last = max(got.last, at)
		got.commits = max(got.commits, commits[p])
	}
	return got, nil
}

// totals is what stands on a topic of totals.
type totals struct {
	outputs
	counts truth
}

// readTotals reads a topic of totals to its end. A total that falls is a
// fault: with exactly once nobody may see one, and at least once counts too much.
func (b *bench) readTotals(ctx context.Context, topic string) (got totals, err error) {
	got.counts = truth{}
	got.outputs, err = b.readOutputs(ctx, topic, nil, got.take)
	return got, err
}

// take understands one total: key the station's id as text, value JSON.
func (t *totals) take(r *kgo.Record) error {
	var v struct {
		Station int32 `json:"STATION_ID"`
		Count   int64 `json:"COUNT"`
	}
	if err := json.Unmarshal(r.Value, &v); err != nil || strconv.Itoa(int(v.Station)) != string(r.Key) {
		return fmt.Errorf("%s-%d@%d: key %q and value %q are no total: %v", r.Topic, r.Partition, r.Offset, r.Key, r.Value, err)
	}
	if v.Count < t.counts[v.Station] {
		return fmt.Errorf("%s-%d@%d: the total of station %d falls from %d to %d", r.Topic, r.Partition, r.Offset, v.Station, t.counts[v.Station], v.Count)
	}
	t.counts[v.Station] = v.Count
	return nil
}

// compare says where the totals differ from the truth.
func (t *totals) compare(want truth) error {
	if len(t.counts) != len(want) {
		return fmt.Errorf("wrong result: totals of %d stations, not %d", len(t.counts), len(want))
	}
	for s, n := range want {
		if t.counts[s] != n {
			return fmt.Errorf("wrong result: %d entries at station %d, not %d", t.counts[s], s, n)
		}
	}
	return nil
}

// runBare runs a contestant that measures itself and prints what it found.
func (b *bench) runBare(ctx context.Context, c contestant, prefix string, env []string, want truth, res *result) error {
	p, err := b.start("bare", env, c.command(b, prefix)...)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	u, err := p.wait(ctx)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err
	}
	var said struct {
		Seconds float64
		Counts  truth
	}
	if err := json.Unmarshal(text, &said); err != nil {
		return fmt.Errorf("understand what it printed: %w\n%.1000s", err, text)
	}
	got := totals{counts: said.Counts}
	if err := got.compare(want); err != nil {
		return err
	}
	res.Seconds, res.PerSecond = said.Seconds, float64(res.Events)/said.Seconds
	res.CPU, res.PeakMB = u.CPU.Seconds(), float64(u.Peak)/(1<<20)
	return nil
}
