// Command bare is what there is without any stream processing library:
// "read" reads and decodes every entry and counts it, the limit of all others
// on this client; "transact" also writes every changed total in a transaction
// each 100 ms, but keeps nothing to restore from.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"

	"ell/internal/event"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	events, err := strconv.ParseInt(os.Getenv("EVENTS"), 10, 64)
	if err != nil {
		log.Fatal("EVENTS: ", err)
	}
	// On one core, as Ell: with a single processor the runtime would leave the network
	// alone while something computes.
	runtime.GOMAXPROCS(max(2, runtime.GOMAXPROCS(0)))
	dec := event.NewDecoder(resolver{ctx})
	if len(os.Args) == 2 && os.Args[1] == "transact" {
		err = transact(ctx, dec)
	} else {
		err = read(ctx, dec, events)
	}
	if err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

// resolver asks the registry; the decoder remembers.
type resolver struct{ ctx context.Context }

func (r resolver) Schema(id event.ID) (string, error) {
	cl, err := sr.NewClient(sr.URLs(os.Getenv("REGISTRY")))
	if err != nil {
		return "", err
	}
	s, err := cl.SchemaByID(r.ctx, id)
	return s.Schema, err
}

func options() []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(strings.Split(os.Getenv("BROKERS"), ",")...),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
	}
}

// each decodes all records of fetches.
func each(dec *event.Decoder, fetches kgo.Fetches, f func(*event.Turnstile)) error {
	if err := fetches.Err(); err != nil {
		return err
	}
	var rec event.Record
	var t event.Turnstile
	for i := range fetches {
		for j := range fetches[i].Topics {
			for k := range fetches[i].Topics[j].Partitions {
				for _, r := range fetches[i].Topics[j].Partitions[k].Records {
					rec.Key, rec.Value = r.Key, r.Value
					if err := dec.Turnstile(&rec, &t); err != nil {
						return err
					}
					f(&t)
				}
			}
		}
	}
	return nil
}

func read(ctx context.Context, dec *event.Decoder, events int64) error {
	input := os.Getenv("INPUT")
	from := map[int32]kgo.Offset{}
	for p := range int32(event.Partitions) {
		from[p] = kgo.NewOffset().AtStart()
	}
	begun := time.Now()
	cl, err := kgo.NewClient(append(options(), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{input: from}))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	counts := map[int32]int64{}
	for n := int64(0); n < events; {
		err := each(dec, cl.PollFetches(ctx), func(t *event.Turnstile) {
			counts[t.StationID]++
			n++
		})
		if err != nil {
			return err
		}
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"Seconds": time.Since(begun).Seconds(), "Counts": counts})
}

func transact(ctx context.Context, dec *event.Decoder) error {
	group, output := os.Getenv("GROUP"), os.Getenv("OUTPUT")
	gts, err := kgo.NewGroupTransactSession(append(options(),
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(os.Getenv("INPUT")), kgo.TransactionalID(group), kgo.BlockRebalanceOnPoll(),
	)...)
	if err != nil {
		return err
	}
	defer gts.CloseAllowingRebalance()
	counts, changed := map[int32]int64{}, map[int32]bool{}
	for {
		fetches := gts.PollRecords(ctx, 10_000)
		if ctx.Err() != nil {
			return nil
		}
		if err := gts.Begin(); err != nil {
			return err
		}
		for end := time.Now().Add(100 * time.Millisecond); ; {
			err := each(dec, fetches, func(t *event.Turnstile) {
				counts[t.StationID]++
				changed[t.StationID] = true
			})
			if err != nil {
				return err
			}
			if time.Now().After(end) {
				break
			}
			// A nil context does not wait.
			if fetches = gts.PollRecords(nil, 10_000); fetches.NumRecords() == 0 { //nolint:staticcheck // see above
				break
			}
		}
		for s := range changed {
			gts.Produce(ctx, &kgo.Record{
				Topic: output, Key: strconv.AppendInt(nil, int64(s), 10),
				Value: fmt.Appendf(nil, `{"STATION_ID":%d,"COUNT":%d}`, s, counts[s]),
			}, nil)
		}
		clear(changed)
		committed, err := gts.End(context.WithoutCancel(ctx), kgo.TryCommit)
		if err != nil {
			return err
		}
		if !committed {
			return errors.New("a transaction did not commit, and there is no way back")
		}
		gts.AllowRebalance()
	}
}
