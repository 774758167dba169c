package agent_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/agent"
	"github.com/podreload/podreload/daemonset/state"
	"github.com/podreload/podreload/testenv"
)

// reboot is what the node's boot leaves of the agent's memory: the store is another one, which
// has only what is on the disk. Containers go on, in this test's node.
func (r *rig) reboot() {
	r.t.Helper()
	store, err := state.Open(r.path("run-after"), r.path("kept"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { store.Close() })
	r.applier.Store = store
}

// TestNewcomerWhileEtcdIsAway: a pod that starts while etcd is away gets what was live last,
// also from an agent of another boot, and is shown as such; with etcd back it gets what
// is new.
func TestNewcomerWhileEtcdIsAway(t *testing.T) {
	t.Parallel()
	for name, sensitive := range map[string]bool{"plain": false, "sensitive": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, testenv.SharedNode(t, testenv.V2))
			r.etcd = testenv.NewEtcd(t)
			r.resource(r.name, fmt.Sprintf("dest = %q\nsensitive = %v", conf, sensitive), `process = "nginx"`, `namespaces = ["default"]`)
			first := r.pod(testenv.PodConfig{})
			r.start()
			revision := r.put("kept")
			r.live(first.Container("nginx"), revision)
			r.stop()
			r.etcd.Stop()

			r.start()
			second := r.pod(testenv.PodConfig{Name: r.name + "-2"})
			inPlace := fmt.Sprintf("of revision %d", revision)
			s := r.in(second.Container("nginx"), daemonset.Stale, inPlace, "waiting for etcd")
			if s.Revision != revision || s.Reloads != 1 {
				t.Errorf("the newcomer is %+v, want one reload of revision %d", s, revision)
			}
			serves(t, second, "kept")
			r.in(first.Container("nginx"), daemonset.Stale, "waiting for etcd")
			r.stop()

			r.reboot()
			r.start()
			third := r.pod(testenv.PodConfig{Name: r.name + "-3"})
			if sensitive { // in memory only
				r.in(third.Container("nginx"), daemonset.Waiting, "nothing to apply yet", "waiting for etcd")
				serves(t, third, "hello from the image\n")
			} else {
				r.in(third.Container("nginx"), daemonset.Stale, inPlace, "waiting for etcd")
				serves(t, third, "kept")
			}
			if err := r.etcd.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			r.live(third.Container("nginx"), r.put("new"))
			serves(t, third, "new")
		})
	}
}

// TestNewcomerOfABadConfiguration: what the check refuses, or the server does not take, is in
// no container. One that starts meanwhile gets what works, not its image's.
func TestNewcomerOfABadConfiguration(t *testing.T) {
	t.Parallel()
	for check, want := range map[string]struct {
		state  daemonset.State
		reason string
	}{"preset": {daemonset.Refused, "no_such_directive"}, "off": {daemonset.RolledBack, "reload not taken"}} {
		t.Run(check, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, testenv.SharedNode(t, testenv.V2))
			r.profile(r.name, `process = "nginx"`, fmt.Sprintf("check = %q", check))
			first := r.pod(testenv.PodConfig{})
			r.start()
			good := r.live(first.Container("nginx"), r.put("good")).Revision
			r.put(`bad"; no_such_directive "`)
			r.in(first.Container("nginx"), want.state)
			second := r.pod(testenv.PodConfig{Name: r.name + "-2"})
			c := second.Container("nginx")
			s := r.in(c, want.state, want.reason, "last good files of this node")
			if s.Revision != good {
				t.Errorf("the newcomer has revision %d, want %d", s.Revision, good)
			}
			serves(t, second, "good")
			reloads := s.Reloads
			r.live(c, r.put("better"))
			if s := r.live(c, 0); s.Reloads != reloads+1 {
				t.Errorf("%d reloads, want %d: what was refused is not tried again and again", s.Reloads, reloads+1)
			}
		})
	}
}

