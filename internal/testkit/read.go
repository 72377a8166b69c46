package testkit

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// probeHeader marks records that the verifier itself wrote.
const probeHeader = "ell.testkit.probe"

// ReadCommitted returns every committed record of the topics up to where
// committed readers can see now, by partition and then offset.
func ReadCommitted(ctx context.Context, opts []kgo.Opt, topics ...string) ([]*kgo.Record, error) {
	byPart, err := readParts(ctx, opts, topics)
	if err != nil {
		return nil, err
	}
	var all []*kgo.Record
	for _, pr := range byPart {
		all = append(all, pr.records...)
	}
	return all, nil
}

// partRecords are the committed records of one partition.
type partRecords struct {
	place
	records []*kgo.Record
}

func readParts(ctx context.Context, opts []kgo.Opt, topics []string) ([]partRecords, error) {
	cl, err := kgo.NewClient(append(append([]kgo.Opt(nil), opts...),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // or the end of a partition could not be seen
	)...)
	if err != nil {
		return nil, fmt.Errorf("make a client to read with: %w", err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	starts, err := adm.ListStartOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("look up starts: %w", err)
	}
	ends, err := adm.ListCommittedOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("look up ends: %w", err)
	}
	var parts []partRecords
	left := map[place]int64{}
	index := map[place]int{}
	assign := map[string]map[int32]kgo.Offset{}
	for _, end := range sortedOffsets(ends) {
		if end.Err != nil {
			return nil, fmt.Errorf("end of %s-%d: %w", end.Topic, end.Partition, end.Err)
		}
		at := place{end.Topic, end.Partition}
		index[at] = len(parts)
		parts = append(parts, partRecords{place: at})
		if start, _ := starts.Lookup(end.Topic, end.Partition); start.Offset >= end.Offset {
			continue
		}
		left[at] = end.Offset
		if assign[end.Topic] == nil {
			assign[end.Topic] = map[int32]kgo.Offset{}
		}
		assign[end.Topic][end.Partition] = kgo.NewOffset().AtStart()
	}
	if len(left) == 0 {
		return parts, nil
	}
	cl.AddConsumePartitions(assign)
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("read: %w; not read to the end: %v", ctx.Err(), left)
		}
		if errs := fetches.Errors(); len(errs) > 0 {
			return nil, fmt.Errorf("read %s-%d: %w", errs[0].Topic, errs[0].Partition, errs[0].Err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			at := place{r.Topic, r.Partition}
			end, open := left[at]
			if !open {
				return
			}
			if r.Offset < end && !r.Attrs.IsControl() && !isProbe(r) {
				p := &parts[index[at]]
				p.records = append(p.records, r)
			}
			if r.Offset >= end-1 {
				delete(left, at)
			}
		})
	}
	return parts, nil
}

func sortedOffsets(l kadm.ListedOffsets) []kadm.ListedOffset {
	var all []kadm.ListedOffset
	l.Each(func(o kadm.ListedOffset) { all = append(all, o) })
	sortBy(all, func(a, b kadm.ListedOffset) bool {
		return a.Topic < b.Topic || a.Topic == b.Topic && a.Partition < b.Partition
	})
	return all
}

func isProbe(r *kgo.Record) bool {
	for _, h := range r.Headers {
		if h.Key == probeHeader {
			return true
		}
	}
	return false
}

// hanging writes one plain record to every partition of the topics and reads
// it back as a committed reader would. It returns the partitions where that
// fails within limit: an unfinished transaction hides them.
func hanging(ctx context.Context, opts []kgo.Opt, topics []string, limit time.Duration) ([]place, error) {
	cl, err := kgo.NewClient(append(append([]kgo.Opt(nil), opts...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	)...)
	if err != nil {
		return nil, fmt.Errorf("make a client to probe with: %w", err)
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("look up ends: %w", err)
	}
	want := map[place]int64{}
	assign := map[string]map[int32]kgo.Offset{}
	for _, end := range sortedOffsets(ends) {
		r := &kgo.Record{
			Topic: end.Topic, Partition: end.Partition, Key: []byte("\x00ell.probe"), Value: []byte("probe"),
			Headers: []kgo.RecordHeader{{Key: probeHeader}},
		}
		if err := cl.ProduceSync(ctx, r).FirstErr(); err != nil {
			return nil, fmt.Errorf("probe %s-%d: %w", end.Topic, end.Partition, err)
		}
		want[place{r.Topic, r.Partition}] = r.Offset
		if assign[r.Topic] == nil {
			assign[r.Topic] = map[int32]kgo.Offset{}
		}
		assign[r.Topic][r.Partition] = kgo.NewOffset().At(r.Offset)
	}
	cl.AddConsumePartitions(assign)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for len(want) > 0 && ctx.Err() == nil {
		cl.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			if at := (place{r.Topic, r.Partition}); r.Offset >= want[at] {
				delete(want, at)
			}
		})
	}
	var hung []place
	for at := range want {
		hung = append(hung, at)
	}
	sortBy(hung, func(a, b place) bool { return a.String() < b.String() })
	return hung, nil
}
