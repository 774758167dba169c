package agent_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/agent"
	"github.com/podreload/podreload/daemonset/state"
	"github.com/podreload/podreload/testenv"
)

// TestPaused: nothing is changed in what is paused, by the daemon or by hand, over a restart
// of both; then all comes.
func TestPaused(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	p := r.pod(testenv.PodConfig{})
	c := p.Container("nginx")
	r.start()
	before := r.live(c, r.put("before"))
	for name, pause := range map[string]state.Pause{
		"target":  {Target: r.manual(c).Target.Container.String(), By: "a test"},
		"profile": {Profile: r.name, By: "a test"},
		"all":     {By: "a test"},
	} {
		if _, err := r.applier.Store.Pause(t.Context(), pause); err != nil {
			t.Fatal(err)
		}
		revision := r.put("while " + name)
		s := r.in(c, daemonset.Paused, "by a test", "podreload resume")
		if s.Reloads != before.Reloads || s.Revision != before.Revision {
			t.Errorf("%s: %+v, want nothing changed since %+v", name, s, before)
		}
		if _, err := r.applier.Apply(t.Context(), r.manual(c)); agent.StateOf(err) != daemonset.Paused {
			t.Errorf("%s by hand: %v", name, err)
		}
		r.stop()
		r.start()
		r.in(c, daemonset.Paused, "by a test")
		if _, err := r.applier.Store.Resume(t.Context(), pause); err != nil {
			t.Fatal(err)
		}
		r.stop()
		r.start()
		before = r.live(c, revision)
		serves(t, p, "while "+name)
	}
}

// TestPausesUnreadable: what nobody can read is not taken for nothing paused.
func TestPausesUnreadable(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	c := r.pod(testenv.PodConfig{}).Container("nginx")
	if err := os.WriteFile(r.path("kept/pauses.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.put("not now")
	r.start()
	r.in(c, daemonset.Failed, "pauses.json", "mended or removed")
	if err := os.Remove(r.path("kept/pauses.json")); err != nil {
		t.Fatal(err)
	}
	r.live(c, 1)
}

// TestPinned: a target that is taken back stays there, over other values, a restart of its
// container and one of the agent, until it is resumed.
func TestPinned(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	p := r.pod(testenv.PodConfig{})
	c := p.Container("nginx")
	r.start()
	old := r.live(c, r.put("old"))
	r.live(c, r.put("new"))
	pin := r.pin(c, old)
	outcome, err := r.applier.Apply(t.Context(), r.manual(c))
	if agent.StateOf(err) != daemonset.Paused || outcome.Status.Revision != old.Revision {
		t.Fatalf("%+v, %v", outcome, err)
	}
	serves(t, p, "old")
	newest := r.put("newer")
	if c, err = p.Restart(t.Context(), "nginx"); err != nil {
		t.Fatal(err)
	}
	r.in(c, daemonset.Paused, fmt.Sprint("pinned to revision ", old.Revision))
	serves(t, p, "old")
	r.stop()
	r.start()
	r.in(c, daemonset.Paused, fmt.Sprint("pinned to revision ", old.Revision))
	if _, err := r.applier.Store.Resume(t.Context(), pin); err != nil {
		t.Fatal(err)
	}
	r.stop()
	r.start()
	r.live(c, newest)
	serves(t, p, "newer")
}

// pin pins a container's target to what it had, as rollback does.
func (r *rig) pin(c *testenv.Container, to daemonset.Status) state.Pause {
	r.t.Helper()
	pin := state.Pause{Target: r.manual(c).Target.Container.String(), By: "a test", Pin: to.Digest, Revision: to.Revision}
	if _, err := r.applier.Store.Pause(r.t.Context(), pin); err != nil {
		r.t.Fatal(err)
	}
	return pin
}

// TestPinDoesNotTake: a container that starts again and cannot take what its target is pinned to
// is left with what works.
func TestPinDoesNotTake(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	p := r.pod(testenv.PodConfig{})
	r.start()
	old := r.live(p.Container("nginx"), r.put(upstream))
	r.live(p.Container("nginx"), r.put("new"))
	r.pin(p.Container("nginx"), old)
	if err := p.Container("nginx").Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := p.StartContainer(t.Context(), conflicting)
	if err != nil {
		t.Fatal(err)
	}
	r.in(c, daemonset.RolledBack, "reload not taken")
	r.settled(c)
	serves(t, p, "hello from the image\n")
}

// TestPinOutlivesRestarts: however often its container starts again, a target has what it is
// pinned to.
func TestPinOutlivesRestarts(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	p := r.pod(testenv.PodConfig{})
	c := p.Container("nginx")
	r.start()
	old := r.live(c, r.put("old"))
	r.live(c, r.put("new"))
	r.pin(c, old)
	for range 12 {
		var err error
		if c, err = p.Restart(t.Context(), "nginx"); err != nil {
			t.Fatal(err)
		}
		s := r.in(c, daemonset.Paused, "pinned to revision")
		if s.Digest != old.Digest {
			t.Fatalf("pinned to %s, and it has %s", old.Digest, s.Digest)
		}
	}
	serves(t, p, "old")
}

// TestHistory: each change is told once, with who made it, what it was and what came of it.
func TestHistory(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	told := make(chan daemonset.Event, 16)
	r.applier.Tell = func(e daemonset.Event) { told <- e }
	p := r.pod(testenv.PodConfig{})
	c := p.Container("nginx")
	serves(t, p, "hello from the image\n") // one that starts is waited for, with nothing to signal
	r.start()
	one := r.live(c, r.put("one"))
	if _, err := r.applier.Apply(t.Context(), r.manual(c)); err != nil { // changes nothing
		t.Fatal(err)
	}
	bad := r.put(`bad"; no_such_directive "`)
	r.in(c, daemonset.RolledBack)
	if _, err := r.applier.Signal(t.Context(), r.manual(c), 0, false); err != nil {
		t.Fatal(err)
	}
	r.stop()
	name := r.manual(c).Target.Container.String()
	entries, err := r.applier.Store.History(name)
	if err != nil || len(entries) != 3 {
		t.Fatalf("%+v, %v", entries, err)
	}
	for i, want := range []struct {
		state    daemonset.State
		revision int64
		wrote    int
		back     bool
	}{{daemonset.Live, one.Revision, 1, true}, {daemonset.RolledBack, bad, 2, false}, {daemonset.RolledBack, 0, 0, false}} {
		e := entries[i]
		if e.State != want.state || e.Revision != want.revision || len(e.Wrote) != want.wrote || (len(e.Files) > 0) != want.back ||
			e.By != "a test" || e.Signal != "HUP" || e.ContainerID != c.ID || e.Kind != daemonset.Change {
			t.Errorf("entry %d: %+v, want %+v", i, e, want)
		}
		if event := <-told; event.Time != entries[i].Time && !event.Time.Equal(entries[i].Time) {
			t.Errorf("told of %+v", event)
		}
	}
	files, err := r.applier.Store.Back(entries[0])
	if err != nil || len(files) != 1 || !strings.Contains(string(files[0].Data), "one") {
		t.Errorf("the way back: %+v, %v", files, err)
	}
	if lines := r.said.lines("changed", "by=", "signal=HUP", "wrote=", "revision="); len(lines) != 3 {
		t.Errorf("audit lines: %q", lines)
	}
	if _, err := r.applier.Store.Load("none"); !errors.Is(err, state.ErrNotFound) {
		t.Error(err)
	}
}
