package gateway_test

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"ell/internal/gateway"
)

// refuse answers every partition of one produce request with a code.
func refuse(code int16) func(kmsg.Request) (kmsg.Response, error, bool) {
	return func(r kmsg.Request) (kmsg.Response, error, bool) {
		req := r.(*kmsg.ProduceRequest)
		resp := req.ResponseKind().(*kmsg.ProduceResponse)
		for _, t := range req.Topics {
			rt := kmsg.NewProduceResponseTopic()
			rt.Topic, rt.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				rp := kmsg.NewProduceResponseTopicPartition()
				rp.Partition, rp.ErrorCode = p.Partition, code
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, true
	}
}

// firstRun runs g and stops it at once.
func firstRun(t *testing.T, g *gateway.Gateway) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return g.Run(ctx)
}
