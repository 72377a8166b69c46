package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// setTargets asks for the offsets to reach, for as long as that takes.
func (f *Follower) setTargets(ctx context.Context, cl *kgo.Client) error {
	for attempt := 0; ; attempt++ {
		err := f.listOffsets(ctx, cl, true)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || Classify(err) != Transient {
			return fmt.Errorf("follow: ask for end offsets: %w", err)
		}
		f.log.Info("follow: asking for end offsets will be repeated", "err", err)
		if err := Sleep(ctx, Backoff(attempt)); err != nil {
			return err
		}
	}
}

// refresh keeps end offsets, and so the lag, up to date.
func (f *Follower) refresh(ctx context.Context, cl *kgo.Client) {
	tick := time.NewTicker(f.f.Refresh)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := f.listOffsets(ctx, cl, false); err != nil && ctx.Err() == nil {
			f.log.Debug("follow: refresh of end offsets failed", "err", err)
		}
	}
}

// listOffsets asks for start and last stable offsets of every partition.
func (f *Follower) listOffsets(ctx context.Context, cl *kgo.Client, asTarget bool) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	adm := kadm.NewClient(cl)
	topics, err := f.topics(ctx, adm)
	if err != nil || len(topics) == 0 {
		return err
	}
	starts, err := adm.ListStartOffsets(ctx, topics...)
	if err != nil {
		return err
	}
	ends, err := adm.ListCommittedOffsets(ctx, topics...)
	if err != nil {
		return err
	}
	if err := errors.Join(listed(starts), listed(ends)); err != nil && asTarget {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	ends.Each(func(o kadm.ListedOffset) {
		if o.Err != nil {
			return
		}
		p := f.part(place{o.Topic, o.Partition})
		p.end = max(p.end, o.Offset)
		if asTarget {
			p.target = o.Offset
		}
		if s, ok := starts.Lookup(o.Topic, o.Partition); ok && s.Err == nil {
			p.position = max(p.position, s.Offset)
		}
	})
	return nil
}

// listed returns the first error in offsets, except of topics that do not exist.
func listed(offsets kadm.ListedOffsets) error {
	var first error
	offsets.Each(func(o kadm.ListedOffset) {
		if o.Err != nil && first == nil && !unknownTopic(o.Err) {
			first = fmt.Errorf("%s-%d: %w", o.Topic, o.Partition, o.Err)
		}
	})
	return first
}

// topics are the names to read that exist now.
func (f *Follower) topics(ctx context.Context, adm *kadm.Client) ([]string, error) {
	details, err := adm.ListTopicsWithInternal(ctx, f.f.Topics...)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, t := range details {
		if t.Err == nil && (f.pattern == nil || f.pattern.MatchString(t.Topic)) {
			names = append(names, t.Topic)
		}
	}
	return names, nil
}
