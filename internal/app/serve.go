package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"ell/internal/board"
	"ell/internal/event"
	"ell/internal/hub"
	"ell/internal/inspect"
	"ell/internal/kafka"
	"ell/internal/web"
	"ell/ui"
)

// Serve runs board, fan-out and website against a cluster until ctx ends.
func Serve(ctx context.Context, o Options) error {
	p, err := newPlatform(ctx, o, 0, roleServe)
	if err != nil {
		return err
	}
	s, err := p.newSite(ctx, parts{}, nil)
	if err != nil {
		return err
	}
	fmt.Fprintf(o.Out, "website  http://%s\n", s.server.Addr())
	return p.withMetrics(ctx, s.run)
}

// site is the website and what stands behind it.
type site struct {
	board    *board.Board
	follower *kafka.Follower
	pump     *hub.Pump
	hub      *hub.Hub
	server   *web.Server
	commands *kgo.Client // nil: no control
	watch    *logWatch
	counted  *counted
	letters  *kafka.Follower // counts the dead letters
	flows    *flows

	deadLetters atomic.Int64
}

// newSite makes the website; it tells of the parts that run beside it in this
// process, and of the disk of the embedded broker where space is given.
func (p *platform) newSite(ctx context.Context, beside parts, space func() (free, size uint64, ok bool)) (_ *site, err error) {
	if p.MetricsAddr == p.HTTPAddr {
		p.MetricsAddr = "" // the website answers there
	}
	s := &site{watch: p.newLogWatch(space)}
	latency := newEventLatency()
	log := p.log("serve")
	s.board, err = board.New(board.Options{
		Network: p.net, Decoder: event.NewDecoder(p.registry), Names: p.Names, Control: p.Control,
		Shown: func(age int64) { latency.Observe(float64(age) / 1000) },
	})
	if err != nil {
		return nil, err
	}
	perAddress := p.MaxPerAddress
	if perAddress == 0 {
		perAddress = -1
	}
	if s.hub, err = hub.New(hub.Options{MaxViewers: p.MaxViewers, MaxPerIP: perAddress, Logger: log}); err != nil {
		return nil, err
	}
	s.pump = hub.NewPump(s.board, s.hub, log)
	s.counted = newCounted(s.board.Topics(), s.pump.Batch)
	s.follower, err = kafka.NewFollower(kafka.Follow{
		Config: p.kafka, Topics: s.board.Topics(), Batch: s.counted.batch, CaughtUp: s.pump.Ready, Logger: log,
	})
	if err != nil {
		return nil, err
	}
	s.letters, err = kafka.NewFollower(kafka.Follow{
		Config: p.kafka, Topics: []string{p.Names.DeadLetter()}, Logger: log, Refresh: 30 * time.Second,
		Batch: func(_ context.Context, batch []event.Record) error {
			s.deadLetters.Add(int64(len(batch)))
			return nil
		},
	})
	if err != nil {
		return nil, err
	}
	s.flows = p.newFlows(s, beside)
	cfg := web.Config{
		Addr: p.HTTPAddr, Hosts: p.Hosts, Network: p.net, Board: s.board, Hub: s.hub,
		Ready:  func() []string { return p.unready(s, beside) },
		System: func() any { return beside.system(s) }, Pipeline: s.flows.pipeline,
		Registry: p.metrics, Logger: log,
	}
	cfg.Dist = ui.Dist
	if cfg.Log, err = inspect.New(inspect.Config{Kafka: p.kafka, Schemas: p.registry, Logger: log}); err != nil {
		return nil, err
	}
	if p.Control {
		if s.commands, err = p.kafka.New(kgo.RequiredAcks(kgo.AllISRAcks()), kgo.RecordDeliveryTimeout(5*time.Second), kgo.ProducerLinger(0)); err != nil {
			return nil, err
		}
		defer func() {
			if err != nil {
				s.commands.Close()
			}
		}()
		cfg.Control = func(ctx context.Context, c event.Command) error { return p.command(ctx, s.commands, c) }
	}
	if err := errors.Join(p.meterSite(s), p.meter(latency, s.watch)); err != nil {
		return nil, err
	}
	s.server, err = web.New(ctx, cfg)
	return s, err
}

// command puts a command to the city on the log.
func (p *platform) command(ctx context.Context, cl *kgo.Client, c event.Command) error {
	if c.ID == "" {
		c.ID = rand.Text()
	}
	if c.IssuedAt == 0 {
		c.IssuedAt = time.Now().UnixMilli()
	}
	rec := &kgo.Record{Topic: p.Names.Commands(), Key: p.enc.AppendCommandKey(nil, c.ID), Value: p.enc.AppendCommand(nil, &c)}
	return cl.ProduceSync(ctx, rec).FirstErr()
}

func (s *site) run(ctx context.Context) error {
	if s.commands != nil {
		defer s.commands.Close()
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.watch.run(ctx) })
	g.Go(func() error { return s.follower.Run(ctx) })
	g.Go(func() error { return s.letters.Run(ctx) })
	g.Go(func() error { return s.flows.run(ctx) })
	g.Go(func() error { return s.pump.Run(ctx) })
	g.Go(func() error { return s.hub.Run(ctx) })
	g.Go(func() error { return s.server.Run(ctx) })
	return g.Wait()
}