// TestSnapshotIsKept: at the agent's end what is live is on the disk, and nowhere but there.
func TestSnapshotIsKept(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	c := r.pod(testenv.PodConfig{}).Container("nginx")
	r.start()
	r.live(c, r.put("on the disk"))
	r.stop()
	files, err := filepath.Glob(r.path("kept/snapshots/*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%q, %v", files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil || !strings.Contains(string(text), "on the disk") {
		t.Errorf("%q, %v", text, err)
	}
}

// upstream is a configuration that fails where [conflicting] runs, and works elsewhere.
const upstream = `a"; } } upstream u { server 127.0.0.1:2; } server { listen 81; location / { return 200 "b`

// conflicting is nginx with a file of its own that defines the same.
var conflicting = testenv.ContainerConfig{Name: "nginx", Command: []string{"sh", "-c",
	"echo 'upstream u { server 127.0.0.1:1; }' >/etc/nginx/conf.d/own.conf; exec nginx -g 'daemon off;'"}}

// changes is how often a container was changed.
func (r *rig) changes(c *testenv.Container) int {
	r.t.Helper()
	entries, err := r.applier.Store.History(r.manual(c).Target.Container.String())
	if err != nil {
		r.t.Fatal(err)
	}
	return len(entries)
}

// settled fails if looks alone change a container: what did not take is not tried again.
func (r *rig) settled(c *testenv.Container) {
	r.t.Helper()
	before := r.changes(c)
	for range 3 {
		look := r.manual(c)
		look.Insist = false
		outcome, _ := r.applier.Apply(r.t.Context(), look)
		if outcome.Status.Owed {
			r.t.Errorf("a look leaves %+v", outcome.Status)
		}
	}
	if after := r.changes(c); after != before {
		r.t.Errorf("%d changes by looks alone", after-before)
	}
}

// TestNothingTakes: neither what is wanted nor what stands in for it works in a new container. Each
// is tried once.
func TestNothingTakes(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	first := r.pod(testenv.PodConfig{})
	r.start()
	r.live(first.Container("nginx"), r.put(upstream))
	second := r.pod(testenv.PodConfig{Name: r.name + "-2", Containers: []testenv.ContainerConfig{conflicting}})
	c := second.Container("nginx")
	r.in(c, daemonset.RolledBack, "reload not taken")
	r.settled(c)
	serves(t, second, "hello from the image\n")

	before := r.changes(c)
	r.live(first.Container("nginx"), r.put(upstream+" again"))
	r.await(c, "the newer is tried", func(daemonset.Status) bool { return r.changes(c) > before })
	r.in(c, daemonset.RolledBack, "reload not taken")
	r.settled(c)
	serves(t, second, "hello from the image\n")
	r.live(c, r.put("works everywhere"))
	serves(t, second, "works everywhere")
}

// TestStandInDoesNotTake: what stands in for what etcd says does not take in a new container. It is tried once, and again
// where a person asks for it.
func TestStandInDoesNotTake(t *testing.T) {
	t.Parallel()
	for name, say := range map[string]func(*agent.Job){
		"etcd is away":           func(job *agent.Job) { job.Snapshot, job.Away = nil, errors.New("etcd is away") },
		"nor does what etcd has": func(*agent.Job) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, testenv.SharedNode(t, testenv.V2))
			first := r.pod(testenv.PodConfig{})
			r.start()
			r.live(first.Container("nginx"), r.put(upstream))
			r.stop()
			second := r.pod(testenv.PodConfig{Name: r.name + "-2", Containers: []testenv.ContainerConfig{conflicting}})
			c := second.Container("nginx")
			nginxOf(t, c)
			r.put(`bad"; no_such_directive "`)
			job := r.manual(c)
			say(&job)
			for i, insist := range []bool{true, false, false, true, false} {
				job.Insist = insist
				outcome, err := r.applier.Apply(t.Context(), job)
				if agent.StateOf(err) != daemonset.RolledBack || outcome.Status.Owed || len(outcome.Wrote) > 0 != insist {
					t.Errorf("apply %d: wrote %q, %v", i, outcome.Wrote, err)
				}
			}
			serves(t, second, "hello from the image\n")
		})
	}
}
