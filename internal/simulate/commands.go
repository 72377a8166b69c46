package simulate

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/event"
	"ell/internal/kafka"
)

// commandAt is a command and its place in the topic.
type commandAt struct {
	event.Command
	offset int64
}

// commands reads the command topic in the background.
type commands struct {
	c      chan commandAt
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// follow reads commands from offset on.
func (s *Simulator) follow(ctx context.Context, offset int64) (*commands, error) {
	topic := s.cfg.Names.Commands()
	cl, err := s.cfg.Kafka.New(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().At(offset)}}),
		// Retention may have removed what the offset points at; what was missed then is too old to obey.
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	c := &commands{c: make(chan commandAt), cancel: cancel} // unbuffered: a command is obeyed in order, one at a time
	dec := event.NewDecoder(s.cfg.Resolver)
	c.done.Go(func() {
		defer cl.Close()
		defer close(c.c)
		for {
			fetches := cl.PollFetches(ctx)
			if ctx.Err() != nil {
				return
			}
			fetches.EachError(func(_ string, _ int32, err error) {
				s.cfg.Log.Warn("commands cannot be read", "topic", topic, "err", err)
			})
			if len(fetches.Errors()) > 0 {
				select {
				case <-ctx.Done():
				case <-time.After(time.Second):
				}
			}
			var rec event.Record
			fetches.EachRecord(func(r *kgo.Record) {
				kafka.FromKgo(r, &rec)
				next := commandAt{offset: r.Offset}
				if err := dec.Command(&rec, &next.Command); err != nil {
					s.cfg.Log.Warn("command is not one", "topic", topic, "offset", r.Offset, "err", err)
					return
				}
				select {
				case c.c <- next:
				case <-ctx.Done():
				}
			})
		}
	})
	return c, nil
}

func (c *commands) close() {
	c.cancel()
	c.done.Wait()
}

// obey lets a command take effect. What is out of bounds is left out and said.
func (s *Simulator) obey(l *life, c commandAt) {
	now := time.Now()
	// The city first comes to the moment of the command at its old speed.
	if until := s.reach(l, now); until > l.city.Now() {
		l.city.Advance(until, &s.batch)
		l.clock.CityTime = until
	}
	l.commands = c.offset + 1
	if v := c.Speed; v != nil {
		if *v >= event.MinSpeed && *v <= event.MaxSpeed {
			l.clock.Speed = *v
		} else {
			s.cfg.Log.Warn("command has a speed out of bounds", "speed", *v)
		}
	}
	if c.Paused != nil {
		l.clock.Paused = *c.Paused
	}
	if c.Incident != nil {
		if err := l.city.Inject(*c.Incident); err != nil {
			s.cfg.Log.Warn("command has an incident that cannot be", "err", err)
		}
	}
	l.anchor(now)
}
