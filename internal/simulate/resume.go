package simulate

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/event"
	"ell/internal/kafka"
	"ell/internal/sim"
)

const (
	snapshotKey = "snapshot"
	prefixBytes = 8 // before a snapshot: the offset of the next command
)

// resume builds the city as the log has it: the last snapshot, and from there
// in silence to the checkpoint. Without a checkpoint it builds a new city.
func (s *Simulator) resume(ctx context.Context, cl *kgo.Client) (*life, error) {
	s.batch.reset()
	l := &life{cl: cl}
	clock, err := s.checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	if clock == nil {
		if err := s.found(l); err != nil {
			return nil, err
		}
	} else {
		l.clock = *clock
		if err := s.restore(ctx, l); err != nil {
			return nil, err
		}
		if s.cfg.SpeedSet {
			l.clock.Speed, l.clock.Paused = s.cfg.Speed, false
		}
	}
	s.weather = sim.NewWeather(l.clock.Seed, l.clock.Start)
	s.cfg.WeatherAfter = max(s.cfg.WeatherAfter, l.clock.WeatherSent, l.clock.Start-1)
	l.anchor(time.Now())
	return l, nil
}

// found begins a new city.
func (s *Simulator) found(l *life) error {
	o := s.cfg.City
	city, err := sim.New(s.cfg.Network, o)
	if err != nil {
		return err
	}
	l.city, l.fresh = city, true
	l.clock = event.Clock{CityTime: o.Start, Speed: s.cfg.Speed, Seed: o.Seed, Start: o.Start, Incidents: o.Incidents}
	// What stands at the city's first moment is its first batch.
	city.Advance(o.Start, &s.batch)
	return nil
}

// checkpoint reads the last committed clock; nil if there is none.
func (s *Simulator) checkpoint(ctx context.Context) (*event.Clock, error) {
	table, err := kafka.ReadTable(ctx, s.cfg.Kafka, s.cfg.Names.Clock(), 0)
	if err != nil {
		return nil, err
	}
	rec, ok := table[string(s.cfg.Encoder.AppendClockKey(nil))]
	if !ok {
		return nil, nil //nolint:nilnil // a new city has none
	}
	var clock event.Clock
	if err := event.NewDecoder(s.cfg.Resolver).Clock(&rec, &clock); err != nil {
		return nil, fmt.Errorf("read the city's checkpoint on %s: %w", s.cfg.Names.Clock(), err)
	}
	return &clock, nil
}

func (s *Simulator) restore(ctx context.Context, l *life) error {
	topic := s.cfg.Names.Changelog(event.StageCity)
	table, err := kafka.ReadTable(ctx, s.cfg.Kafka, topic, 0)
	if err != nil {
		return err
	}
	snapshot := table[snapshotKey].Value
	if len(snapshot) < prefixBytes {
		return fmt.Errorf("%s holds no snapshot of the city that %s tells of: the log is not whole; begin a new city in another data folder or under another prefix: %w",
			topic, s.cfg.Names.Clock(), errNotWhole)
	}
	l.commands = int64(binary.BigEndian.Uint64(snapshot)) //nolint:gosec // written from an int64
	l.city, err = sim.Restore(s.cfg.Network, snapshot[prefixBytes:])
	if err != nil {
		return fmt.Errorf("restore the city from %s: %w", topic, err)
	}
	l.snapshot = l.city.Now()
	if l.city.Now() > l.clock.CityTime {
		return fmt.Errorf("the city's snapshot is of %d, after its checkpoint %d: %w", l.city.Now(), l.clock.CityTime, errNotWhole)
	}
	l.city.Advance(l.clock.CityTime, discard{})
	return nil
}

// errNotWhole says that the log lacks what the city's checkpoint needs.
var errNotWhole = errors.New("checkpoint and snapshot do not agree")
