package agent

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/template"
)

// feedKey names a feed: pods with the same keys in the same profile share one. A profile
// that was read anew is another.
type feedKey struct {
	profile *template.Profile
	bound   string
}

// compareKeys orders feeds for those who look at them.
func compareKeys(a, b feedKey) int {
	return cmp.Or(strings.Compare(a.profile.Name, b.profile.Name), strings.Compare(a.bound, b.bound))
}

type runningFeed struct {
	*feed
	cancel context.CancelFunc
	idle   time.Time // since when nobody applies from it; zero: somebody does
}

// What nobody applies from is followed for a while where containers get their files before
// they start: a container that starts again after its end must find them there.
const (
	maxIdle  = 10 * time.Minute // as long as it is known what is good
	maxFeeds = 64               // of them
)

// closeIdle ends the feeds that nobody will want, by what the configuration is now. Nil: all of
// those that nobody applies from.
func (a *Agent) closeIdle(config *template.Config) {
	var idle []*runningFeed
	for _, f := range a.feeds {
		if f.idle.IsZero() {
			continue
		}
		current := false
		if config != nil {
			p, ok := config.Profile(f.key.profile.Name)
			current = ok && p == f.key.profile && time.Since(f.idle) < maxIdle
		}
		if current {
			idle = append(idle, f)
		} else {
			a.closeFeed(f)
		}
	}
	slices.SortFunc(idle, func(a, b *runningFeed) int { return b.idle.Compare(a.idle) })
	for _, f := range idle[min(maxFeeds, len(idle)):] {
		a.closeFeed(f)
	}
}

func (a *Agent) closeFeed(f *runningFeed) {
	f.cancel()
	f.sub.Close()
	a.keeper.use(f.bound, -1)
	delete(a.feeds, f.key)
}

// publish shows first starts what is known now.
func (a *Agent) publish(containers []daemonset.Container) {
	if a.Starts == nil {
		return
	}
	r := &ready{config: a.Config, containers: containers, feeds: make(map[feedKey]*feed, len(a.feeds))}
	for key, f := range a.feeds {
		r.feeds[key] = f.feed
	}
	a.ready.Store(r)
}

// follow starts, ends and replaces workers until they are those of targets.
func (a *Agent) follow(ctx context.Context, targets []daemonset.Target, containers []daemonset.Container) {
	wanted := map[string]daemonset.Target{}
	for _, t := range targets {
		if t.State == "" {
			wanted[t.Container.ID] = t
		}
	}
	var ended []*worker
	for id, w := range a.workers {
		t, ok := wanted[id]
		runs := slices.ContainsFunc(containers, func(c daemonset.Container) bool { return c.ID == id && c.SameInit(w.job.Target.Container) })
		profile, known := a.Config.Profile(w.job.Target.Profile)
		switch {
		case ok && runs && !w.job.Retire && w.job.Target.Profile == t.Profile && profile == w.job.profile():
			continue
		case !ok && runs && w.job.Retire:
			continue
		case !ok && runs && a.Config.Unread != nil && !known:
			continue // it may be in what could not be read, which is said
		}
		delete(a.workers, id)
		ended = append(ended, w)
	}
	// These come before the others go: what both read from etcd is not read again.
	for id, t := range wanted {
		if a.workers[id] == nil {
			a.start(ctx, t)
		}
	}
	for _, w := range ended {
		a.end(w)
	}
}

func (a *Agent) start(ctx context.Context, t daemonset.Target) {
	profile, ok := a.Config.Profile(t.Profile)
	if !ok {
		return // Choose names known profiles only
	}
	job, err := NewJob(t, profile)
	if err != nil {
		return // nor such as have errors
	}
	key := feedKey{profile, job.Bound.ID()}
	f := a.feeds[key]
	if f == nil {
		feedCtx, cancel := context.WithCancel(ctx)
		kept := a.Applier.earlier(job.Bound)
		f = &runningFeed{feed: newFeed(key, a.Source.Resume(job.Bound.Keys(), kept.begin), job.Bound, a.keeper, a.etcd), cancel: cancel}
		f.offer.earlier = kept
		f.share = share(t.Container.Pod.Node, profile.Name, profile.Splay)
		a.feeds[key] = f
		a.group.Go(func() { f.run(feedCtx) })
	}
	f.idle = time.Time{}
	a.run(ctx, &worker{job: job, feed: f.feed})
}

// Fields name a target in the log, the same wherever it is spoken of.
func Fields(t daemonset.Target) logrus.Fields {
	c := t.Container
	return logrus.Fields{"target": daemonset.ShortID(c.ID), "container": c.Name, "pod": c.Pod.Namespace + "/" + c.Pod.Name, "profile": t.Profile}
}

func (a *Agent) run(ctx context.Context, w *worker) {
	c := w.job.Target.Container
	ctx, w.cancel = context.WithCancel(ctx)
	w.applier, w.resync, w.poke, w.tell = a.Applier, a.Resync, make(chan struct{}, 1), a.tell
	w.stand.Status = newStatus(w.job.Target)
	w.stand.State, w.stand.Reason = daemonset.Waiting, "its first apply is under way"
	w.log = a.Log.WithFields(Fields(w.job.Target))
	a.workers[c.ID] = w
	if w.feed != nil {
		w.feed.add(w)
	}
	a.group.Go(func() { w.run(ctx) })
}

// end stops a worker. With the last of its workers a feed ends, or is idle. It does not
// wait for a worker that is stuck: the lock of its container keeps a successor
// from applying beside it.
func (a *Agent) end(w *worker) {
	w.cancel()
	if id := w.job.Target.Container.ID; a.workers[id] == w {
		delete(a.workers, id)
	}
	if w.feed == nil || !w.feed.remove(w) {
		return
	}
	f := a.feeds[w.feed.key]
	if a.Starts != nil {
		f.idle = time.Now()
		return
	}
	a.closeFeed(f)
}
