package exactly_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/event"
	"ell/internal/exactly"
	"ell/internal/testkit"
)

// BenchmarkRunnerAgainstBareConsumer measures what exactly-once costs: the
// same turnstile records, read committed and decoded, once by a client that
// does nothing else with them, once by a Runner that counts them per station,
// writes totals and state, and commits every 100 ms. Both have one core; the
// broker is a process of its own, so that its work and its memory are not
// measured. Ratios are Runner to bare consumer: of records per second of wall
// time, and of processor time per record. The wall ratio is the fair one only
// while the broker keeps up with either; the processor ratio holds always.
//
//	go test ./internal/exactly -run xxx -bench BareConsumer -benchtime 3x
func BenchmarkRunnerAgainstBareConsumer(b *testing.B) {
	const records, partitions = 1_000_000, 12
	ids, texts := event.IDs{}, schemaTexts{}
	for i, s := range event.Schemas() {
		ids[s.Name], texts[i+1] = i+1, s.Text
	}
	enc, err := event.NewEncoder(ids)
	if err != nil {
		b.Fatal(err)
	}
	broker := testkit.Start(b, "broker", "PARTITIONS="+strconv.Itoa(partitions))
	testkit.Wait(b, 20*time.Second, "the broker listens", func() bool { return strings.Contains(broker.Output(), "listening ") })
	addrs := strings.Fields(broker.Output()[strings.Index(broker.Output(), "listening "):])[1:2]
	preload(b, addrs, enc, records, partitions)

	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var bare, run cost
	rounds := 0
	for b.Loop() {
		bare = bare.add(consumeBare(b, addrs, texts, records, partitions))
		run = run.add(processAll(b, addrs, texts, records, rounds))
		rounds++
	}
	perRound := func(d time.Duration) float64 { return float64(records*rounds) / d.Seconds() }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(perRound(bare.wall), "bare-records/s")
	b.ReportMetric(perRound(run.wall), "runner-records/s")
	b.ReportMetric(bare.wall.Seconds()/run.wall.Seconds(), "wall-ratio")
	b.ReportMetric(float64(bare.cpu.Nanoseconds())/float64(records*rounds), "bare-cpu-ns/record")
	b.ReportMetric(float64(run.cpu.Nanoseconds())/float64(records*rounds), "runner-cpu-ns/record")
	b.ReportMetric(bare.cpu.Seconds()/run.cpu.Seconds(), "cpu-ratio")
	b.ReportMetric(float64(bare.allocs)/float64(records*rounds), "bare-allocs/record")
	b.ReportMetric(float64(run.allocs)/float64(records*rounds), "runner-allocs/record")
	b.ReportMetric(float64(run.commits)/float64(rounds), "commits")
}

type schemaTexts map[event.ID]string

func (s schemaTexts) Schema(id event.ID) (string, error) {
	if t, ok := s[id]; ok {
		return t, nil
	}
	return "", event.ErrUnknownSchema
}

// cost is what a pass over the records took.
type cost struct {
	wall, cpu time.Duration
	allocs    uint64
	commits   int64
}

func (c cost) add(o cost) cost {
	return cost{c.wall + o.wall, c.cpu + o.cpu, c.allocs + o.allocs, c.commits + o.commits}
}

// meter measures from now on.
func meter() func() cost {
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, at := cpuTime(), time.Now()
	return func() cost {
		c := cost{wall: time.Since(at), cpu: cpuTime() - cpu}
		var after runtime.MemStats
		runtime.ReadMemStats(&after)
		c.allocs = after.Mallocs - before.Mallocs
		return c
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

const benchTopic = "turnstiles"

func preload(b *testing.B, addrs []string, enc *event.Encoder, n int, partitions int32) {
	b.Helper()
	cl, err := kgo.NewClient(append(testkit.Options(addrs...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MaxBufferedRecords(100_000))...)
	if err != nil {
		b.Fatal(err)
	}
	defer cl.Close()
	var failed error
	for i := range n {
		station := int32(40000 + i%144*10)
		ts := int64(1_700_000_000_000 + i)
		cl.Produce(context.Background(), &kgo.Record{
			Topic: benchTopic, Partition: int32(i) % partitions,
			Key: enc.AppendTurnstileKey(nil, station, ts),
			Value: enc.AppendTurnstile(nil, &event.Turnstile{
				StationID: station, Timestamp: ts, StationName: "Clark/Lake", Line: "blue",
			}),
		}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed = err
			}
		})
	}
	if err := cl.Flush(context.Background()); err != nil || failed != nil {
		b.Fatal(err, failed)
	}
}

// consumeBare reads and decodes every record, and does nothing else.
func consumeBare(b *testing.B, addrs []string, texts schemaTexts, n int, partitions int32) cost {
	b.Helper()
	from := map[int32]kgo.Offset{}
	for p := range partitions {
		from[p] = kgo.NewOffset().AtStart()
	}
	stop := meter()
	cl, err := kgo.NewClient(append(testkit.Options(addrs...), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{benchTopic: from}))...)
	if err != nil {
		b.Fatal(err)
	}
	defer cl.Close()
	dec := event.NewDecoder(texts)
	var rec event.Record
	var t event.Turnstile
	for seen := 0; seen < n; {
		fetches := cl.PollFetches(context.Background())
		if errs := fetches.Errors(); len(errs) > 0 {
			b.Fatal(errs)
		}
		for i := range fetches {
			for j := range fetches[i].Topics {
				for k := range fetches[i].Topics[j].Partitions {
					for _, r := range fetches[i].Topics[j].Partitions[k].Records {
						rec.Topic, rec.Partition, rec.Offset = r.Topic, r.Partition, r.Offset
						rec.Key, rec.Value = r.Key, r.Value
						if err := dec.Turnstile(&rec, &t); err != nil {
							b.Fatal(err)
						}
						seen++
					}
				}
			}
		}
	}
	return stop()
}

