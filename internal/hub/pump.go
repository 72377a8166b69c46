package hub

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"ell/internal/board"
	"ell/internal/event"
)

// gather is how long the first change after a pause waits for others of its
// kind: records of one transaction reach the board in several batches.
const gather = 3 * time.Millisecond

// framePeriod is the least time between two frames.
const framePeriod = 20 * time.Millisecond

// Pump moves what is on the log to the viewers: records into the board, and
// the board's frames into the hub.
type Pump struct {
	board *board.Board
	hub   *Hub
	log   *slog.Logger
	news  chan struct{} // capacity 1: something was applied
	ready chan struct{} // closed once the board has caught up
	once  sync.Once
}

// NewPump makes a pump. Nothing is published before Ready is called.
func NewPump(b *board.Board, h *Hub, log *slog.Logger) *Pump {
	return &Pump{board: b, hub: h, log: log, news: make(chan struct{}, 1), ready: make(chan struct{})}
}

// Batch folds records of the board's topics, which it does not keep, and is
// meant to be kafka.Follow's Batch. Records that cannot be read are logged and
// skipped; the error is always nil.
func (p *Pump) Batch(ctx context.Context, batch []event.Record) error {
	if err := p.board.ApplyAll(batch); err != nil {
		p.log.WarnContext(ctx, "record skipped", "err", err)
	}
	select {
	case p.news <- struct{}{}:
	default:
	}
	return nil
}

// Ready says that the board has folded what was on the log at the start, so
// that viewers may see it. It may be called more than once.
func (p *Pump) Ready() { p.once.Do(func() { close(p.ready) }) }

// CaughtUp says whether Ready was called.
func (p *Pump) CaughtUp() bool {
	select {
	case <-p.ready:
		return true
	default:
		return false
	}
}

// Run publishes frames until ctx ends, then returns nil.
func (p *Pump) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-p.ready:
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	var last time.Time
	armed := false // the timer stands for an urgent frame
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.news:
			if urgent, _ := p.board.Pending(); urgent && !armed {
				armed = true
				timer.Reset(max(gather, framePeriod-time.Since(last)))
			}
		case <-timer.C:
			last = time.Now()
			if f, ok := p.board.Frame(last.UnixMilli()); ok {
				if err := p.hub.Publish(f.Seq, f.Delta, f.Snapshot); err != nil {
					return err
				}
			}
			// What came while the frame was cut is urgent again.
			urgent, slowAt := p.board.Pending()
			if armed = urgent; armed {
				timer.Reset(framePeriod)
			} else {
				timer.Reset(max(time.UnixMilli(slowAt).Sub(last), gather))
			}
		}
	}
}
