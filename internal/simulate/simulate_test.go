package simulate_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ell/internal/cta"
	"ell/internal/event"
	"ell/internal/kafka"
	"ell/internal/sim"
	"ell/internal/simulate"
	"ell/internal/testkit"
)

// schemas resolves the ids that codec gives.
type schemas map[event.ID]string

func (s schemas) Schema(id event.ID) (string, error) {
	if text, ok := s[id]; ok {
		return text, nil
	}
	return "", fmt.Errorf("%w: %d", event.ErrUnknownSchema, id)
}

// device takes every reading at once.
type device struct{ last atomic.Int64 }

func (d *device) Offer(w event.Weather) { d.last.Store(w.Timestamp) }
func (d *device) Accepted() int64       { return d.last.Load() }

// city is one simulator on a fake cluster.
type city struct {
	cluster *kfake.Cluster
	cfg     simulate.Config
}

var start = time.Date(2026, 4, 14, 12, 30, 0, 0, time.UTC).UnixMilli()

func newCity(t *testing.T) *city {
	t.Helper()
	net := cta.Chicago()
	names := event.Names{Prefix: "x.", Layout: event.Shared}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	cfg := kafka.Config{Brokers: cluster.ListenAddrs()}
	cl, err := cfg.New()
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if _, err := kafka.EnsureTopics(t.Context(), cl, names.Specs(nil, event.ClusterRetention()), 1); err != nil {
		t.Fatal(err)
	}
	ids, texts := event.IDs{}, schemas{}
	for i, s := range event.Schemas() {
		ids[s.Name], texts[i+1] = i+1, s.Text
	}
	enc, err := event.NewEncoder(ids)
	if err != nil {
		t.Fatal(err)
	}
	return &city{cluster, simulate.Config{
		Network: net, Names: names, Encoder: enc, Resolver: texts, Kafka: cfg, TransactionalID: "city",
		City: sim.Options{Seed: 3, Start: start, Incidents: "heavy"}, Speed: 600, Device: &device{}, Log: slog.New(slog.DiscardHandler),
	}}
}

