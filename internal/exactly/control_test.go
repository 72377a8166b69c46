package exactly_test

import (
	"context"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/testkit"
)

// atLeastOnce is the negative control: a worker that produces, then commits
// its offsets, without a transaction. State is in its memory and changelog.
func atLeastOnce(ctx context.Context, addrs []string) error {
	cl, err := kgo.NewClient(append(testkit.Options(addrs...),
		kgo.ConsumerGroup(groupName), kgo.ConsumeTopics(topicIn), kgo.DisableAutoCommit(),
		kgo.InstanceID("control"), kgo.SessionTimeout(config(addrs, "x").SessionTimeout),
		kgo.HeartbeatInterval(config(addrs, "x").Heartbeat),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)...)
	if err != nil {
		return err
	}
	defer cl.Close()
	now := map[string]int64{}
	state, err := testkit.ReadCommitted(ctx, testkit.Options(addrs...), topicState)
	if err != nil {
		return err
	}
	for _, r := range state {
		now[string(r.Key)], _ = strconv.ParseInt(string(r.Value), 10, 64)
	}
	for ctx.Err() == nil {
		var out []*kgo.Record
		cl.PollRecords(ctx, 100).EachRecord(func(r *kgo.Record) {
			id, amount, err := parse(string(r.Value))
			if err != nil {
				return
			}
			now[string(r.Key)] += amount
			sum := strconv.FormatInt(now[string(r.Key)], 10)
			out = append(out,
				&kgo.Record{Topic: topicOut, Key: r.Key, Value: []byte(id + ":" + sum)},
				&kgo.Record{Topic: topicState, Key: r.Key, Value: []byte(sum)})
		})
		if err := cl.ProduceSync(ctx, out...).FirstErr(); err != nil {
			return err
		}
		if err := cl.CommitUncommittedOffsets(ctx); err != nil {
			return err
		}
	}
	return nil
}
