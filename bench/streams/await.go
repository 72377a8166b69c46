package main

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// patience is the longest that one run may take.
const patience = 10 * time.Minute

// awaitGroup returns the moment when the group has its members and their
// shares for the first time: the start of consumption.
func (b *bench) awaitGroup(ctx context.Context, p *proc, group string) (time.Time, error) {
	for limit := time.Now().Add(2 * time.Minute); time.Now().Before(limit); {
		if err := p.ended(); err != nil {
			return time.Time{}, err
		}
		g, err := b.adm.DescribeGroups(ctx, group)
		if err == nil && g[group].State == "Stable" {
			return time.Now(), nil
		}
		sleep(ctx, 10*time.Millisecond)
		if ctx.Err() != nil {
			return time.Time{}, ctx.Err()
		}
	}
	return time.Time{}, fmt.Errorf("group %s never came together: %w", group, errTooSlow)
}

// awaitInput waits until the group has committed n offsets of the input.
func (b *bench) awaitInput(ctx context.Context, p *proc, group string, input *regexp.Regexp, n int64) error {
	return b.until(ctx, p, "committed all of its input", func() bool {
		var done int64
		if topics, err := b.adm.FetchOffsets(ctx, group); err == nil {
			for topic, parts := range topics {
				if !input.MatchString(topic) {
					continue
				}
				for _, o := range parts {
					done += max(o.At, 0)
				}
			}
		}
		return done >= n
	})
}

// markersOnly bounds how many offsets may be left of a drained topic: those of
// the transactions' markers, which are no records.
const markersOnly = 2000

// awaitDrained waits until the group has nothing left to read of a topic that
// was written in transactions and is complete.
func (b *bench) awaitDrained(ctx context.Context, p *proc, group, topic string) error {
	var why error
	err := b.until(ctx, p, "read "+topic+" to its end", func() bool {
		var drained bool
		drained, why = b.drained(ctx, group, topic)
		return drained
	})
	if why != nil && err != nil {
		err = fmt.Errorf("%w: %w", err, why)
	}
	return err
}

func (b *bench) drained(ctx context.Context, group, topic string) (bool, error) {
	ends, err := b.adm.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return false, err
	}
	done, err := b.adm.FetchOffsets(ctx, group)
	if err != nil {
		return false, err
	}
	from, left := map[int32]kgo.Offset{}, map[int32]int64{}
	var most int64
	for p, end := range ends[topic] {
		at := int64(0)
		if o, ok := done.Lookup(topic, p); ok {
			at = max(o.At, 0)
		}
		if at < end.Offset {
			from[p], left[p] = kgo.NewOffset().At(at), end.Offset
			most += end.Offset - at
		}
	}
	if most > markersOnly {
		return false, nil
	}
	if most == 0 {
		return true, nil
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.brokers...), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		return false, err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return false, err
		}
		data := false
		fetches.EachRecord(func(r *kgo.Record) {
			data = data || !r.Attrs.IsControl()
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
		if data {
			return false, nil
		}
	}
	return true, nil
}

// until waits for done, for as long as the contestant runs and patience lasts.
func (b *bench) until(ctx context.Context, p *proc, what string, done func() bool) error {
	for limit := time.Now().Add(patience); time.Now().Before(limit); {
		if err := p.ended(); err != nil {
			return err
		}
		if done() {
			return nil
		}
		sleep(ctx, 100*time.Millisecond)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return fmt.Errorf("it has not %s: %w", what, errTooSlow)
}
