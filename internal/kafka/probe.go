package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// probe fetches each partition that is still behind its target, raw and by
// itself, to find out whether anything is left to deliver before the target.
// Errors only mean that the next quiet moment asks again.
func (f *Follower) probe(ctx context.Context, cl *kgo.Client) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	f.mu.Lock()
	behind := make(map[place]int64)
	names := make(map[string]struct{})
	for at, p := range f.parts {
		if p.position < p.target {
			behind[at] = p.position
			names[at.topic] = struct{}{}
		}
	}
	f.mu.Unlock()
	topics := make([]string, 0, len(names))
	for t := range names {
		topics = append(topics, t)
	}
	if len(topics) == 0 {
		return
	}
	details, err := kadm.NewClient(cl).ListTopicsWithInternal(ctx, topics...)
	if err != nil {
		f.log.Debug("follow: probe failed", "err", err)
		return
	}
	for at, position := range behind {
		t, ok := details[at.topic]
		if !ok || t.Err != nil {
			continue
		}
		p, ok := t.Partitions[at.partition]
		if !ok || p.Err != nil || p.Leader < 0 {
			continue
		}
		next, err := emptyUntil(ctx, cl, p.Leader, t.ID, at, position)
		if err != nil {
			f.log.Debug("follow: probe failed", "topic", at.topic, "partition", at.partition, "err", err)
			continue
		}
		f.mu.Lock()
		q := f.part(at)
		// Only if nothing was delivered meanwhile: then the proof is stale.
		if q.position == position {
			q.position = next
		}
		f.mu.Unlock()
	}
}

// emptyUntil returns the offset up to which partition at holds no committed
// record from offset from on; from itself if the next batch holds one.
func emptyUntil(ctx context.Context, cl *kgo.Client, leader int32, id kadm.TopicID, at place, from int64) (int64, error) {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis = 0
	req.MinBytes = 0
	req.MaxBytes = 1 << 20
	req.IsolationLevel = 1
	req.SessionEpoch = -1 // no fetch session
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = at.topic, id
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = at.partition, from, 1<<20
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)

	kresp, err := cl.Broker(int(leader)).RetriableRequest(ctx, req)
	if err != nil {
		return from, err
	}
	resp, ok := kresp.(*kmsg.FetchResponse)
	if !ok || len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return from, errors.New("unexpected fetch response")
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return from, err
	}
	rp := &resp.Topics[0].Partitions[0]
	switch err := kerr.ErrorForCode(rp.ErrorCode); {
	case errors.Is(err, kerr.OffsetOutOfRange) && rp.LogStartOffset > from:
		return rp.LogStartOffset, nil // retention removed what was there
	case err != nil:
		return from, err
	case len(rp.RecordBatches) == 0:
		// Asked alone and without a minimum, a partition with anything left
		// would have answered with it.
		return max(from, rp.LastStableOffset), nil
	}
	fp, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset:         from,
		IsolationLevel: kgo.ReadCommitted(),
		Topic:          at.topic,
		Partition:      at.partition,
	}, rp, kgo.DefaultDecompressor(), nil)
	if fp.Err != nil {
		return from, fmt.Errorf("read batches at %d: %w", from, fp.Err)
	}
	if len(fp.Records) > 0 {
		return from, nil
	}
	return next, nil
}

func unknownTopic(err error) bool {
	return errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, kerr.UnknownTopicID)
}
