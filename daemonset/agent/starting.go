package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/pods"
	"github.com/podreload/podreload/daemonset/template"
)

// Starts tells of containers that are about to start, from several goroutines, until ctx
// ends, and says how it can: see [pods.Starts].
type Starts interface {
	Watch(ctx context.Context, starting func(context.Context, daemonset.Container), say func(error)) error
}

// ready is what first starts work from: what the reconcile loop knew last. It is never
// changed, since who reads it is not that loop.
type ready struct {
	config     *template.Config
	containers []daemonset.Container
	feeds      map[feedKey]*feed
}

// startGrace is how long a container may take from being made to being seen to run, before its
// record is taken for one of a container that has gone.
const startGrace = time.Minute

// begun are containers that were seen to before they ran, by id.
type begun struct {
	mu sync.Mutex
	at map[string]time.Time
}

func (b *begun) add(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.at == nil {
		b.at = map[string]time.Time{}
	}
	b.at[id] = time.Now()
}

// done forgets what runs by now, and what never came to it: then it answers true.
func (b *begun) done(running []daemonset.Container) (late bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range running {
		delete(b.at, c.ID)
	}
	for id, at := range b.at {
		if time.Since(at) > startGrace {
			delete(b.at, id)
			late = true
		}
	}
	return late
}

func (b *begun) has(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.at[id]
	return ok
}

// starting gives a container that is about to start what its profile wants, if that is known
// and good. It asks nobody but the container; ctx bounds it.
func (a *Agent) starting(ctx context.Context, c daemonset.Container) {
	r := a.ready.Load()
	t, ok := ChooseStarting(c, r.containers, r.config.Profiles)
	if !ok {
		return
	}
	at := time.Now()
	status, err := newStatus(t), error(nil)
	if t.State != "" {
		err = failed(t.State, errors.New(t.Reason))
	} else {
		a.begun.add(c.ID)
		status, err = a.startWith(ctx, r, t)
	}
	a.tellStart(c, status, time.Since(at), err)
}

func (a *Agent) startWith(ctx context.Context, r *ready, t daemonset.Target) (daemonset.Status, error) {
	profile, ok := r.config.Profile(t.Profile)
	if !ok {
		return newStatus(t), fmt.Errorf("profile %s has gone", t.Profile)
	}
	job, err := NewJob(t, profile)
	if err != nil {
		return newStatus(t), err
	}
	if f := r.feeds[feedKey{profile, job.Bound.ID()}]; f != nil {
		s := f.current()
		job.Snapshot, job.Away, job.Good, job.earlier, job.rendering = s.snapshot, s.away, s.best, s.earlier, s.rendering
	}
	return a.Applier.Start(ctx, job)
}

// tellStart says what became of it.
func (a *Agent) tellStart(c daemonset.Container, s daemonset.Status, took time.Duration, err error) {
	if errors.Is(err, errSeen) {
		return
	}
	e := daemonset.Event{Kind: daemonset.Start, State: s.State, Reason: s.Reason}.About(s)
	if err == nil {
		e.Revision, e.Digest = s.Revision, s.Digest
		for _, f := range s.Files {
			if f.Changed {
				e.Wrote = append(e.Wrote, f.Path)
			}
		}
	} else {
		e.State, e.Reason = StateOf(err), "it starts with what it has: "+err.Error()
	}
	log := a.Log.WithFields(Fields(daemonset.Target{Container: c, Profile: s.Profile})).
		WithFields(logrus.Fields{"revision": e.Revision, "took": took.Round(time.Microsecond)})
	if e.State == daemonset.Waiting {
		log.Info(e.Reason)
	} else {
		log.WithField("state", e.State).Warn(e.Reason)
	}
	a.tell(e)
}

// sayStarts logs whether containers get their files before they start.
func (a *Agent) sayStarts(err error) {
	switch {
	case err == nil:
		a.Log.Info("containers get their files before they start: containerd's NRI tells of them")
	case errors.Is(err, pods.ErrNoNRI):
		a.Log.WithError(err).Info("containers may start before they get their files: they are told of by events, as early as can be")
	default:
		a.Log.Warn(err)
	}
}
