package agent

import (
	"fmt"
	"time"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/state"
	"github.com/podreload/podreload/daemonset/verify"
	"github.com/podreload/podreload/nsenter"
)

// perWorker is how many generations of old workers may drain at once unless the
// profile says otherwise: of each worker that serves as many old ones.
const perWorker = 16

// hold puts off a reload that comes too soon. What goes back is never put off.
func hold(job Job, c *crossing, rec *state.Record) error {
	if err := tooSoon(job, rec, time.Now()); err != nil {
		return err
	}
	return draining(job, c)
}

// tooSoon puts off the reload that follows another within the profile's
// min_reload_interval. It comes at its end: the last change is never lost.
func tooSoon(job Job, rec *state.Record, now time.Time) error {
	interval := job.profile().MinReloadInterval
	at := rec.Told.Add(interval)
	if interval == 0 || rec.Told.IsZero() || rec.Owed || !now.Before(at) || now.Before(rec.Told) { // the last: the clock was set back
		return nil
	}
	return &laterError{at: at, error: failed(daemonset.Waiting, fmt.Errorf("the last reload was at %s; the next is held back until %s (min_reload_interval %v)",
		rec.Told.Format(time.TimeOnly), at.Format(time.TimeOnly), interval))}
}

// laterError is an error that passes at a time that is known.
type laterError struct {
	at time.Time
	error
}

func (e *laterError) Unwrap() error { return e.error }

// draining puts off a reload that would add to too many old workers which still
// finish their requests.
func draining(job Job, c *crossing) error {
	if c.server == nil || c.preset == nil {
		return nil
	}
	least := perWorker
	if job.profile().MaxDraining != nil {
		least = *job.profile().MaxDraining
	}
	// Who they are is only looked at where there are so many: else that would be a
	// good part of what a reload costs.
	if children, err := nsenter.Children(c.server.Pid()); err == nil && len(children) < least && c.server.Alive() == nil {
		return nil
	}
	serving, old, err := c.preset.Census(c.server)
	if err != nil {
		return failed(serverState(err), err)
	}
	limit := least
	if job.profile().MaxDraining == nil {
		limit = perWorker * max(1, serving)
	}
	// A proof looks at so many at most, with those that serve and replace each other.
	limit = max(1, min(limit, verify.MaxChildren-c.preset.Peak(serving)))
	if old < limit {
		return nil
	}
	return failed(daemonset.Waiting, fmt.Errorf("old workers that still finish their requests: %d; the next reload is held back until they are fewer than %d "+
		"(max_draining in [profile]); a timeout in the server, such as nginx's worker_shutdown_timeout, bounds how long they take", old, limit))
}
