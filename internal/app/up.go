package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"ell/internal/access"
	"ell/internal/cta"
	"ell/internal/embedded"
)

// stopWithin bounds how long the roles may take to stop once ctx has ended; the
// embedded parts follow.
const stopWithin = 4 * time.Second

// Up runs every role in this process until ctx ends: on embedded parts, or
// where options name brokers, on those.
func Up(ctx context.Context, o Options) (err error) {
	tuneMemory(gcWhole)
	var boot uint64
	var stack *embedded.Stack
	var slow slowReaders
	if len(o.Brokers) == 0 {
		if o.Registry.URL != "" || o.KafkaTLS != nil || o.KafkaSASL != "" {
			return errors.New("--registry, --kafka-tls and --kafka-sasl are about a cluster, which --brokers names; without --brokers the embedded broker and registry are used")
		}
		stack, err = embedded.Open(ctx, embedded.Options{
			DataDir: o.Data, KafkaAddr: o.KafkaAddr, RegistryAddr: o.RegistryAddr, Hosts: o.Hosts, Network: cta.Chicago(), Logger: o.Log,
			HoldRetention: slow.hold,
		})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stack.Close()) }()
		o.oneProcess, boot, o.Replication = true, stack.Boot(), 1
		o.Brokers, o.Registry = []string{stack.KafkaAddr()}, access.HTTP{URL: stack.RegistryURL()}
	}
	p, err := newPlatform(ctx, o, boot, roleSimulate, roleGateway, roleStations, roleProcess, roleServe)
	if err != nil {
		return err
	}
	w, err := p.newWhole(ctx, stack)
	if err != nil {
		return err
	}
	slow.processor.Store(w.parts.processor)
	return p.withMetrics(ctx, w.run)
}

// slowReaders keeps the embedded broker from removing what the processor has
// not read yet: at thousands of times real time its bounds are seconds of log.
type slowReaders struct{ processor atomic.Pointer[processor] }

// readWithin is how old a record may be that the processor has not read, for
// retention to go on.
const readWithin = 500 * time.Millisecond

func (s *slowReaders) hold() bool {
	p := s.processor.Load()
	return p == nil || p.behind() > readWithin
}

// How much the heap may grow between two collections, in percent of what lives.
const (
	// gcWhole lets the collector run often: the live heap is a few dozen
	// megabytes, and twice that would be a third of what the whole may take.
	gcWhole = 50
	// gcProcess lets it run seldom. What a processor catches up with goes through its
	// memory at hundreds of megabytes a second and is garbage a moment later;
	// what lives is little but for the tables.
	gcProcess = 200
)

// tuneMemory sets the collector's pace. GOGC in the environment wins.
func tuneMemory(percent int) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}

// whole is all roles in one process.
type whole struct {
	*platform
	stack *embedded.Stack
	parts parts
	site  *site
	roles []role
}

type role struct {
	name string
	run  func(context.Context) error
}

func (p *platform) newWhole(ctx context.Context, stack *embedded.Stack) (*whole, error) {
	w := &whole{platform: p, stack: stack, parts: parts{embedded: stack != nil}}
	g, err := p.newGateway()
	if err != nil {
		return nil, err
	}
	p.ownGateway(g.Addr())
	if w.parts.processor, err = p.newProcessor(); err != nil {
		return nil, err
	}
	if w.parts.city, err = p.newCity(ctx); err != nil {
		return nil, err
	}
	var space func() (free, size uint64, ok bool)
	if stack != nil {
		space = stack.Space
	}
	if w.site, err = p.newSite(ctx, w.parts, space); err != nil {
		return nil, err
	}
	w.roles = []role{
		{"gateway", g.Run},
		{"process", w.parts.processor.run},
		{"simulate", w.parts.city.run},
		{"serve", w.site.run},
	}
	stations, err := p.newStations(ctx, stack)
	if err != nil {
		return nil, err
	}
	w.roles = append(w.roles, role{"stations", stations})
	if stack != nil {
		w.roles = append(w.roles, role{"embedded parts", stack.Watch})
	}
	return w, nil
}

// run runs all roles. The first that fails stops the others.
func (w *whole) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, r := range w.roles {
		g.Go(func() error {
			if err := r.run(ctx); err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			return nil
		})
	}
	g.Go(func() error {
		select {
		case <-w.parts.city.sim.Ready():
			w.banner(w.Out)
		case <-ctx.Done():
		}
		return nil
	})
	ended := make(chan error, 1) // one result, whoever still waits for it
	go func() { ended <- g.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(stopWithin):
		return fmt.Errorf("the roles did not stop within %v; what they had committed is safe", stopWithin)
	}
}

// banner says where everything is.
func (w *whole) banner(out io.Writer) {
	c := w.parts.city.sim.Stats().Clock
	at := time.UnixMilli(c.CityTime).In(cta.Location()).Format("Mon 2 Jan 2006 15:04:05 MST")
	rows := [][2]string{
		{"website", "http://" + w.site.server.Addr().String()},
		{"Kafka", strings.Join(w.kafka.Brokers, ",")},
		{"schema registry", w.Options.Registry.URL},
		{"REST Proxy", w.RESTProxy.URL},
	}
	if w.stack != nil {
		rows = append(rows, [2]string{"data folder", w.stack.Dir()})
	}
	rows = append(rows, [2]string{"city", fmt.Sprintf("%s, %g times real time, seed %d", at, c.Speed, c.Seed)})
	fmt.Fprintln(out, "Ell: the Chicago 'L' as an event log")
	for _, r := range rows {
		fmt.Fprintf(out, "  %-16s %s\n", r[0], r[1])
	}
	fmt.Fprintln(out, "Ctrl-C stops; starting again continues where it stopped.")
}
