// Command goka counts turnstile entries per station with Goka, at least once.
//
// The key of an entry holds its time, and Goka's tables go by the key of the
// message. The idiomatic form therefore sends each entry through the loopback
// topic, keyed by station. The fastest form lets a consumer interceptor put the
// station in the key's place, so that the table can be written at once, and keeps
// the table in memory.
package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/IBM/sarama"
	"github.com/hamba/avro/v2"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"
	"github.com/lovoo/goka/storage"
	"github.com/twmb/franz-go/pkg/sr"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1] == "fastest"); err != nil && !errors.Is(err, context.Canceled) {
		log.Fatal(err)
	}
}

func run(ctx context.Context, fastest bool) error {
	brokers, group := strings.Split(os.Getenv("BROKERS"), ","), goka.Group(os.Getenv("GROUP"))
	schemas := &registry{ctx: ctx}
	input := goka.Stream(os.Getenv("INPUT"))
	options := []goka.ProcessorOption{goka.WithLogger(log.New(os.Stderr, "", 0))}
	var graph *goka.GroupGraph
	if fastest {
		runtime.GOMAXPROCS(max(2, runtime.GOMAXPROCS(0))) // reads on while it computes, on one core too
		graph = goka.DefineGroup(group, goka.Input(input, entries{schemas}, count), goka.Persist(totals{}))
		options = append(options, goka.WithStorageBuilder(storage.MemoryBuilder()))
	} else {
		graph = goka.DefineGroup(group,
			goka.Input(input, entries{schemas}, func(ctx goka.Context, msg any) {
				ctx.Loopback(strconv.Itoa(int(msg.(*entry).StationID)), int64(1))
			}),
			goka.Loop(new(codec.Int64), count), goka.Persist(totals{}))
		options = append(options, goka.WithStorageBuilder(storage.DefaultBuilder(os.Getenv("DATA"))))
	}

	config := goka.DefaultConfig()
	config.Version = sarama.V4_0_0_0
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Fetch.Default = 2 << 20
	config.ChannelBufferSize = 4096
	config.Producer.Compression = sarama.CompressionNone
	config.Producer.Flush.Frequency = 100 * time.Millisecond
	config.Producer.Flush.Bytes = 1 << 20
	if fastest {
		config.Consumer.Interceptors = []sarama.ConsumerInterceptor{stationKey{}}
	}
	topics := goka.NewTopicManagerConfig()
	topics.Table.Replication, topics.Stream.Replication = 1, 1
	topics.MismatchBehavior = goka.TMConfigMismatchBehaviorWarn
	options = append(options,
		goka.WithConsumerGroupBuilder(goka.ConsumerGroupBuilderWithConfig(config)),
		goka.WithConsumerSaramaBuilder(goka.SaramaConsumerBuilderWithConfig(config)),
		goka.WithProducerBuilder(goka.ProducerBuilderWithConfig(config)),
		goka.WithTopicManagerBuilder(goka.TopicManagerBuilderWithConfig(config, topics)),
		goka.WithPartitionChannelSize(4096),
	)
	manager, err := goka.NewTopicManager(brokers, config, topics)
	if err != nil {
		return err
	}
	if err := makeTable(ctx, manager, string(input), string(goka.GroupTable(group))); err != nil {
		return errors.Join(err, manager.Close())
	}
	if err := manager.Close(); err != nil {
		return err
	}
	p, err := goka.NewProcessor(brokers, graph, options...)
	if err != nil {
		return err
	}
	return p.Run(ctx)
}

// makeTable makes the table's topic and waits for its leaders: a processor that
// makes it does not, and ends with an error if one is not there yet.
func makeTable(ctx context.Context, manager goka.TopicManager, input, table string) error {
	partitions, err := manager.Partitions(input)
	if err != nil {
		return err
	}
	if err := manager.EnsureTableExists(table, len(partitions)); err != nil {
		return err
	}
	for _, p := range partitions {
		for {
			_, err := manager.GetOffset(table, p, sarama.OffsetOldest)
			if err == nil {
				break
			}
			select {
			case <-ctx.Done():
				return errors.Join(err, ctx.Err())
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	return nil
}

// count adds one to the total of the message's key.
func count(ctx goka.Context, _ any) {
	t, ok := ctx.Value().(*total)
	if !ok {
		station, err := strconv.ParseInt(ctx.Key(), 10, 32)
		if err != nil {
			ctx.Fail(fmt.Errorf("key %q is no station: %w", ctx.Key(), err))
		}
		t = &total{Station: int32(station)}
	}
	t.Count++
	ctx.SetValue(t)
}

// entry is the value of an entry.
type entry struct {
	StationID   int32  `avro:"station_id"`
	StationName string `avro:"station_name"`
	Line        string `avro:"line"`
}

// entries is the codec of the input: Avro in Confluent framing.
type entries struct{ schemas *registry }

func (c entries) Encode(any) ([]byte, error) { return nil, errors.New("nothing writes entries") }

func (c entries) Decode(b []byte) (any, error) {
	if len(b) < 5 || b[0] != 0 {
		return nil, errors.New("not in Confluent framing")
	}
	s, err := c.schemas.schema(binary.BigEndian.Uint32(b[1:]))
	if err != nil {
		return nil, err
	}
	e := &entry{}
	return e, avro.Unmarshal(s, b[5:], e)
}

// total is a value of the table, which is a topic for others to read.
type total struct {
	Station int32 `json:"STATION_ID"`
	Count   int64 `json:"COUNT"`
}

// totals is the table's codec.
type totals struct{}

func (totals) Encode(v any) ([]byte, error) { return json.Marshal(v) }

func (totals) Decode(b []byte) (any, error) {
	t := &total{}
	return t, json.Unmarshal(b, t)
}

// stationKey replaces the Avro key {station_id, timestamp} by the station's id as text.
type stationKey struct{}

func (stationKey) OnConsume(m *sarama.ConsumerMessage) {
	if len(m.Key) < 6 {
		return
	}
	if u, n := binary.Uvarint(m.Key[5:]); n > 0 {
		m.Key = strconv.AppendInt(nil, int64(u>>1)^-int64(u&1), 10)
	}
}

// registry fetches schemas by id, each once. Goka decodes on one goroutine a partition.
type registry struct {
	ctx   context.Context
	known sync.Map // uint32 -> avro.Schema
}

func (r *registry) schema(id uint32) (avro.Schema, error) {
	if s, ok := r.known.Load(id); ok {
		return s.(avro.Schema), nil
	}
	cl, err := sr.NewClient(sr.URLs(os.Getenv("REGISTRY")))
	if err != nil {
		return nil, err
	}
	text, err := cl.SchemaByID(r.ctx, int(id))
	if err != nil {
		return nil, fmt.Errorf("schema id %d: %w", id, err)
	}
	s, err := avro.Parse(text.Schema)
	if err == nil {
		r.known.Store(id, s)
	}
	return s, err
}
