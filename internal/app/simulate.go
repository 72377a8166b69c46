package app

import (
	"context"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"ell/internal/event"
	"ell/internal/kafka"
	"ell/internal/sim"
	"ell/internal/simulate"
	"ell/internal/weather"
)

// Simulate runs the city against a cluster until ctx ends.
func Simulate(ctx context.Context, o Options) error {
	o.ownGateway(o.GatewayAddr)
	p, err := newPlatform(ctx, o, 0, roleSimulate)
	if err != nil {
		return err
	}
	c, err := p.newCity(ctx)
	if err != nil {
		return err
	}
	return p.withMetrics(ctx, c.run)
}

// city is the simulator and its weather device.
type city struct {
	sim      *simulate.Simulator
	device   *weather.Device
	accepted atomic.Int64 // event time in ms of the last reading that arrived
}

func (p *platform) newCity(ctx context.Context) (*city, error) {
	c := &city{}
	var err error
	c.device, err = weather.New(weather.Config{
		Proxy: p.RESTProxy, Topic: p.Names.Weather(), Logger: p.log("weather"),
		Accepted: func(at int64) { c.accepted.Store(at) },
	})
	if err != nil {
		return nil, err
	}
	after, err := p.lastWeather(ctx)
	if err != nil {
		return nil, err
	}
	c.sim, err = simulate.New(simulate.Config{
		Network: p.net, Names: p.Names, Encoder: p.enc, Resolver: p.registry, Kafka: p.kafka,
		TransactionalID: p.transactionalID("city"), Sole: p.boot > 0,
		City:  sim.Options{Seed: p.Seed, Start: p.Start.UnixMilli(), Incidents: p.Incidents},
		Speed: p.Speed, SpeedSet: p.SpeedSet,
		Device: c, WeatherAfter: after, Log: p.log("simulate"),
	})
	if err != nil {
		return nil, err
	}
	return c, p.meterCity(c)
}

// Offer implements simulate.Device.
func (c *city) Offer(w event.Weather) { c.device.Offer(w) }

// Accepted implements simulate.Device.
func (c *city) Accepted() int64 { return c.accepted.Load() }

// lastWeather is the event time of the newest reading on the log. The device
// itself knows no Kafka and cannot ask; a crash between an answer of the REST Proxy and
// the next checkpoint would otherwise send a reading twice.
func (p *platform) lastWeather(ctx context.Context) (int64, error) {
	dec := event.NewDecoder(p.registry)
	var last int64
	table, err := kafka.ReadTable(ctx, p.kafka, p.Names.Weather(), 0)
	if err != nil {
		return 0, err
	}
	for _, rec := range table {
		var w event.Weather
		if dec.Weather(&rec, &w) == nil { // others may write to the topic; what is no reading says nothing of time
			last = max(last, w.Timestamp)
		}
	}
	return last, nil
}

func (c *city) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.sim.Run(ctx) })
	g.Go(func() error { return c.device.Run(ctx) })
	return g.Wait()
}
