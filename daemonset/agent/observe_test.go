package agent_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/agent"
	"github.com/podreload/podreload/testenv"
)

// witness keeps the events that an agent tells.
type witness struct {
	mu     sync.Mutex
	events []daemonset.Event
}

func (w *witness) Event(e daemonset.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

func (w *witness) of(kind daemonset.Kind, state daemonset.State) (found []daemonset.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e.Kind == kind && e.State == state {
			found = append(found, e)
		}
	}
	return found
}

// TestView watches an agent from outside while a target comes, turns, and goes.
func TestView(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.profile(r.name, `process = "nginx"`, `check = "preset"`)
	r.applier.Timeout = time.Minute
	var phases sync.Map
	r.applier.Phase = func(name string, took time.Duration) { phases.Store(name, took) }
	w := &witness{}
	r.observer = w
	p := r.pod(testenv.PodConfig{})
	c := p.Container("nginx")
	r.start()
	await := func(what string, ok func(daemonset.TargetView) bool) {
		t.Helper()
		eventually(t, what, func() error {
			v := r.agent.View()
			i := slices.IndexFunc(v.Targets, func(t daemonset.TargetView) bool { return t.ContainerID == c.ID })
			if i < 0 || !ok(v.Targets[i]) {
				return fmt.Errorf("the view is %+v", v)
			}
			return nil
		})
	}
	await("nothing is there to apply", func(v daemonset.TargetView) bool { return v.State == daemonset.Failed || v.State == daemonset.Waiting })
	revision := r.put("one")
	await("it is live", func(v daemonset.TargetView) bool {
		return v.State == daemonset.Live && v.Revision >= revision && v.Results[daemonset.Live] == 1 && *v.Took && v.Behind.IsZero() && v.Draining != nil
	})
	if v := r.agent.View(); !v.Listed || v.RuntimeAway != "" || v.EtcdAway != "" || v.Since.IsZero() || len(v.Profiles) != 1 ||
		len(v.Feeds) != 1 || !v.Feeds[0].Settled || v.Feeds[0].Revision < revision {
		t.Errorf("the view is %+v", v)
	}
	for _, phase := range agent.Phases {
		if _, ok := phases.Load(phase); !ok {
			t.Errorf("phase %s took no time", phase)
		}
	}
	turned := w.of(daemonset.Turn, daemonset.Live)
	if len(turned) != 1 || turned[0].Pod != r.name || turned[0].ContainerID != c.ID || turned[0].Profile != r.name || turned[0].Revision < revision || turned[0].Time.IsZero() {
		t.Errorf("events of the turn to Live: %+v", turned)
	}
	r.put(`bad"; nonsense "`)
	await("it is refused", func(v daemonset.TargetView) bool {
		return v.State == daemonset.Refused && v.Results[daemonset.Refused] >= 1 && !*v.Took && !v.Behind.IsZero() && v.Revision >= revision
	})
	if got := w.of(daemonset.Turn, daemonset.Refused); len(got) == 0 {
		t.Error("no event tells of the refusal")
	}
	if err := r.agent.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if err := p.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the target goes with its container", func() error {
		if v := r.agent.View(); slices.ContainsFunc(v.Targets, func(t daemonset.TargetView) bool { return t.ContainerID == c.ID }) || len(v.Feeds) != 0 {
			return fmt.Errorf("the view is %+v", v)
		}
		return nil
	})
	r.stop()
	if got := w.of(daemonset.Daemon, ""); len(got) != 2 {
		t.Errorf("events of the daemon: %+v, want its begin and end", got)
	}
}

// TestWake makes a worker look that would not for an hour: drift is not found by that, but
// what waits is tried at once.
func TestWake(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	c := r.pod(testenv.PodConfig{}).Container("nginx")
	r.start()
	r.live(c, r.put("one"))
	// As if it had never been applied. The worker may be about to let go of it.
	eventually(t, "the record is removed", func() error { return r.applier.Store.Remove(c.ID) })
	r.agent.Wake()
	r.await(c, "it is applied again", func(s daemonset.Status) bool { return s.State == daemonset.Live && s.Reloads == 1 })
}
