package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// EmptyUntil is the probe for one partition.
func EmptyUntil(ctx context.Context, cl *kgo.Client, topic string, partition int32, from int64) (int64, error) {
	details, err := kadm.NewClient(cl).ListTopics(ctx, topic)
	if err != nil {
		return 0, err
	}
	t := details[topic]
	return emptyUntil(ctx, cl, t.Partitions[partition].Leader, t.ID, place{topic, partition}, from)
}
