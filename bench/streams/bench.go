package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"ell/internal/event"
	"ell/internal/kafka"
)

// bench is the ground that all contestants stand on.
type bench struct {
	settings
	cl       *kgo.Client
	adm      *kadm.Client
	registry *srfake.Registry
	enc      *event.Encoder
	schemas  map[event.ID]string
	raw      *os.File

	// Of the restart under way: when it began, and where the outputs ended before it.
	begun  time.Time
	before map[int32]int64
}

func newBench(ctx context.Context, s settings) (_ *bench, err error) {
	b := &bench{settings: s}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	b.cl, err = kgo.NewClient(kgo.SeedBrokers(s.brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchMaxBytes(batchBytes), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.MaxBufferedRecords(200_000), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		return nil, err
	}
	if err := b.cl.Ping(ctx); err != nil {
		return nil, fmt.Errorf("no Kafka at %v: %w", s.brokers, err)
	}
	b.adm = kadm.NewClient(b.cl)
	if b.enc, err = b.startRegistry(ctx); err != nil {
		return nil, fmt.Errorf("start the registry: %w", err)
	}
	if s.out != "" {
		b.raw, err = os.OpenFile(s.out, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	}
	return b, err
}

func (b *bench) close() {
	if b.cl != nil {
		b.cl.Close()
	}
	if b.registry != nil {
		b.registry.Close()
	}
	if b.raw != nil {
		_ = b.raw.Close()
	}
}

// startRegistry registers Ell's own schemas, always with the same ids.
func (b *bench) startRegistry(ctx context.Context) (*event.Encoder, error) {
	b.registry = srfake.New()
	cl, err := sr.NewClient(sr.URLs(b.registry.URL()))
	if err != nil {
		return nil, err
	}
	ids := event.IDs{}
	b.schemas = map[event.ID]string{}
	for _, s := range event.Schemas() {
		made, err := cl.CreateSchema(ctx, s.Subject, sr.Schema{Schema: s.Text, Type: sr.TypeAvro})
		if err != nil {
			return nil, err
		}
		ids[s.Name], b.schemas[made.ID] = made.ID, s.Text
	}
	return event.NewEncoder(ids)
}

// logRaw appends a line to the raw log.
func (b *bench) logRaw(v any) {
	if b.raw == nil {
		return
	}
	line, err := json.Marshal(v)
	if err != nil {
		panic(err) // only structs of this package come here
	}
	_, _ = b.raw.Write(append(line, '\n'))
}

// topic settings of the benchmark.
var (
	// The broker stamps outputs, by one clock for all contestants.
	outputTopic = map[string]*string{"cleanup.policy": kadm.StringPtr("compact"), "message.timestamp.type": kadm.StringPtr("LogAppendTime")}
	inputTopic  = map[string]*string{"retention.ms": kadm.StringPtr("-1")}
)

// remake makes topics anew and empty.
func (b *bench) remake(ctx context.Context, config map[string]*string, partitions int32, topics ...string) error {
	if err := b.remove(ctx, topics...); err != nil {
		return err
	}
	for n := 0; ; n++ {
		made, err := b.adm.CreateTopics(ctx, partitions, 1, config, topics...)
		if err == nil {
			err = made.Error()
		}
		if err == nil {
			break
		}
		// A topic that was just deleted may still be going.
		if !errors.Is(err, kerr.TopicAlreadyExists) || n > 100 {
			return fmt.Errorf("make topics %v: %w", topics, err)
		}
		if err := b.remove(ctx, topics...); err != nil {
			return err
		}
		sleep(ctx, 100*time.Millisecond)
	}
	return nil
}

// prepare makes topics and waits until the broker leads them all.
func (b *bench) prepare(ctx context.Context, specs []event.TopicSpec) error {
	if _, err := kafka.EnsureTopics(ctx, b.cl, specs, 1); err != nil {
		return err
	}
	var names []string
	for _, s := range specs {
		names = append(names, s.Name)
	}
	for n := 0; ; n++ {
		ends, err := b.adm.ListEndOffsets(ctx, names...)
		if err == nil {
			err = ends.Error()
		}
		if err == nil || n > 100 {
			return err
		}
		sleep(ctx, 100*time.Millisecond)
	}
}

// remove deletes topics; those that are not there are no fault.
func (b *bench) remove(ctx context.Context, topics ...string) error {
	if len(topics) == 0 {
		return nil
	}
	b.cl.PurgeTopicsFromClient(topics...) // one made anew has another id
	gone, err := b.adm.DeleteTopics(ctx, topics...)
	if err != nil {
		return fmt.Errorf("delete topics %v: %w", topics, err)
	}
	for _, t := range gone {
		if t.Err != nil && !errors.Is(t.Err, kerr.UnknownTopicOrPartition) {
			return fmt.Errorf("delete topic %s: %w", t.Topic, t.Err)
		}
	}
	return nil
}

// removeGroup deletes a consumer group whose members are gone, if it is there.
// Static members, who never say goodbye, are made to leave first.
func (b *bench) removeGroup(ctx context.Context, group string) error {
	for n := 0; ; n++ {
		if g, err := b.adm.DescribeGroups(ctx, group); err == nil {
			for _, m := range g[group].Members {
				if m.InstanceID != nil {
					_, _ = b.adm.LeaveGroup(ctx, kadm.LeaveGroup(group).InstanceIDs(*m.InstanceID))
				}
			}
		}
		_, err := b.adm.DeleteGroup(ctx, group)
		if err == nil || errors.Is(err, kerr.GroupIDNotFound) {
			return nil
		}
		if n > 600 || ctx.Err() != nil {
			return fmt.Errorf("delete group %s: %w", group, err)
		}
		sleep(ctx, 100*time.Millisecond)
	}
}

// removeMatching deletes every topic that match says true of.
func (b *bench) removeMatching(ctx context.Context, match func(string) bool) error {
	all, err := b.adm.ListTopics(ctx)
	if err != nil {
		return err
	}
	var names []string
	for name := range all {
		if match(name) {
			names = append(names, name)
		}
	}
	return b.remove(ctx, names...)
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// warmUp runs one transaction of a group, so that the broker's own topics for
// groups and transactions are there before the first contestant asks for them.
func (b *bench) warmUp(ctx context.Context) error {
	const topic = "bench-warm-up"
	if err := b.remake(ctx, outputTopic, 1, topic); err != nil {
		return err
	}
	gts, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(b.brokers...), kgo.ConsumerGroup(topic), kgo.ConsumeTopics(topic),
		kgo.TransactionalID(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer gts.CloseAllowingRebalance()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := b.cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Key: []byte(topic)}).FirstErr(); err != nil {
		return err
	}
	for {
		fetches := gts.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		if fetches.NumRecords() == 0 {
			continue
		}
		if err := gts.Begin(); err != nil {
			return err
		}
		gts.Produce(ctx, &kgo.Record{Topic: topic, Key: []byte(topic)}, nil)
		_, err := gts.End(ctx, kgo.TryCommit)
		return err
	}
}
