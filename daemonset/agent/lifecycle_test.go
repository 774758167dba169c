package agent_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/agent"
	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/testenv"
)

// TestContainersComeAndGo follows one pod from its init container to its end.
func TestContainersComeAndGo(t *testing.T) {
	testenv.EachVersion(t, func(t *testing.T, node *testenv.Node) {
		t.Parallel()
		r := newRig(t, node)
		revision := r.put("one")
		r.start()
		// An init container that has ended is no choice any more, so that what is
		// left is the only one.
		p := r.pod(testenv.PodConfig{Containers: []testenv.ContainerConfig{
			{Name: "init", Command: []string{"true"}}, {Name: "nginx"},
		}})
		c := p.Container("nginx")
		s := r.live(c, revision)
		r.gone(p.Container("init"))

		// Each exec, as probes are, has a start and an end that the runtime tells of.
		for range 20 {
			exec(t, c, "true")
		}
		restarted, err := p.Restart(t.Context(), "nginx")
		if err != nil {
			t.Fatal(err)
		}
		if again := r.live(restarted, revision); again.Reloads != 1 {
			t.Errorf("%d reloads of the new container, want 1", again.Reloads)
		}
		r.gone(c)
		serves(t, p, "one")
		if got := r.said.lines("is in place", daemonset.ShortID(c.ID)); len(got) != 1 {
			t.Errorf("%d applies to a container in which commands ran, want 1: %q; status %+v", len(got), got, s)
		}

		if err := p.Remove(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.gone(restarted)
	})
}

// TestContainerdRestarts changes a key while there is no containerd, which is
// not needed for that, and starts a container behind its return.
func TestContainerdRestarts(t *testing.T) {
	testenv.EachVersion(t, func(t *testing.T, node *testenv.Node) {
		r := newRig(t, node)
		p := r.pod(testenv.PodConfig{})
		c := p.Container("nginx")
		r.start()
		r.live(c, r.put("one"))
		if err := node.StopContainerd(); err != nil {
			t.Fatal(err)
		}
		revision := r.put("two")
		r.live(c, revision)
		serves(t, p, "two")
		eventually(t, "the agent says that containerd is away", func() error {
			if len(r.said.lines("level=warning", "may not be all known")) == 0 {
				return errors.New("it does not")
			}
			return nil
		})
		// Not with the test's context: others need the node.
		if err := node.StartContainerd(context.WithoutCancel(t.Context())); err != nil {
			t.Fatal(err)
		}
		restarted, err := p.Restart(t.Context(), "nginx")
		if err != nil {
			t.Fatal(err)
		}
		r.live(restarted, revision)
		if s, err := r.applier.Store.Load(restarted.ID); err != nil || s.Reloads != 1 {
			t.Errorf("status %+v, %v; want one reload", s, err)
		}
	})
}

// TestPidOfAnother: a container that was listed before may have ended since, and its pid be
// another one's, which has the file of nobody then, and no signal.
func TestPidOfAnother(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	ended := r.pod(testenv.PodConfig{})
	r.start()
	r.live(ended.Container("nginx"), r.put("secret"))
	r.stop()
	other := r.pod(testenv.PodConfig{Name: r.name + "-other", Labels: map[string]string{"app": "other"}}).Container("nginx")
	job := r.manual(ended.Container("nginx"))
	if err := ended.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	job.Target.Container.Pid = initPid(t, other) // as the kernel gives numbers again
	job.Look = true
	before := nginxOf(t, other)
	out, err := r.applier.Apply(t.Context(), job)
	if !errors.Is(err, nsenter.ErrGone) || out.Status.State == daemonset.Live {
		t.Errorf("the target is %+v, %v; want ErrGone", out.Status, err)
	}
	wantUntouched(t, other, before)
	if got := exec(t, other, "cat "+conf); strings.Contains(got, "secret") {
		t.Errorf("the other container has %q", got)
	}
}

// TestFrozen: a container that is frozen has not gone, and what is known of it holds when it goes on.
func TestFrozen(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	c := r.pod(testenv.PodConfig{}).Container("nginx")
	r.start()
	r.live(c, r.put("one"))
	before := r.live(c, r.put("two"))
	resume := freeze(t, r.node, c)
	eventually(t, "the agent lets go of it", func() error {
		if v := r.agent.View(); slices.ContainsFunc(v.Targets, func(v daemonset.TargetView) bool { return v.ContainerID == c.ID }) {
			return fmt.Errorf("the view is %+v", v)
		}
		return nil
	})
	resume()
	after := r.live(c, r.put("three"))
	if after.Reloads != before.Reloads+1 {
		t.Errorf("%d reloads, want %d: what was known of it is lost", after.Reloads, before.Reloads+1)
	}
}

// TestRecordsOfTheDead: what went while no agent ran is cleared away at its
// start, and what runs is not.
func TestRecordsOfTheDead(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	p := r.pod(testenv.PodConfig{})
	c := p.Container("nginx")
	r.start()
	revision := r.put("one")
	r.live(c, revision)
	r.stop()
	restarted, err := p.Restart(t.Context(), "nginx")
	if err != nil {
		t.Fatal(err)
	}
	r.start()
	r.gone(c)
	before := r.live(restarted, revision)
	r.stop()
	r.start()
	r.live(restarted, r.put("two"))
	if after := r.live(restarted, revision); after.Reloads != before.Reloads+1 {
		t.Errorf("%d reloads, want %d: a restart of the agent alone reloads nothing", after.Reloads, before.Reloads+1)
	}
}

// TestRecordOfTheDeadIsHeld: an apply by hand, which has the lock, keeps a record
// for no longer than it takes.
func TestRecordOfTheDeadIsHeld(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.start()
	revision := r.put("one")
	p := r.pod(testenv.PodConfig{})
	c := p.Container("nginx")
	r.live(c, revision)
	unlock, err := r.applier.Store.Lock(t.Context(), c.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Whoever comes behind it shows that its end was seen.
	r.live(r.pod(testenv.PodConfig{Name: r.name + "-next"}).Container("nginx"), revision)
	if _, err := r.applier.Store.Load(c.ID); err != nil {
		t.Errorf("the record that somebody works on: %v", err)
	}
	unlock()
	r.gone(c)
	if lines := r.said.lines("level=warning", daemonset.ShortID(c.ID)); len(lines) != 0 {
		t.Errorf("the agent complains: %q", lines)
	}
}

// TestChoice: who is chosen, by which label, and what is said of the others.
func TestChoice(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.profile(r.name, `process = "nginx"`, `select = "app=`+r.name+`"`)
	labels := func(kv ...string) map[string]string {
		m := map[string]string{}
		for i := 0; i < len(kv); i += 2 {
			m[kv[i]] = kv[i+1]
		}
		return m
	}
	two := []testenv.ContainerConfig{{Name: "nginx"}, onPort81}
	selected := r.pod(testenv.PodConfig{Name: r.name + "-selected", Labels: labels("app", r.name)})
	named := r.pod(testenv.PodConfig{Name: r.name + "-named", Labels: labels("other.podreload.io/profile", r.name), Containers: []testenv.ContainerConfig{
		{Name: "nginx", Command: []string{"sleep", "1000000"}}, {Name: "other"},
	}})
	unclear := r.pod(testenv.PodConfig{Name: r.name + "-unclear", Labels: labels(agent.LabelProfile, r.name), Containers: two})
	for _, c := range two { // of which the first to run nginx would be chosen
		nginxOf(t, unclear.Container(c.Name))
	}
	r.pod(testenv.PodConfig{Name: r.name + "-unknown", Labels: labels(agent.LabelProfile, r.name+"x")})
	revision := r.put("chosen")
	r.start()
	r.live(selected.Container("nginx"), revision)
	r.live(named.Container("other"), revision)
	for pod, words := range map[string][]string{
		"unclear": {"state=Ambiguous", "all run nginx"},
		"unknown": {"state=Invalid", "no profile"},
	} {
		words = append(words, "pod=default/"+r.name+"-"+pod)
		eventually(t, "it is said of "+pod, func() error {
			if len(r.said.lines(words...)) == 0 {
				return errors.New("it is not")
			}
			return nil
		})
	}
	// More choices are made while those stay as they are: they are said once.
	extra := r.pod(testenv.PodConfig{Name: r.name + "-extra", Labels: labels("app", r.name)})
	r.live(extra.Container("nginx"), revision)
	for _, pod := range []string{"unclear", "unknown"} {
		if n := len(r.said.lines("pod=default/" + r.name + "-" + pod)); n != 1 {
			t.Errorf("%d lines about the pod %s, want 1", n, pod)
		}
	}
	if records, err := r.applier.Store.List(); err != nil || len(records) != 3 {
		t.Errorf("%d records, %v; want those of the 3 that are chosen", len(records), err)
	}
}
