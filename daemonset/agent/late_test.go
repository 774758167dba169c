package agent_test

import (
	"testing"
	"time"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/agent"
	"github.com/podreload/podreload/daemonset/state"
	"github.com/podreload/podreload/testenv"
)

// TestSlowIsTriedAgain: what a server said nothing to in its time is tried again, after a while or where a person
// asks for it, without another value: it may have been the node that was busy.
func TestSlowIsTriedAgain(t *testing.T) {
	t.Parallel()
	for name, try := range map[string]func(*rig, *testenv.Container, int64){
		"after a while": func(r *rig, c *testenv.Container, revision int64) {
			r.amend(c, func(rec *state.Record) { rec.Again = time.Now() }) // the minute is over
			r.start()
			r.live(c, revision)
		},
		"by hand": func(r *rig, c *testenv.Container, revision int64) {
			if outcome, err := r.applier.Apply(r.t.Context(), r.manual(c)); err != nil || outcome.Status.Revision < revision {
				r.t.Fatalf("%+v, %v", outcome.Status, err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, testenv.SharedNode(t, testenv.V2))
			p := r.pod(testenv.PodConfig{})
			c := p.Container("nginx")
			r.start()
			r.live(c, r.put("one"))
			r.stop()
			r.applier.Timeout = time.Second // of the proof that is not to come
			r.start()
			resume := stopped(t, nginxOf(t, c).master)
			revision := r.put("two")
			r.await(c, "it goes back, which is owed", func(s daemonset.Status) bool {
				rec, err := r.applier.Store.Load(c.ID)
				return err == nil && rec.Rejected != "" && s.Owed
			})
			r.stop()
			resume()
			r.applier.Timeout = 20 * time.Second
			r.start()
			s := r.in(c, daemonset.RolledBack, "previous files are back", "tried again at", "podreload apply", "--timeout")
			if wait := time.Until(s.RetryAt); wait < 0 || wait > 2*time.Minute {
				t.Errorf("it is tried again in %v", wait)
			}
			serves(t, p, "one")
			r.stop()
			try(r, c, revision)
			serves(t, p, "two")
			if rec, err := r.applier.Store.Load(c.ID); err != nil || rec.Rejected != "" || rec.Late != 0 || !rec.Again.IsZero() {
				t.Errorf("the record still knows of it: %+v, %v", rec, err)
			}
		})
	}
}

// amend changes a container's record behind the back of an agent that is not running.
func (r *rig) amend(c *testenv.Container, change func(*state.Record)) {
	r.t.Helper()
	unlock, err := r.applier.Store.Lock(r.t.Context(), c.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	defer unlock()
	rec, err := r.applier.Store.Load(c.ID)
	if err == nil {
		change(&rec)
		err = r.applier.Store.Save(rec)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// TestMendedProfileIsTried: what did not take by one reload command may by another.
func TestMendedProfileIsTried(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.resource(r.name, "dest = \""+conf+"\"\nreload_cmd = \"nginx -s reload\"", `process = "nginx"`)
	p := r.pod(testenv.PodConfig{})
	c := p.Container("nginx")
	r.start()
	r.live(c, r.put("one"))
	r.resource(r.name, "dest = \""+conf+"\"\nreload_cmd = \"grep -q one "+conf+" && nginx -s reload\"", `process = "nginx"`)
	revision := r.put("two")
	r.in(c, daemonset.RolledBack, "exit code 1")
	serves(t, p, "one")
	r.resource(r.name, "dest = \""+conf+"\"\nreload_cmd = \"grep -q two "+conf+" && nginx -s reload\"", `process = "nginx"`)
	r.live(c, revision)
	serves(t, p, "two")
}

// TestMatchers: a server that a matcher describes gets its files by each of the rules for success.
func TestMatchers(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		rule    string
		timeout time.Duration
		want    daemonset.State
	}{
		"none":     {`success = "none"`, 20 * time.Second, daemonset.Applied},
		"children": {`success = "children"`, 20 * time.Second, daemonset.Live},
		"alive":    {`success = "alive", after = "3s"`, 2 * time.Second, daemonset.Live},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, testenv.SharedNode(t, testenv.V2))
			r.resource(r.name, "dest = \""+conf+"\"", `process = { exe = "nginx", signal = "HUP", `+tt.rule+` }`)
			p := r.pod(testenv.PodConfig{})
			c := p.Container("nginx")
			r.applier.Timeout = tt.timeout
			r.start()
			for _, value := range []string{"one", "two"} {
				revision := r.put(value)
				r.await(c, string(tt.want), func(s daemonset.Status) bool { return s.State == tt.want && s.Revision >= revision })
				serves(t, p, value)
			}
		})
	}
}

// TestRollbackWaitsForNothing: what a person takes back is not held back by min_reload_interval.
func TestRollbackWaitsForNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	p := r.pod(testenv.PodConfig{})
	c := p.Container("nginx")
	r.start()
	old := r.live(c, r.put("old"))
	r.live(c, r.put("new"))
	r.stop()
	r.resource(r.name, "dest = \""+conf+"\"\nmin_reload_interval = \"1h\"", `process = "nginx"`)
	r.pin(c, old)
	outcome, err := r.applier.Apply(t.Context(), r.manual(c))
	if agent.StateOf(err) != daemonset.Paused || outcome.Status.Revision != old.Revision {
		t.Fatalf("%+v, %v", outcome.Status, err)
	}
	serves(t, p, "old")
}

// TestAppliedEarly: what a person applies before it has settled is not taken back.
func TestAppliedEarly(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.resync = 200 * time.Millisecond
	r.resource(r.name, "dest = \""+conf+"\"", `process = "nginx"`, `wait = "1h"`)
	p := r.pod(testenv.PodConfig{})
	c := p.Container("nginx")
	r.start()
	r.live(c, r.put("one"))
	revision := r.put("two")
	if outcome, err := r.applier.Apply(t.Context(), r.manual(c)); err != nil || outcome.Status.Revision < revision {
		t.Fatalf("%+v, %v", outcome.Status, err)
	}
	exec(t, c, "rm "+conf) // which the worker sees at its next look
	r.await(c, "the file is repaired", func(s daemonset.Status) bool { return s.State == daemonset.Live && s.Reloads == 3 })
	serves(t, p, "two")
}
