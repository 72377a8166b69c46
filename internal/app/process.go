package app

import (
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"time"

	"golang.org/x/sync/errgroup"

	"ell/internal/event"
	"ell/internal/exactly"
	"ell/internal/process"
	"ell/internal/registry"
)

// Process runs the stream processor against a cluster until ctx ends.
func Process(ctx context.Context, o Options) error {
	p, err := newPlatform(ctx, o, 0, roleProcess)
	if err != nil {
		return err
	}
	r, err := p.newProcessor()
	if err != nil {
		return err
	}
	tuneMemory(gcProcess)
	return p.withMetrics(ctx, r.run)
}

// processor is the stages of the stream processing.
type processor struct{ stages []stage }

// stage is a runner and the name it goes by, without the prefix.
type stage struct {
	name string
	*exactly.Runner
}

// patience of the totals: they take at most a fifth of the time for commits, so
// that on a cluster at its limit the trains go first.
const patience = 4

func (p *platform) newProcessor() (*processor, error) {
	m, err := process.NewMap(p.net)
	if err != nil {
		return nil, err
	}
	took := newTransactionTimes()
	if err := p.meter(took); err != nil {
		return nil, err
	}
	out := &processor{}
	for _, s := range p.stages(m) {
		client, err := p.kafka.Options() // each its own: making a client writes to them
		if err != nil {
			return nil, err
		}
		cfg := exactly.Config{
			Stage: s, Client: client, DeadLetter: p.Names.DeadLetter(),
			TransactionalID: p.transactionalID(s.Name), Sole: p.boot > 0,
			CommitEvery: p.CommitEvery, Logger: p.log("process"),
			Committed: func(d time.Duration) { took.WithLabelValues(s.Name).Observe(d.Seconds()) },
		}
		if p.boot == 0 {
			cfg.InstanceID, cfg.Leave = p.Instance, p.Leave
		}
		if s.Name == event.StageTurnstiles {
			cfg.Linger, cfg.Patience = p.CommitEvery, patience // nobody waits for a total; fewer, larger transactions
		}
		cfg.Stage.Name = p.Names.Prefix + s.Name
		r, err := exactly.New(cfg)
		if err != nil {
			return nil, fmt.Errorf("stage %s: %w", s.Name, err)
		}
		out.stages = append(out.stages, stage{s.Name, r})
		if err := p.meterStage(stage{s.Name, r}); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// stages binds the pure reducers of package process to topics. A stage's
// reducers share a decoder: its runner calls them from one goroutine.
func (p *platform) stages(m *process.Map) []exactly.Stage {
	n := p.Names
	turnstiles := event.NewDecoder(p.registry)
	owner := process.TurnstilesOwner(n)
	return []exactly.Stage{
		{
			Name: event.StageStations, Topics: []string{n.Stations(), n.StationLines()}, Compacted: []string{n.Stations(), n.StationLines()}, CoPartitioned: true,
			Changelog: n.Changelog(event.StageStations),
			New:       func(exactly.Task) exactly.Reducer { return adapt(process.NewStations(n)) },
		},
		{
			Name: event.StageTurnstiles, Topics: []string{n.TurnstilesPattern()}, Regex: true,
			Changelog: n.Changelog(event.StageTurnstiles),
			ChangelogPartition: func(t exactly.Task) int32 {
				if station, ok := n.StationOf(t.Topic); ok {
					return event.StationPartition(station)
				}
				return t.Partition
			},
			Owner: func(key []byte, _ int32) exactly.Task {
				topic, partition := owner(key)
				return exactly.Task{Topic: topic, Partition: partition}
			},
			New: func(t exactly.Task) exactly.Reducer {
				return adapt(process.NewTurnstiles(turnstiles, p.enc, n, t.Topic))
			},
		},
		p.linesStage(m),
	}
}

// linesStage is one task a partition of the arrivals by line. With a topic per
// station it is a single one that reads all of them and the clock, whose order
// among each other is that in which they come.
func (p *platform) linesStage(m *process.Map) exactly.Stage {
	n, dec := p.Names, event.NewDecoder(p.registry)
	s := exactly.Stage{Name: event.StageLines, Changelog: n.LinesChangelog()}
	if n.Layout == event.Shared {
		s.Topics = []string{n.ByLine()}
		s.New = func(t exactly.Task) exactly.Reducer {
			return adapt(process.NewLines(dec, p.enc, n, m, t.Partition))
		}
		return s
	}
	s.Topics, s.Regex, s.CoPartitioned = []string{n.ArrivalsPattern(), "^" + regexp.QuoteMeta(n.Clock()) + "$"}, true, true
	s.Compacted = []string{n.Clock()}
	s.New = func(exactly.Task) exactly.Reducer { return adapt(process.NewRail(dec, p.enc, n, m)) }
	return s
}

// reducer is exactly.Reducer as package process has it, which knows of no
// client library and so not of package exactly.
type reducer interface {
	Restore(key, value []byte) error
	Process(r *event.Record, out process.Output) error
	Flush(out process.Output) error
	Commit()
	Rewind()
}

// adapted turns one interface of outputs into the other, which has the same methods.
type adapted struct{ reducer }

func adapt(r reducer) exactly.Reducer { return adapted{r} }

// Process brings a record again later when the registry was away: no fault of the record's.
func (a adapted) Process(r *event.Record, out exactly.Output) error {
	err := a.reducer.Process(r, out)
	if errors.Is(err, registry.ErrAway) {
		return fmt.Errorf("%w: %w", exactly.ErrTransient, err)
	}
	return err
}

func (a adapted) Flush(out exactly.Output) error { return a.reducer.Flush(out) }

// run runs all stages until ctx ends or one of them fails.
func (p *processor) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, s := range p.stages {
		g.Go(func() error {
			if err := s.Run(ctx); err != nil {
				return fmt.Errorf("stage %s: %w", s.name, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// behind is the age of the last record processed, the most of all stages that
// lag; without bound before a stage has caught up for the first time.
func (p *processor) behind() time.Duration {
	var most time.Duration
	for _, s := range p.stages {
		st := s.Stats()
		if !st.CaughtUp {
			return math.MaxInt64
		}
		most = max(most, st.Behind)
	}
	return most
}
