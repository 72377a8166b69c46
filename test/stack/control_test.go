package stack

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/access"
	"ell/internal/event"
	"ell/internal/kafka"
	"ell/internal/registry"
	"ell/test/system"
)

// TestControlAnAtLeastOnceProcessorFailsTheVerifier is the negative control of
// all the other tests here: the same count, made by a consumer that commits
// offsets beside its output rather than with it, and dies at random moments,
// does not come out right, and the comparison sees it.
func TestControlAnAtLeastOnceProcessorFailsTheVerifier(t *testing.T) {
	long(t)
	c := startCluster(t, 1, "kafka", "registry")
	p := c.start(event.Shared, c.bootstrap(), "simulate", "serve")
	seed := uint64(time.Now().UnixNano()) //nolint:gosec // any number will do
	rng := rand.New(rand.NewPCG(seed, 4))
	adm := kadm.NewClient(c.client())
	const out = "control.totals"
	system.Within(t, 30*time.Second, func() error {
		_, err := adm.CreateTopic(t.Context(), 1, 1, nil, out)
		return err
	})
	system.Within(t, 60*time.Second, func() error { return system.Get("http://"+p.http+"/readyz", nil) })
	const deaths = 12
	for range deaths {
		ctx, die := context.WithTimeout(t.Context(), time.Duration(1500+rng.IntN(1500))*time.Millisecond)
		if err := countAtLeastOnce(ctx, c, p.names, out); err != nil && ctx.Err() == nil {
			t.Fatal(err)
		}
		die()
	}
	system.Clock(t, system.Ports{HTTP: p.http}, `{"paused":true}`)
	ctx, die := context.WithTimeout(t.Context(), 20*time.Second) // and one that lives to see the end
	defer die()
	if err := countAtLeastOnce(ctx, c, p.names, out); err != nil && ctx.Err() == nil {
		t.Fatal(err)
	}
	dec := decoder(t, c)
	truth := map[string]int64{}
	system.Read(t.Context(), t, c.kafka(), p.names.TurnstilesPattern(), func(r *event.Record) {
		var e event.Turnstile
		if err := dec.Turnstile(r, &e); err != nil {
			t.Fatal(err)
		}
		truth[strconv.Itoa(int(e.StationID))]++
	})
	totals, err := kafka.ReadTable(t.Context(), c.kafka(), out, 0)
	if err != nil {
		t.Fatal(err)
	}
	wrong := 0
	for station, n := range truth {
		var got int64
		if r, ok := totals[station]; ok && json.Unmarshal(r.Value, &got) != nil || got != n {
			wrong++
		}
	}
	if wrong == 0 {
		t.Errorf("an at-least-once count that died %d times (seed %d) came out right at all of %d stations: these tests would not see a fault", deaths, seed, len(truth))
	}
	t.Logf("the at-least-once count is wrong at %d of %d stations after %d deaths (seed %d)", wrong, len(truth), deaths, seed)
}

func decoder(t *testing.T, c *cluster) *event.Decoder {
	t.Helper()
	reg, err := registry.New(registry.Config{Access: access.HTTP{URL: c.registry()}})
	if err != nil {
		t.Fatal(err)
	}
	return event.NewDecoder(reg)
}

// countAtLeastOnce counts entries by station as tutorials do, until ctx ends,
// which is its death: whatever it has in hand then is dropped.
func countAtLeastOnce(ctx context.Context, c *cluster, names event.Names, out string) error {
	c.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.bootstrap()...), kgo.ConsumerGroup("control"), kgo.ConsumeRegex(), kgo.ConsumeTopics(names.TurnstilesPattern()),
		kgo.DisableAutoCommit(), kgo.InstanceID("control"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return err
	}
	defer cl.CloseAllowingRebalance()
	totals := map[string]int64{}
	before, err := kafka.ReadTable(ctx, c.kafka(), out, 0)
	if err != nil {
		return err
	}
	for station, r := range before {
		if totals[station], err = strconv.ParseInt(string(r.Value), 10, 64); err != nil {
			return err
		}
	}
	dec := decoder(c.t, c)
	for ctx.Err() == nil {
		changed := map[string]bool{}
		cl.PollRecords(ctx, 2000).EachRecord(func(r *kgo.Record) {
			var e event.Turnstile
			var rec event.Record
			kafka.FromKgo(r, &rec)
			if dec.Turnstile(&rec, &e) == nil {
				station := strconv.Itoa(int(e.StationID))
				totals[station]++
				changed[station] = true
			}
		})
		for station := range changed {
			if err := cl.ProduceSync(ctx, &kgo.Record{Topic: out, Key: []byte(station), Value: strconv.AppendInt(nil, totals[station], 10)}).FirstErr(); err != nil {
				return err
			}
		}
		if err := cl.CommitUncommittedOffsets(ctx); err != nil {
			return err
		}
	}
	return ctx.Err()
}
