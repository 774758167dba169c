package agent

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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

// Profiles tells what conf.d says, whenever it has changed, never concurrently, until
// ctx ends. Profiles that are as they were are the same pointers.
type Profiles interface {
	Watch(ctx context.Context, known *template.Config, notify func(template.Update)) error
}

// Agent keeps every chosen container of the node as its profile says.
type Agent struct {
	Containers Containers
	Source     *source.Client
	Config     *template.Config // what conf.d said at the start
	Profiles   Profiles         // what it says later
	Starts     Starts           // which containers are about to start; nil: they get their files once they run
	Applier    *Applier
	Resync     time.Duration // how often files inside are compared though nothing changed
	Log        logrus.FieldLogger
	Observer   Observer // nil: nobody watches

	sight sight
	calls calls

	group   sync.WaitGroup
	feeds   map[feedKey]*runningFeed
	workers map[string]*worker // by container id
	keeper  *keeper

	ready atomic.Pointer[ready]
	begun begun
}

// Run works until ctx ends, then waits for its goroutines.
func (a *Agent) Run(ctx context.Context) error {
	a.feeds, a.workers = map[feedKey]*runningFeed{}, map[string]*worker{}
	a.keeper = newKeeper(a.Applier.Store, a.Log)
	a.keeper.know(a.Config.Profiles)
	a.publish(nil)
	a.begin()
	defer a.tell(daemonset.Event{Kind: daemonset.Daemon, Reason: "podreload ends"})
	sets, configs := make(chan pods.Update, 1), make(chan template.Update, 1)
	watch, ctx := errgroup.WithContext(ctx)
	watch.Go(func() error {
		return a.Containers.Watch(ctx, func(u pods.Update) {
			if u.Err != nil {
				a.Log.WithError(u.Err).Warn("the containers of this node may not be all known; the known ones are kept up to date")
			}
			if errors.Is(u.Err, pods.ErrAway) {
				a.runtime(u.Err.Error())
				return // it is what was known before
			}
			a.runtime("")
			replace(sets, u)
		})
	})
	watch.Go(func() error {
		return a.Profiles.Watch(ctx, a.Config, func(u template.Update) {
			if u.Err != nil {
				a.Log.WithError(u.Err).Warn("conf.d is not followed; what was read of it before holds")
				a.tell(daemonset.Event{Kind: daemonset.Config, State: daemonset.Invalid, Reason: "conf.d is not followed: " + u.Err.Error()})
			}
			if u.Config != nil {
				replace(configs, u)
			}
		})
	})
	if a.Starts != nil {
		watch.Go(func() error { return a.Starts.Watch(ctx, a.starting, a.sayStarts) })
	}
	keeping, endKeeper := context.WithCancel(context.WithoutCancel(ctx))
	defer endKeeper()
	var kept sync.WaitGroup
	kept.Go(func() { a.keeper.run(keeping) })
	a.reconcile(ctx, sets, configs)
	for _, w := range a.workers {
		a.end(w)
	}
	a.closeIdle(nil)
	err := watch.Wait()
	a.group.Wait()
	endKeeper() // after the last who has something to keep
	kept.Wait()
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

// reconcile makes the workers follow the containers and the profiles. Choices that could
// not be made because a server is not there yet are tried again, ever more slowly.
func (a *Agent) reconcile(ctx context.Context, sets <-chan pods.Update, configs <-chan template.Update) {
	var (
		node     pods.Update
		listed   bool
		swept    bool
		left     bool // what profiles that have gone left is seen to
		again    = time.NewTimer(time.Hour)
		idle     = time.NewTicker(time.Minute)
		failures int
		said     = map[string]string{}
	)
	defer idle.Stop()
	defer again.Stop()
	again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case node = <-sets:
			listed, failures, swept = true, 0, false
		case u := <-configs:
			a.reconfigure(u.Config)
			failures, left = 0, false
		case <-again.C:
		case <-idle.C:
		case <-a.reach().ping:
			continue
		case <-a.reach().wake:
			for _, w := range a.workers {
				w.wake()
			}
			continue
		}
		a.closeIdle(a.Config)
		if !listed {
			continue
		}
		targets := Choose(node.Containers, a.Config.Profiles, Running(ctx, a.Applier.Store))
		a.follow(ctx, targets, node.Containers)
		if a.begun.done(node.Containers) {
			swept = false
		}
		a.publish(node.Containers)
		if !left { // what is hidden now is seen to when it shows
			left = a.leave(ctx, targets, node.Containers) && node.Err == nil && len(node.Paused) == 0
		}
		a.show(listed, targets)
		a.sayUndecided(targets, said)
		// What could not be read may run: its record is not for the broom.
		if !swept {
			swept = a.sweep(node)
		}
		waiting := slices.ContainsFunc(targets, func(t daemonset.Target) bool { return t.State == daemonset.Waiting })
		if waiting || !swept {
			failures++
			again.Reset(backoff(failures, 50*time.Millisecond, 5*time.Second))
		}
	}
}

// reconfigure takes another configuration, and says what is new and what is wrong with it.
func (a *Agent) reconfigure(config *template.Config) {
	for _, p := range config.Problems {
		switch {
		case slices.Contains(a.Config.Problems, p):
		case p.Warning:
			a.Log.Warn(p)
		default:
			a.Log.Error(p)
		}
	}
	var changed, removed []string
	for _, p := range config.Profiles {
		if old, ok := a.Config.Profile(p.Name); !ok || old != p {
			changed = append(changed, p.Name)
		}
	}
	for _, p := range a.Config.Profiles {
		if _, ok := config.Profile(p.Name); !ok {
			removed = append(removed, p.Name)
		}
	}
	if len(changed)+len(removed) > 0 {
		a.Log.WithFields(logrus.Fields{"changed": strings.Join(changed, ","), "removed": strings.Join(removed, ",")}).Info("conf.d has changed")
		a.tell(daemonset.Event{Kind: daemonset.Config, Reason: "conf.d has changed; profiles changed: " + list(changed) + ", removed: " + list(removed)})
	}
	a.Config = config
	a.keeper.know(config.Profiles)
}

// list is names for people.
func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, " ")
}

// sweep drops the records of containers that have gone, also those that went
// while no agent ran; ids are never reused. One that is frozen has not gone. It answers
// false while an apply to one of them is still under way.
func (a *Agent) sweep(node pods.Update) (done bool) {
	ids, err := a.Applier.Store.IDs()
	if err != nil {
		a.Log.WithError(err).Warn("cannot list the records of targets; those of containers that are gone may stay")
	}
	done = true
	for _, id := range ids {
		if slices.ContainsFunc(node.Containers, func(c daemonset.Container) bool { return c.ID == id }) || slices.Contains(node.Paused, id) || slices.Contains(node.Unread, id) || a.begun.has(id) {
			continue
		}
		switch err := a.Applier.Store.Remove(id); {
		case errors.Is(err, state.ErrLocked):
			done = false
		case err != nil:
			a.Log.WithError(err).WithField("target", daemonset.ShortID(id)).Warn("the record of a container that is gone stays")
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
			a.Log.WithFields(Fields(t)).WithField("state", t.State).Warn(t.Reason)
			a.tell(daemonset.Event{Kind: daemonset.Turn, State: t.State, Reason: t.Reason}.About(newStatus(t)))
		}
	}
	clear(said)
	for k, v := range now {
		said[k] = v
	}
}
