package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/testenv"
)

// TestOutages takes away, one after the other, what podreload and its pods live on: where
// daemonset/README.md has its table of outages from.
func TestOutages(t *testing.T) {
	for _, v := range []testenv.Version{testenv.V2, testenv.Debian} {
		t.Run(string(v), func(t *testing.T) {
			r := newRig(t, v)
			r.put("start")
			r.install()
			r.deploy("web", "", "")
			r.scale(2)
			for _, outage := range []struct {
				name string
				test func(*rig)
			}{
				{"etcd", (*rig).testEtcdAway},
				{"api-server", (*rig).testAPIAway},
				{"containerd", func(r *rig) { r.testRestart("containerd", r.Node().Restart) }},
				{"kubelet", func(r *rig) { r.testRestart("kubelet", r.RestartKubelet) }},
				{"out-of-memory", (*rig).testOutOfMemory},
				{"reboot", (*rig).testReboot},
				{"earlier-state", (*rig).testEarlierState},
				{"kept-for-root", (*rig).testKeptForRoot},
			} {
				if !t.Run(outage.name, func(t *testing.T) { outage.test(r.with(t)) }) {
					return // what comes next would not begin from what is well
				}
			}
		})
	}
}

// testEtcdAway: pods that start while etcd is away get what was live last, also from an agent that
// was started meanwhile, and are shown as such. With etcd back each is reloaded once.
func (r *rig) testEtcdAway() {
	of := r.live("kept")
	r.etcd.Stop()
	r.scale(3)
	r.eachServes("web", "kept")
	r.are(3, daemonset.Stale, of, "waiting for etcd")

	before := r.restarts()
	r.kubectl("-n", "podreload", "delete", "pod", "-l", "app.kubernetes.io/name=podreload", "--wait")
	r.rolledOut("podreload", "daemonset/podreload")
	if after := r.restarts(); after == before {
		r.t.Errorf("the agent is %s still, after it was deleted", after)
	}
	r.scale(4)
	r.eachServes("web", "kept")
	stale := r.are(4, daemonset.Stale, of, "waiting for etcd")

	if err := r.etcd.Start(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	r.put("back")
	r.eachServes("web", "back")
	r.reloadedOnce(stale, r.are(4, daemonset.Live))
	r.scale(2)
}

// testAPIAway: nothing of podreload's notices that the API server is away.
func (r *rig) testAPIAway() {
	agent := r.agentID()
	before := r.are(2, daemonset.Live)
	ips := strings.Fields(r.kubectl("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].status.podIP}"))
	restarts := r.restarts()
	if err := r.StopAPI(); err != nil {
		r.t.Fatal(err)
	}
	defer func() { // whatever fails: nothing after it can do without
		if err := r.StartAPI(r.t.Context()); err != nil {
			r.t.Fatal(err)
		}
		if after := r.restarts(); after != restarts {
			r.t.Errorf("the agent was %s, and is %s", restarts, after)
		}
		r.reloadedOnce(before, r.are(2, daemonset.Live))
	}()
	if _, err := r.Kubectl(r.t.Context(), "get", "pods"); err == nil {
		r.t.Error("the API server is there still")
	}
	r.put("without an API server")
	for _, ip := range ips {
		r.served(ip, "without an API server")
	}
	if out, err := r.Node().Exec(r.t.Context(), agent, "podreload", "ps"); err != nil || strings.Count(out, "Live") != 2 {
		r.t.Errorf("podreload ps: %q, %v, want two that are Live", out, err)
	}
}

// agentID is the id of the agent's container.
func (r *rig) agentID() string {
	r.t.Helper()
	id := r.kubectl("-n", "podreload", "get", "pods", "-o", "jsonpath={.items[*].status.containerStatuses[0].containerID}")
	return strings.TrimPrefix(id, "containerd://")
}

// testRestart: a part of the node is started again under the pods. The agent is not, and nothing is reloaded but
// for what has changed.
func (r *rig) testRestart(part string, restart func(context.Context) error) {
	before, restarts := r.are(2, daemonset.Live), r.restarts()
	ctx, cancel := context.WithTimeout(r.t.Context(), waitTimeout)
	defer cancel()
	if err := restart(ctx); err != nil {
		r.t.Fatal(err)
	}
	r.put("after that of " + part)
	r.eachServes("web", "after that of "+part)
	r.reloadedOnce(before, r.are(2, daemonset.Live))
	// Containers that start now are seen, too.
	r.scale(3)
	r.eachServes("web", "after that of "+part)
	r.are(3, daemonset.Live)
	r.scale(2)
	if after := r.restarts(); after != restarts {
		r.t.Errorf("the agent was %s, and is %s", restarts, after)
	}
}

// scale gives the deployment that many pods, and waits until they are ready and the others gone.
func (r *rig) scale(n int) {
	r.t.Helper()
	r.kubectl("scale", "deployment/web", fmt.Sprintf("--replicas=%d", n))
	r.rolledOut("default", "deployment/web")
	ctx, cancel := context.WithTimeout(r.t.Context(), waitTimeout)
	defer cancel()
	if err := testenv.Poll(ctx, func() error {
		out, err := r.Kubectl(ctx, "get", "pods", "-l", "app=web", "-o", "name")
		if err == nil && len(strings.Fields(out)) != n {
			err = fmt.Errorf("pods are %q, want %d", strings.Fields(out), n)
		}
		return err
	}); err != nil {
		r.t.Fatal(err)
	}
}

// live puts a value, waits until all targets have it, and returns what `podreload ps` says of those
// that have it still when etcd has gone.
func (r *rig) live(value string) string {
	r.t.Helper()
	r.put(value)
	r.eachServes("web", value)
	return fmt.Sprintf("of revision %d", r.are(0, daemonset.Live)[0].Revision)
}

// are waits until `podreload ps` in the agent's pod shows n targets, all in a state and with a
// reason that has these texts in it, and none that is live with a reload under way. Any number
// will do for n = 0.
func (r *rig) are(n int, state daemonset.State, reason ...string) []daemonset.Status {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), waitTimeout)
	defer cancel()
	var all []daemonset.Status
	if err := testenv.Poll(ctx, func() error {
		out, err := r.podreload(ctx, "ps", "-o", "json")
		if err != nil {
			return err
		}
		if all = nil; json.Unmarshal([]byte(out), &all) != nil {
			return testenv.Final(fmt.Errorf("podreload ps: no JSON: %q", out))
		}
		if len(all) == 0 || n > 0 && len(all) != n {
			return fmt.Errorf("podreload ps: %d targets, want %d", len(all), n)
		}
		for _, s := range all {
			if s.State != state {
				return fmt.Errorf("%s is %s, want %s: %s", s.Pod, s.State, state, s.Reason)
			}
			if state == daemonset.Live && s.Owed { // what it was before what is under way
				return fmt.Errorf("%s is %s, and a reload of it is owed", s.Pod, s.State)
			}
			for _, text := range reason {
				if !strings.Contains(s.Reason, text) {
					return fmt.Errorf("%s is %s: %q, want %q", s.Pod, s.State, s.Reason, text)
				}
			}
		}
		return nil
	}); err != nil {
		r.t.Fatal(err)
	}
	return all
}

// reloadedOnce compares containers before and after a key has changed once.
func (r *rig) reloadedOnce(before, after []daemonset.Status) {
	r.t.Helper()
	reloads := map[string]int{}
	for _, s := range before {
		reloads[s.ContainerID] = s.Reloads
	}
	for _, s := range after {
		if was, ok := reloads[s.ContainerID]; !ok || s.Reloads != was+1 {
			r.t.Errorf("%s in container %s: %d reloads, after %d (was there: %v)", s.Pod, daemonset.ShortID(s.ContainerID), s.Reloads, was, ok)
		}
	}
}
