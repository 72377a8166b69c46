package exactly

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Runner runs one stage as one member of its group.
type Runner struct {
	cfg Config
	log *slog.Logger

	stats    counters
	failures atomic.Int64 // in a row, without a commit
	aborts   atomic.Int64 // in a row, without a commit
	unknown  unknownSchemas
	pool     recordPool
	unsaid   int // dead letters not logged yet
	saidAt   time.Time
	parts    atomic.Pointer[[]*part] // what is owned, for Stats

	mu       sync.Mutex
	caughtUp chan struct{} // guarded by mu; closed while caught up
	isUp     bool          // guarded by mu
}

// New checks the configuration. It contacts nobody.
func New(cfg Config) (*Runner, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Runner{cfg: cfg, log: cfg.Logger.With("stage", cfg.Stage.Name), caughtUp: make(chan struct{})}, nil
}

// Run joins the group and works until ctx ends, then returns nil. It starts
// again from committed state by itself after errors that pass. It returns an
// error that wraps [ErrFenced], [ErrMisconfigured], [ErrStateLost] or [ErrGaveUp],
// or the error or panic of a reducer, when going on makes no sense. Run must
// not be called twice at a time.
func (r *Runner) Run(ctx context.Context) error {
	for {
		s, err := r.open()
		if err == nil {
			err = s.run(ctx)
		}
		r.setCaughtUp(false)
		if ctx.Err() != nil && err == nil {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("%w: the session ended without a reason", errFatal)
		}
		if end := r.cfg.verdict(err); end != nil {
			return fmt.Errorf("stage %s: %w", r.cfg.Stage.Name, end)
		}
		if ctx.Err() != nil {
			return nil
		}
		n := int(r.failures.Add(1))
		if r.cfg.MaxRestarts >= 0 && n > r.cfg.MaxRestarts {
			return fmt.Errorf("stage %s: %w: %d in a row, the last: %w", r.cfg.Stage.Name, ErrGaveUp, n, err)
		}
		r.stats.restarts.Add(1)
		r.log.Warn("starting again from committed state", "err", err, "attempt", n)
		sleep(ctx, backoff(n, 100*time.Millisecond, 5*time.Second))
	}
}

// CaughtUp waits until everything this instance owns is restored and has
// reached the end that it had when it came to this instance. It returns ctx's
// error if that ends first.
func (r *Runner) CaughtUp(ctx context.Context) error {
	r.mu.Lock()
	ch := r.caughtUp
	r.mu.Unlock()
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Runner) isCaughtUp() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.isUp
}

func (r *Runner) setCaughtUp(up bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case up && !r.isUp:
		close(r.caughtUp)
	case !up && r.isUp:
		r.caughtUp = make(chan struct{})
	}
	r.isUp = up
}

// publish tells Stats what is owned.
func (r *Runner) publish(parts []*part) {
	if parts == nil {
		r.parts.Store(nil)
		return
	}
	r.parts.Store(&parts)
}