// processAll runs a stage over every record, from joining the group to the
// last commit.
func processAll(b *testing.B, addrs []string, texts schemaTexts, n, round int) cost {
	b.Helper()
	suffix := fmt.Sprintf("-%d-%d", os.Getpid(), round)
	setUp(b, addrs, "totals"+suffix, "changelog"+suffix)
	dec := event.NewDecoder(texts)
	r, err := exactly.New(exactly.Config{
		Client: testkit.Options(addrs...), TransactionalID: "bench" + suffix, DeadLetter: "dead",
		Stage: exactly.Stage{
			Name: "bench" + suffix, Topics: []string{benchTopic}, Changelog: "changelog" + suffix,
			New: func(exactly.Task) exactly.Reducer {
				return &totals{dec: dec, topic: "totals" + suffix, count: map[int32]*total{}}
			},
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	stop := meter()
	go func() { done <- r.Run(ctx) }()
	for r.Stats().In < int64(n) {
		select {
		case err := <-done:
			b.Fatal("the runner ended: ", err)
		case <-time.After(time.Millisecond):
		}
	}
	c := stop()
	c.commits = r.Stats().Committed
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	return c
}

func setUp(b *testing.B, addrs []string, topics ...string) {
	b.Helper()
	cl, err := kgo.NewClient(testkit.Options(addrs...)...)
	if err != nil {
		b.Fatal(err)
	}
	defer cl.Close()
	for _, t := range topics {
		if err := testkit.CreateTopic(context.Background(), cl, t, 12); err != nil {
			b.Fatal(err)
		}
	}
}

// totals counts entries per station.
type totals struct {
	dec   *event.Decoder
	topic string
	turn  event.Turnstile
	count map[int32]*total
	dirty []*total
}

type total struct {
	station  int32
	now, old int64
	dirty    bool
	key      []byte
}

func (t *totals) Restore(key, value []byte) error {
	station, err := strconv.ParseInt(string(key), 10, 32)
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(string(value), 10, 64)
	t.count[int32(station)] = &total{station: int32(station), now: n, old: n, key: key}
	return err
}

func (t *totals) Process(r *exactly.Record, _ exactly.Output) error {
	if err := t.dec.Turnstile(r, &t.turn); err != nil {
		return err
	}
	c := t.count[t.turn.StationID]
	if c == nil {
		c = &total{station: t.turn.StationID, key: strconv.AppendInt(nil, int64(t.turn.StationID), 10)}
		t.count[t.turn.StationID] = c
	}
	if !c.dirty {
		c.dirty, c.old = true, c.now
		t.dirty = append(t.dirty, c)
	}
	c.now++
	return nil
}

func (t *totals) Flush(out exactly.Output) error {
	for _, c := range t.dirty {
		out.Emit(t.topic, -1, c.key, fmt.Appendf(nil, `{"STATION_ID":%d,"COUNT":%d}`, c.station, c.now))
		out.State(c.key, strconv.AppendInt(nil, c.now, 10))
	}
	return nil
}

func (t *totals) Commit() { t.end(false) }
func (t *totals) Rewind() { t.end(true) }

func (t *totals) end(rewind bool) {
	for _, c := range t.dirty {
		if rewind {
			c.now = c.old
		}
		c.dirty = false
	}
	t.dirty = t.dirty[:0]
}

// broker is the worker process that is a fake cluster.
func broker(ctx context.Context) error {
	partitions, err := strconv.Atoi(os.Getenv("PARTITIONS"))
	if err != nil {
		return err
	}
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(int32(partitions), benchTopic), kfake.SeedTopics(1, "dead"))
	if err != nil {
		return err
	}
	defer c.Close()
	fmt.Println("listening", c.ListenAddrs()[0])
	<-ctx.Done()
	return nil
}