// live runs the simulator until it has made n transactions.
func (c *city) live(t *testing.T, n int64) simulate.Stats {
	t.Helper()
	s, err := simulate.New(c.cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	for s.Stats().Transactions < n && ctx.Err() == nil {
		select {
		case err := <-ended:
			t.Fatalf("the simulator ended: %v", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	return s.Stats()
}

// check holds the log against the city that nobody disturbed.
func (c *city) check(t *testing.T) (events int) {
	t.Helper()
	table, err := kafka.ReadTable(t.Context(), c.cfg.Kafka, c.cfg.Names.Clock(), 0)
	if err != nil {
		t.Fatal(err)
	}
	rec := table[string(c.cfg.Encoder.AppendClockKey(nil))]
	var clock event.Clock
	if err := event.NewDecoder(c.cfg.Resolver).Clock(&rec, &clock); err != nil {
		t.Fatal(err)
	}
	want := &sink{c: c, at: map[string][][]byte{}}
	undisturbed, err := sim.New(c.cfg.Network, c.cfg.City)
	if err != nil {
		t.Fatal(err)
	}
	undisturbed.Advance(clock.CityTime, want)
	got := map[string][][]byte{}
	ctx, cancel := context.WithCancel(t.Context())
	f, err := kafka.NewFollower(kafka.Follow{
		Config: c.cfg.Kafka, Topics: []string{c.cfg.Names.Arrivals(0, ""), c.cfg.Names.Turnstiles(0, "")}, CaughtUp: cancel,
		Batch: func(_ context.Context, batch []event.Record) error {
			for _, r := range batch {
				if event.IsTick(r.Headers) {
					continue // the clock between them; it is not the city's
				}
				p := r.Topic + strconv.Itoa(int(r.Partition))
				got[p] = append(got[p], append(bytes.Clone(r.Key), r.Value...))
				events++
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Run(ctx); err != nil {
		t.Fatal(err)
	}
	for p, w := range want.at {
		g := got[p]
		if len(g) != len(w) {
			t.Errorf("%s: %d records, undisturbed %d", p, len(g), len(w))
		}
		for i := range min(len(g), len(w)) {
			if !bytes.Equal(g[i], w[i]) {
				t.Fatalf("%s: record %d is another", p, i)
			}
		}
	}
	return events
}

type sink struct {
	c  *city
	at map[string][][]byte
}

func (s *sink) add(topic string, partition int32, b []byte) {
	p := topic + strconv.Itoa(int(partition))
	s.at[p] = append(s.at[p], b)
}

func (s *sink) Arrival(a *event.Arrival) {
	e := s.c.cfg.Encoder
	s.add(s.c.cfg.Names.Arrivals(0, ""), s.c.cfg.Names.ArrivalPartition(a.Line), e.AppendArrival(e.AppendArrivalKey(nil, a.StationID, a.Timestamp), a))
}

func (s *sink) Turnstile(u *event.Turnstile) {
	e := s.c.cfg.Encoder
	s.add(s.c.cfg.Names.Turnstiles(0, ""), s.c.cfg.Names.TurnstilePartition(u.StationID), e.AppendTurnstile(e.AppendTurnstileKey(nil, u.StationID, u.Timestamp), u))
}

// refuseEnds answers each nth end of a transaction with an error.
func refuseEnds(nth int64, code *kerr.Error) func(*city, *atomic.Int64) {
	return func(c *city, n *atomic.Int64) {
		c.cluster.ControlKey(int16(kmsg.EndTxn), func(r kmsg.Request) (kmsg.Response, error, bool) {
			c.cluster.KeepControl()
			if n.Add(1)%nth != 0 {
				return nil, nil, false
			}
			resp := r.ResponseKind().(*kmsg.EndTxnResponse)
			resp.ErrorCode = code.Code
			return resp, nil, true
		})
	}
}

func TestACommitThatFailsOrWhoseAnswerIsLostIsNeitherLostNorRepeated(t *testing.T) {
	for name, disturb := range map[string]func(*city, *atomic.Int64){
		"the broker refuses to end a transaction":                     refuseEnds(4, kerr.InvalidTxnState),
		"the broker calls the producer fenced, and there is no other": refuseEnds(9, kerr.ProducerFenced),
		"the connection breaks when a transaction is to end": func(c *city, n *atomic.Int64) {
			c.cluster.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
				c.cluster.KeepControl()
				if n.Add(1)%4 != 0 {
					return nil, nil, false
				}
				return nil, fmt.Errorf("cut"), true
			})
		},
		"a write is refused": func(c *city, n *atomic.Int64) {
			c.cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
				c.cluster.KeepControl()
				if n.Add(1)%9 != 0 {
					return nil, nil, false
				}
				return nil, fmt.Errorf("cut"), true
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCity(t)
			var n atomic.Int64
			disturb(c, &n)
			st := c.live(t, 20)
			events := c.check(t)
			if n.Load() < 8 || events == 0 {
				t.Fatalf("nothing was disturbed: %d requests, %d events", n.Load(), events)
			}
			t.Logf("%d events; %d new beginnings", events, st.Restarts)
		})
	}
}

func TestEveryLineIsToldTheTimeWhenItHasTheArrivalsUpToThen(t *testing.T) {
	c := newCity(t)
	c.live(t, 15)
	c.live(t, 15) // a restart may tell the time once more, but never an older one
	lines := make(map[int32]bool)
	for _, l := range c.cfg.Network.Lines {
		lines[event.LinePartition(l.ID)] = true
	}
	dec := event.NewDecoder(c.cfg.Resolver)
	told, ticks := map[int32]int64{}, map[int32]int{}
	ctx, cancel := context.WithCancel(t.Context())
	f, err := kafka.NewFollower(kafka.Follow{
		Config: c.cfg.Kafka, Topics: []string{c.cfg.Names.ByLine()}, CaughtUp: cancel,
		Batch: func(_ context.Context, batch []event.Record) error {
			for i := range batch {
				r, p := &batch[i], batch[i].Partition
				if !event.IsTick(r.Headers) {
					var a event.Arrival
					if err := dec.Arrival(r, &a); err != nil {
						return err
					}
					if a.Timestamp <= told[p] {
						t.Errorf("partition %d: an arrival of %d after it was told %d", p, a.Timestamp, told[p])
					}
					continue
				}
				var at event.Clock
				if err := dec.Clock(r, &at); err != nil {
					return err
				}
				if at.CityTime < told[p] {
					t.Errorf("partition %d: told %d after %d", p, at.CityTime, told[p])
				}
				told[p] = at.CityTime
				ticks[p]++
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Run(ctx); err != nil {
		t.Fatal(err)
	}
	for p := range int32(event.Partitions) {
		if n := ticks[p]; lines[p] != (n >= 20) || !lines[p] && n > 0 {
			t.Errorf("partition %d, which holds a line: %v, was told the time %d times", p, lines[p], n)
		}
	}
}

func TestASecondSimulatorOfTheSameNameEndsTheFirst(t *testing.T) {
	c := newCity(t)
	first, err := simulate.New(c.cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- first.Run(ctx) }()
	<-first.Ready()
	c.live(t, 10)
	if err := <-ended; err == nil || ctx.Err() != nil {
		t.Errorf("the first went on: %v", err)
	}
	c.check(t)
}

// command puts a viewer's command on the log.
func (c *city) command(t *testing.T, cmd event.Command) {
	t.Helper()
	cl, err := c.cfg.Kafka.New()
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	e := c.cfg.Encoder
	r := &kgo.Record{Topic: c.cfg.Names.Commands(), Key: e.AppendCommandKey(nil, "x"), Value: e.AppendCommand(nil, &cmd)}
	if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// begin runs a simulator until the test ends.
func (c *city) begin(t *testing.T) *simulate.Simulator {
	t.Helper()
	s, err := simulate.New(c.cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	<-s.Ready()
	return s
}

func TestWhatViewersCommandedOutlivesAPassingErrorThoughTheSpeedWasGiven(t *testing.T) {
	c := newCity(t)
	c.cfg.SpeedSet = true
	s := c.begin(t)
	paused, speed := true, 60.0
	c.command(t, event.Command{Paused: &paused, Speed: &speed})
	testkit.Wait(t, 10*time.Second, "the city pauses", func() bool { return s.Stats().Clock.Paused })
	done := s.Stats().Transactions
	c.cluster.ControlKey(int16(kmsg.EndTxn), func(r kmsg.Request) (kmsg.Response, error, bool) { // once
		resp := r.ResponseKind().(*kmsg.EndTxnResponse)
		resp.ErrorCode = kerr.InvalidTxnState.Code
		return resp, nil, true
	})
	testkit.Wait(t, 20*time.Second, "a new session has written", func() bool {
		st := s.Stats()
		return st.Restarts > 0 && st.Transactions > done
	})
	if at := s.Stats().Clock; !at.Paused || at.Speed != 60 {
		t.Errorf("paused %v at speed %v, want paused at 60", at.Paused, at.Speed)
	}
}

func TestACommandAfterASlowCommitDoesNotMakeTheCityJump(t *testing.T) {
	c := newCity(t)
	c.cfg.Speed = 3600
	s := c.begin(t)
	const stall = 3 * time.Second
	held := make(chan struct{}, 8)                                                             // it is asked again when it has slept
	c.cluster.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) { // once
		held <- struct{}{}
		c.cluster.SleepControl(func() { time.Sleep(stall) })
		return nil, nil, false
	})
	<-held
	before := s.Stats()
	speed := c.cfg.Speed
	c.command(t, event.Command{Speed: &speed})
	testkit.Wait(t, 20*time.Second, "two more transactions", func() bool { return s.Stats().Transactions >= before.Transactions+2 })
	if after := s.Stats(); after.Behind < (stall - time.Second).Seconds() {
		t.Errorf("the city is %.1f s behind after a stall of %v: it has caught up at once", after.Behind, stall)
	}
}
