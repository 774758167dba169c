package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/source"
	"github.com/podreload/podreload/daemonset/template"
)

// Observer is told what happens. It is called from many goroutines and must not block.
type Observer interface {
	Event(daemonset.Event)
}

// tell is for events of the agent's own, whether or not somebody listens.
func (a *Agent) tell(e daemonset.Event) {
	if a.Observer == nil {
		return
	}
	e.Time, e.By = time.Now(), "daemon"
	a.Observer.Event(e)
}

// Phases are the parts of an apply whose time is taken.
var Phases = []string{"render", "check", "commit", "prove"}

// phase begins one; what it returns ends it.
func (a *Applier) phase(name string) func() {
	if a.Phase == nil {
		return func() {}
	}
	began := time.Now()
	return func() { a.Phase(name, time.Since(began)) }
}

// begin is when the agent begins to be seen.
func (a *Agent) begin() {
	a.sight.mu.Lock()
	a.sight.since, a.sight.config = time.Now(), a.Config
	a.sight.mu.Unlock()
	a.tell(daemonset.Event{Kind: daemonset.Daemon, Reason: "podreload runs"})
	a.sayWrong(nil, a.Config)
}

// sayWrong tells what is wrong with a configuration that takes the place of another, if that is news: whom a
// broken profile would have chosen by its select nobody can tell, so there may be no target to say it of.
func (a *Agent) sayWrong(before, now *template.Config) {
	was, is := wrong(before), wrong(now)
	switch {
	case is == was:
	case is == "":
		a.tell(daemonset.Event{Kind: daemonset.Config, State: daemonset.Live, Reason: "conf.d: nothing is wrong any more"})
	default:
		a.tell(daemonset.Event{Kind: daemonset.Config, State: daemonset.Invalid, Reason: "conf.d: " + is})
	}
}

// mostWrong is how many errors an event names.
const mostWrong = 5

func wrong(c *template.Config) string {
	if c == nil {
		return ""
	}
	all := c.Homeless()
	for _, p := range c.Profiles {
		if p.Err != nil {
			all = append(all, "profile "+p.Name+": "+discreet(p))
		}
	}
	if more := len(all) - mostWrong; more > 0 {
		all = append(all[:mostWrong], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(all, "; ")
}

// discreet is a profile's error, of a sensitive one the place alone.
func discreet(p *template.Profile) string {
	if !slices.ContainsFunc(p.Resources, func(r *template.Resource) bool { return r.Sensitive }) {
		return p.Err.Error()
	}
	at := "it"
	if problem, ok := errors.AsType[template.Problem](p.Err); ok {
		at = problem.Place()
	}
	return at + " is wrong; podreload profiles says how"
}

// sight is what [Agent.View] answers from. The loop replaces it as a whole; nobody holds the
// lock for longer than that takes.
type sight struct {
	mu      sync.Mutex
	since   time.Time
	listed  bool
	runtime string
	config  *template.Config
	targets []daemonset.Target
	workers map[string]*worker
	feeds   []*feed

	etcd   string
	errors int
}

// View is the node now. It is safe for concurrent use, and waits for nobody.
func (a *Agent) View() daemonset.View {
	s := &a.sight
	s.mu.Lock()
	defer s.mu.Unlock()
	v := daemonset.View{
		Since: s.since, Listed: s.listed, RuntimeAway: s.runtime, EtcdAway: s.etcd, EtcdErrors: s.errors,
		Profiles: []daemonset.ProfileView{}, Targets: []daemonset.TargetView{}, Feeds: []daemonset.FeedView{},
	}
	if s.config != nil {
		for _, p := range s.config.Profiles {
			v.Profiles = append(v.Profiles, daemonset.ProfileView{Name: p.Name, Reason: reason(p.Err)})
		}
		v.Problems = s.config.Homeless()
	}
	for _, t := range s.targets {
		switch w := s.workers[t.Container.ID]; {
		case t.State != "" || w == nil:
			v.Targets = append(v.Targets, daemonset.TargetView{Status: newStatus(t)})
		default:
			v.Targets = append(v.Targets, w.stand.view())
		}
	}
	for _, f := range s.feeds {
		v.Feeds = append(v.Feeds, f.view())
	}
	return v
}

// show lets View see what the loop has decided.
func (a *Agent) show(listed bool, targets []daemonset.Target) {
	s := &a.sight
	s.mu.Lock()
	before := s.config
	s.listed, s.targets, s.config, s.workers, s.feeds = listed, targets, a.Config, maps.Clone(a.workers), nil
	for _, f := range a.feeds {
		s.feeds = append(s.feeds, f.feed)
	}
	slices.SortFunc(s.feeds, func(a, b *feed) int { return compareKeys(a.key, b.key) })
	s.mu.Unlock()
	if before != a.Config {
		a.sayWrong(before, a.Config)
	}
	a.etcd(nil)
}

// etcd tells once when etcd goes away and when it is back, however many feeds read from it.
// failed is what a feed has just met, if anything.
func (a *Agent) etcd(failed error) {
	s := &a.sight
	s.mu.Lock()
	defer s.mu.Unlock()
	if failed != nil {
		s.errors++
	}
	away, told := "", false
	for _, f := range s.feeds {
		if !f.told.Load() {
			continue
		}
		told = true
		if err := f.current().away; errors.Is(err, source.ErrUnavailable) {
			away = err.Error()
		}
	}
	switch {
	case len(s.feeds) == 0:
		s.etcd = "" // nobody asks it anything: that it is away is nobody's trouble, and that it is back not known
		return
	case !told:
		return // nor is it known by those who have only just begun to ask
	}
	a.reachable(daemonset.Etcd, "etcd", &s.etcd, away)
}

// runtime tells once when containerd goes away and when it is back.
func (a *Agent) runtime(away string) {
	s := &a.sight
	s.mu.Lock()
	defer s.mu.Unlock()
	a.reachable(daemonset.Runtime, "containerd", &s.runtime, away)
}

// reachable notes why something does not answer, empty if it does, and tells of its going and
// coming. The caller holds the lock of what is noted.
func (a *Agent) reachable(kind daemonset.Kind, name string, noted *string, away string) {
	was := *noted
	*noted = away
	switch {
	case was == "" && away != "":
		a.tell(daemonset.Event{Kind: kind, State: daemonset.Stale, Reason: away})
	case was != "" && away == "":
		a.tell(daemonset.Event{Kind: kind, State: daemonset.Live, Reason: name + " answers again"})
	}
}

// calls is how others reach the loop.
type calls struct {
	once sync.Once
	ping chan struct{}
	wake chan struct{} // capacity 1
}

func (a *Agent) reach() *calls {
	a.calls.once.Do(func() { a.calls.ping, a.calls.wake = make(chan struct{}), make(chan struct{}, 1) })
	return &a.calls
}

// Ping returns when the loop has answered, or ctx's error. Before Run and after it nobody does.
func (a *Agent) Ping(ctx context.Context) error {
	select {
	case a.reach().ping <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Wake makes all workers look at what is true now. It is safe for concurrent use and never blocks.
func (a *Agent) Wake() {
	select {
	case a.reach().wake <- struct{}{}:
	default:
	}
}

func reason(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
