package kafka

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// Progress is how far a Follower is in one partition.
type Progress struct {
	Topic     string
	Partition int32
	Position  int64         // next offset to be handed over
	End       int64         // last stable offset, at most Refresh old
	Lag       int64         // offsets between them; transaction markers count
	Behind    time.Duration // age of the newest record handed over while Lag > 0, else 0
}

// Progress returns every partition's progress, sorted by topic and partition.
func (f *Follower) Progress() []Progress {
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]Progress, 0, len(f.parts))
	for at, p := range f.parts {
		g := Progress{
			Topic: at.topic, Partition: at.partition,
			Position: p.position, End: max(p.end, p.position),
		}
		if g.Lag = g.End - g.Position; g.Lag > 0 {
			since := f.began
			if p.appended > 0 {
				since = time.UnixMilli(p.appended)
			}
			g.Behind = max(0, now.Sub(since))
		}
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b Progress) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return out
}

// Lag sums the progress of all partitions: records behind, and the longest time behind.
func (f *Follower) Lag() (records int64, behind time.Duration) {
	for _, p := range f.Progress() {
		records += p.Lag
		behind = max(behind, p.Behind)
	}
	return records, behind
}

// Backoff is how long to wait before attempt n+1 (n counts from 0): doubling
// from 50 ms to 5 s, with a jitter of a quarter to either side.
func Backoff(n int) time.Duration {
	const first, most = 50 * time.Millisecond, 5 * time.Second
	d := most
	if n < 7 {
		d = min(most, first<<max(n, 0))
	}
	return d*3/4 + rand.N(d/2+1)
}

// Sleep waits for d or the end of ctx, whose error it returns.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
