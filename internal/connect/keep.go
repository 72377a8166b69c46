package connect

import (
	"context"
	"errors"
	"net/http"
	"time"

	"ell/internal/kafka"
)

// Keep says what Client.Keep watches over.
type Keep struct {
	Name   string
	Config map[string]string
	Every  time.Duration // between looks; 0: 5 s
	// Report, if set, is told the status after each look; err is why there is none.
	Report func(s Status, err error)
}

const (
	defaultLook = 5 * time.Second
	// A task that fails again and again is restarted less and less often, at
	// most every restartMost: each restart reads the database.
	restartFirst = 5 * time.Second
	restartMost  = 5 * time.Minute
)

// Keep configures the connector and watches over it until ctx ends (then it
// returns nil): a cluster that is away or rebalancing is waited for, failed
// tasks (which Connect itself leaves failed) are restarted with backoff, and a
// configuration that somebody removed or changed is put back. It returns an
// error if the cluster refuses the configuration.
func (c *Client) Keep(ctx context.Context, k Keep) error {
	every := k.Every
	if every <= 0 {
		every = defaultLook
	}
	r := restarts{wait: restartFirst}
	for attempt := 0; ctx.Err() == nil; {
		status, err := c.look(ctx, k, &r)
		if ctx.Err() != nil {
			break
		}
		if k.Report != nil {
			k.Report(status, err)
		}
		wait := every
		if err != nil {
			if refused(err) {
				return err
			}
			c.log.Warn("kafka connect will be asked again", "connector", k.Name, "err", err)
			wait = max(every, kafka.Backoff(attempt))
			attempt++
		} else {
			attempt = 0
		}
		if kafka.Sleep(ctx, wait) != nil {
			break
		}
	}
	return nil
}

// look puts the configuration right, asks for the status and restarts what failed.
func (c *Client) look(ctx context.Context, k Keep, r *restarts) (Status, error) {
	changed, err := c.Put(ctx, k.Name, k.Config)
	if err != nil {
		return Status{}, err
	}
	if changed {
		c.log.Info("connector configured", "connector", k.Name)
	}
	status, err := c.Status(ctx, k.Name)
	var no *Error
	if errors.As(err, &no) && no.Status == http.StatusNotFound {
		return Status{Name: k.Name}, nil // configured, but no worker has taken it yet
	}
	if err != nil {
		return status, err
	}
	if status.Failure() == "" {
		if status.Running() {
			r.healthy(time.Now())
		}
		return status, nil
	}
	if !r.due(time.Now()) {
		return status, nil
	}
	c.log.Warn("connector failed and is restarted", "connector", k.Name, "reason", status.Failure(), "next_restart_after", r.wait)
	return status, c.Restart(ctx, k.Name)
}

// refused reports whether err says that the configuration itself is wrong:
// repeating it would not help.
func refused(err error) bool {
	var no *Error
	if !errors.As(err, &no) {
		return false
	}
	switch no.Status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusUnprocessableEntity:
		return true
	}
	return false
}

// restarts spaces restarts out.
type restarts struct {
	last  time.Time
	wait  time.Duration
	since time.Time // healthy since; zero: not
}

// due reports whether to restart now, and if so doubles the next wait.
func (r *restarts) due(now time.Time) bool {
	r.since = time.Time{}
	if !r.last.IsZero() && now.Sub(r.last) < r.wait {
		return false
	}
	if !r.last.IsZero() {
		r.wait = min(restartMost, 2*r.wait)
	}
	r.last = now
	return true
}

// healthy forgets earlier failures once all has run for as long as the wait.
func (r *restarts) healthy(now time.Time) {
	if r.since.IsZero() {
		r.since = now
	}
	if now.Sub(r.since) >= r.wait {
		r.wait, r.last = restartFirst, time.Time{}
	}
}
