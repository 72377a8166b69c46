package connect

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"ell/internal/kafka"
)

// Keep says what Client.Keep watches over.
type Keep struct {
	Name   string
	Config map[string]string
	Every  time.Duration // between looks; 0: 2 s
	// Check, if set, looks at the other end: Connect says RUNNING also of a task
	// that tries in vain to reach its database. An error says what is wrong there.
	Check func(context.Context) error
	// Report, if set, is told what each look found, unless it is too early to
	// say; nil: all runs.
	Report func(error)
}

const (
	defaultLook = 2 * time.Second
	// A task that fails again and again is restarted less and less often, at
	// most every restartMost. That also bounds how long the rows may stand still
	// once the cause has passed.
	restartFirst = 2 * time.Second
	restartMost  = 30 * time.Second
	// graceful is how long a connector may not run, without having failed, before
	// that is a fault: one that has just begun, or goes on after a cut, needs a moment.
	graceful = 5 * time.Second
	// stuckAfter is how long that may last before everything is restarted.
	stuckAfter = 30 * time.Second
	// sayNext is when another fault is logged after one, and sayAgain when one
	// that lasts is: a connector that is restarted goes through several.
	sayNext  = 10 * time.Second
	sayAgain = time.Minute
)

// Keep configures the connector and watches over it until ctx ends (then it
// returns nil): a cluster or database that is away is waited for, failed tasks
// (which Connect itself leaves failed) are restarted with backoff, and a
// configuration that somebody removed or changed is put back. It returns an
// error if the cluster refuses the configuration before it ever took it, for a
// reason that waiting does not mend.
func (c *Client) Keep(ctx context.Context, k Keep) error {
	if k.Every <= 0 {
		k.Every = defaultLook
	}
	w := watch{Client: c, Keep: k, restarts: restarts{wait: restartFirst}}
	for attempt := 0; ctx.Err() == nil; {
		err := w.look(ctx)
		if ctx.Err() != nil {
			break
		}
		if refused(err) && !w.taken {
			return err
		}
		if k.Report != nil && !errors.Is(err, errPending) {
			k.Report(err)
		}
		w.say(time.Now(), err)
		wait := k.Every
		var no *Error
		if err != nil && !w.taken || errors.As(err, &no) {
			wait = max(wait, kafka.Backoff(attempt))
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

// watch is one Keep under way.
type watch struct {
	*Client
	Keep
	restarts
	taken    bool      // the cluster has taken the configuration once
	bad      time.Time // it has not run since, though nothing failed; zero: it runs
	ran      bool      // it has run once
	said     string    // the fault that was logged last; "": none
	saidWhen time.Time
}

// failed is a connector or task that failed.
type failed struct{ Reason }

func (f failed) Error() string { return "the connector failed: " + f.String() }

// look puts the configuration right, asks for the status and restarts what failed.
func (w *watch) look(ctx context.Context) error {
	changed, err := w.Put(ctx, w.Name, w.Config)
	if err != nil {
		return err
	}
	w.taken = true
	if changed {
		w.log.Info("connector configured", "connector", w.Name)
	}
	now := time.Now()
	status, err := w.Status(ctx, w.Name)
	var no *Error
	switch {
	case errors.As(err, &no) && no.Status == http.StatusNotFound:
		return w.idle(ctx, now, errors.New("no worker has taken the connector yet"))
	case err != nil:
		return err
	}
	if reason, is := status.Failed(); is {
		return errors.Join(failed{reason}, w.restart(ctx, now, false))
	}
	if !status.Running() {
		return w.idle(ctx, now, fmt.Errorf("the connector is %s", status.doing()))
	}
	if w.Check != nil {
		if err := w.Check(ctx); err != nil {
			return w.idle(ctx, now, err)
		}
	}
	w.bad = time.Time{}
	w.healthy(now)
	return nil
}

// idle judges a connector that does not run though nothing failed: it returns
// errPending at first, then why, and restarts it when that lasts.
func (w *watch) idle(ctx context.Context, now time.Time, why error) error {
	if w.bad.IsZero() {
		w.bad = now
	}
	switch since := now.Sub(w.bad); {
	case since < graceful:
		return errPending
	case since < stuckAfter:
		return why
	}
	return errors.Join(why, w.restart(ctx, now, true))
}

// errPending says that it is too early to say anything.
var errPending = errors.New("the connector is about to run")

func (w *watch) restart(ctx context.Context, now time.Time, all bool) error {
	if !w.due(now) {
		return nil
	}
	w.log.Info("connector is restarted", "connector", w.Name, "next_restart_after", w.wait)
	return w.Restart(ctx, w.Name, all)
}

// say logs what is wrong when it changes and once a minute while it lasts.
func (w *watch) say(now time.Time, err error) {
	switch {
	case errors.Is(err, errPending):
	case err == nil && w.said != "":
		w.log.Warn("connector runs again", "connector", w.Name)
		w.said = ""
	case err == nil && !w.ran:
		w.log.Info("connector runs", "connector", w.Name)
		w.ran = true
	case err == nil:
	case w.said == "", err.Error() != w.said && now.Sub(w.saidWhen) >= sayNext, now.Sub(w.saidWhen) >= sayAgain:
		w.log.Warn("stations do not flow", "connector", w.Name, "why", err)
		w.said, w.saidWhen = err.Error(), now
	}
}

// refused reports whether err says that the configuration itself, or who we
// are, is wrong: repeating it would not help.
func refused(err error) bool {
	var no *Error
	if !errors.As(err, &no) {
		return false
	}
	switch no.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return true
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return !no.Reason.Waits
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
