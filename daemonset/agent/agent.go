package agent

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/pods"
	"github.com/podreload/podreload/daemonset/source"
	"github.com/podreload/podreload/daemonset/state"
	"github.com/podreload/podreload/daemonset/template"
)

// Containers tells which containers run: the whole set, now and at every
// change, never concurrently, until ctx ends.
type Containers interface {
	Watch(ctx context.Context, notify func(pods.Update)) error
}

// Agent keeps every chosen container of the node as its profile says.
type Agent struct {
	Containers Containers
	Source     *source.Client
	Profiles   []*template.Profile
	Applier    *Applier
	Resync     time.Duration // how often files inside are compared though nothing changed
	Log        logrus.FieldLogger

	group   sync.WaitGroup
	feeds   map[string]*runningFeed // by profile
	workers map[string]*worker      // by container id
}

type runningFeed struct {
	*feed
	cancel context.CancelFunc
}

// Run works until ctx ends, then waits for its goroutines.
func (a *Agent) Run(ctx context.Context) error {
	a.feeds, a.workers = map[string]*runningFeed{}, map[string]*worker{}
	sets := make(chan pods.Update, 1)
	var watch errgroup.Group
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watch.Go(func() error {
		defer cancel()
		return a.Containers.Watch(ctx, func(u pods.Update) {
			if u.Err != nil {
				a.Log.WithError(u.Err).Warn("the containers of this node may not be all known; the known ones are kept up to date")
			}
			if !errors.Is(u.Err, pods.ErrAway) { // else it is what was known before
				replace(sets, u)
			}
		})
	})
	a.reconcile(ctx, sets)
	for _, w := range a.workers {
		a.end(w)
	}
	err := watch.Wait()
	a.group.Wait()
	return err
}

// replace puts v in the place of what a slow reader has not taken yet. There
// is one sender.
func replace[T any](c chan T, v T) {
	select {
	case <-c:
	default:
	}
	c <- v
}

// reconcile makes the workers follow the containers. Choices that could not be
// made because a server is not there yet are tried again, ever more slowly.
func (a *Agent) reconcile(ctx context.Context, sets <-chan pods.Update) {
	var (
		node     pods.Update
		swept    bool
		again    = time.NewTimer(time.Hour)
		failures int
		said     = map[string]string{}
	)
	defer again.Stop()
	again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case node = <-sets:
			failures, swept = 0, false
		case <-again.C:
		}
		targets := Choose(node.Containers, a.Profiles, Running(ctx))
		a.follow(ctx, targets)
		a.sayUndecided(targets, said)
		// What could not be read may run: its record is not for the broom.
		if !swept && node.Err == nil {
			swept = a.sweep(node.Containers)
		}
		waiting := slices.ContainsFunc(targets, func(t daemonset.Target) bool { return t.State == daemonset.Waiting })
		if waiting || !swept && node.Err == nil {
			failures++
			again.Reset(backoff(failures, 50*time.Millisecond, 5*time.Second))
		}
	}
}

// follow starts, ends and replaces workers until they are those of targets.
func (a *Agent) follow(ctx context.Context, targets []daemonset.Target) {
	wanted := map[string]daemonset.Target{}
	for _, t := range targets {
		if t.State == "" {
			wanted[t.Container.ID] = t
		}
	}
	for id, w := range a.workers {
		t := wanted[id]
		if t.Profile == w.target.Profile && t.Container.Pid == w.target.Container.Pid {
			continue
		}
		a.end(w)
	}
	for id, t := range wanted {
		if a.workers[id] == nil {
			a.start(ctx, t)
		}
	}
}

func (a *Agent) start(ctx context.Context, t daemonset.Target) {
	i := slices.IndexFunc(a.Profiles, func(p *template.Profile) bool { return p.Name == t.Profile })
	if i < 0 {
		return // Choose names known profiles only
	}
	f := a.feeds[t.Profile]
	if f == nil {
		p := a.Profiles[i]
		feedCtx, cancel := context.WithCancel(ctx)
		f = &runningFeed{feed: newFeed(p, a.Source.Subscribe(p.Keys())), cancel: cancel}
		a.feeds[t.Profile] = f
		a.group.Go(func() { f.run(feedCtx) })
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &worker{
		target: t, feed: f.feed, applier: a.Applier, resync: a.Resync,
		poke: make(chan struct{}, 1), cancel: cancel,
		log: a.Log.WithFields(logrus.Fields{
			"target": daemonset.ShortID(t.Container.ID), "container": t.Container.Name,
			"pod": t.Container.Pod.Namespace + "/" + t.Container.Pod.Name, "profile": t.Profile,
		}),
	}
	a.workers[t.Container.ID] = w
	f.add(w)
	a.group.Go(func() { w.run(ctx) })
}

// end stops a worker, and its feed with the last of its workers. It does not
// wait for a worker that is stuck: the lock of its container keeps a successor
// from applying beside it.
func (a *Agent) end(w *worker) {
	w.cancel()
	delete(a.workers, w.target.Container.ID)
	f := a.feeds[w.target.Profile]
	if f.remove(w) {
		f.cancel()
		f.sub.Close()
		delete(a.feeds, w.target.Profile)
	}
}

// sweep drops the records of containers that have gone, also those that went
// while no agent ran; ids are never reused. It answers false while an apply to
// one of them is still under way.
func (a *Agent) sweep(containers []daemonset.Container) (done bool) {
	records, err := a.Applier.Store.List()
	if err != nil {
		a.Log.WithError(err).Warn("cannot read all records of targets; those of containers that are gone may stay")
	}
	done = true
	for _, r := range records {
		if slices.ContainsFunc(containers, func(c daemonset.Container) bool { return c.ID == r.ContainerID }) {
			continue
		}
		switch err := a.Applier.Store.Remove(r.ContainerID); {
		case errors.Is(err, state.ErrLocked):
			done = false
		case err != nil:
			a.Log.WithError(err).WithField("target", daemonset.ShortID(r.ContainerID)).Warn("the record of a container that is gone stays")
		}
	}
	return done
}

// sayUndecided logs what could not be chosen, once as long as it stays so.
func (a *Agent) sayUndecided(targets []daemonset.Target, said map[string]string) {
	now := map[string]string{}
	for _, t := range targets {
		if t.State == "" {
			continue
		}
		key := t.Container.Pod.SandboxID + t.Profile
		now[key] = t.Reason
		if said[key] != t.Reason {
			a.Log.WithFields(logrus.Fields{
				"pod": t.Container.Pod.Namespace + "/" + t.Container.Pod.Name, "profile": t.Profile, "state": t.State,
			}).Warn(t.Reason)
		}
	}
	clear(said)
	for k, v := range now {
		said[k] = v
	}
}
