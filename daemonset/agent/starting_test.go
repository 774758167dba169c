package agent_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/testenv"
)

// TestStart: the second replica of a pod whose image has a wrong configuration never runs
// with it: the files are there before its first process is. Nor does a container
// that starts again where there is no other.
func TestStart(t *testing.T) {
	t.Parallel()
	r := newStartRig(t, testenv.SharedNode(t, testenv.V2), "preset")
	count := &counting{Checker: r.applier.Checker}
	r.applier.Checker = count
	r.start()
	r.registered(1)
	revision := r.put("right")
	first := r.replica(1, recording)
	wantNotPlaced(t, r, first.Container("nginx"), daemonset.Waiting, "nothing of its keys has been read")
	r.live(first.Container("nginx"), revision)
	tried := count.checks.Load()

	second := r.replica(2, recording)
	c := second.Container("nginx")
	if got := firstAnswer(t, second); got != "right" {
		t.Errorf("the first request is answered with %q", got)
	}
	wantPlaced(t, r, c, "right", revision)
	if s := r.live(c, revision); s.Reloads != 1 {
		t.Errorf("%d reloads, want the one that proves it", s.Reloads)
	}
	if got := count.checks.Load(); tried == 0 || got != tried {
		t.Errorf("%d checks, and %d when the second runs: what it began with is known to be good", tried, got)
	}

	for _, p := range []*testenv.Pod{first, second} {
		if err := p.Container("nginx").Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.gone(p.Container("nginx"))
	}
	again, err := second.StartContainer(t.Context(), recording)
	if err != nil {
		t.Fatal(err)
	}
	wantPlaced(t, r, again, "right", revision)
	r.live(again, revision)

	// And the way back from there is what the image has.
	rec, err := r.applier.Store.Load(again.ID)
	if err != nil || len(rec.Good) != 1 {
		t.Fatalf("record %+v, %v", rec, err)
	}
}

// TestStartByCommand: nobody names the container, and its command shows the server.
func TestStartByCommand(t *testing.T) {
	t.Parallel()
	r := newStartRig(t, testenv.SharedNode(t, testenv.V2), "preset")
	r.profile(r.name, `process = "nginx"`, `check = "preset"`)
	r.start()
	r.registered(1)
	revision := r.put("right")
	r.live(r.replica(1, testenv.ContainerConfig{Name: "nginx"}).Container("nginx"), revision)
	p := r.replica(2, testenv.ContainerConfig{Name: "nginx"}, testenv.ContainerConfig{Name: "sidecar", Command: []string{"sleep", "1000"}})
	if got := firstAnswer(t, p); got != "right" {
		t.Errorf("the first request is answered with %q", got)
	}
	if e := r.began(p.Container("nginx")); len(e.Wrote) != 1 {
		t.Errorf("event %+v, want the file written", e)
	}
	r.live(p.Container("nginx"), revision)
	for len(r.starts) > 0 {
		if e := <-r.starts; e.ContainerID == p.Container("sidecar").ID {
			t.Errorf("event %+v of a container that is none of ours", e)
		}
	}
}

// TestStartRefused: what no server was proved with is not placed, whatever etcd holds; with what
// others run with the container begins, and keeps it.
func TestStartRefused(t *testing.T) {
	t.Parallel()
	r := newStartRig(t, testenv.SharedNode(t, testenv.V2), "preset")
	r.start()
	r.registered(1)
	first := r.replica(1, recording)
	good := r.live(first.Container("nginx"), r.put("good")).Revision
	r.put(bad)
	r.in(first.Container("nginx"), daemonset.Refused)
	second := r.replica(2, recording)
	c := second.Container("nginx")
	wantPlaced(t, r, c, "good", good)
	s := r.in(c, daemonset.Refused, "last good files")
	if s.Reloads != 1 {
		t.Errorf("%d reloads, want the one that proves what it began with", s.Reloads)
	}
	serves(t, second, "good")

	other := recording
	other.Env = []string{"OTHER=1"} // in which nothing was proved
	wantNotPlaced(t, r, r.replica(3, other).Container("nginx"), daemonset.Waiting, "not proved")
}

// TestStartUnchecked: a profile that wants no check has its files placed in the first pod, too.
func TestStartUnchecked(t *testing.T) {
	t.Parallel()
	r := newStartRig(t, testenv.SharedNode(t, testenv.V2), "off")
	revision := r.put("right")
	r.start()
	r.registered(1)
	asks := r.pod(testenv.PodConfig{Name: r.name + "-0", Containers: []testenv.ContainerConfig{recording}})
	r.live(asks.Container("nginx"), revision)
	second := r.replica(2, recording, testenv.ContainerConfig{Name: "sidecar", Command: []string{"sleep", "1000"}})
	wantPlaced(t, r, second.Container("nginx"), "right", revision)
	r.live(second.Container("nginx"), revision)

	root := recording
	root.ReadonlyRoot = true
	root.Command = []string{"sleep", "1000"}
	third := r.replica(3, root)
	if e := r.began(third.Container("nginx")); e.State != daemonset.Unsupported || !strings.Contains(e.Reason, "read-only") {
		t.Errorf("event %+v, want a read-only filesystem", e)
	}
}

// TestStartEvents: without NRI the files are placed at the event, as early as can be.
func TestStartEvents(t *testing.T) {
	testenv.EachVersion(t, func(t *testing.T, node *testenv.Node) {
		t.Parallel()
		r := newStartRig(t, node, "preset")
		r.nri = ""
		r.start()
		revision := r.put("right")
		r.live(r.replica(1, recording).Container("nginx"), revision)
		// Whether the event or the ordinary path is there first nobody can say.
		for n := 2; ; n++ {
			p := r.replica(n, recording)
			c := p.Container("nginx")
			if s := r.live(c, revision); s.Reloads != 1 {
				t.Errorf("%d reloads, want 1", s.Reloads)
			}
			serves(t, p, "right")
			var early bool
			for len(r.starts) > 0 {
				e := <-r.starts
				early = early || e.ContainerID == c.ID && len(e.Wrote) == 1
			}
			if early {
				return
			}
			if n == 12 {
				t.Fatal("in none of the replicas the files were placed at its event")
			}
		}
	})
}

// TestStartWithoutEtcd: an etcd that hangs or has ended delays no start, and what it said last
// is placed. A new agent, which it has told nothing yet, leaves containers as they are.
func TestStartWithoutEtcd(t *testing.T) {
	t.Parallel()
	r := newStartRig(t, testenv.SharedNode(t, testenv.V2), "preset")
	r.etcd = testenv.NewEtcdWith(t, testenv.EtcdConfig{Version: testenv.Debian})
	r.start()
	r.registered(1)
	revision := r.put("right")
	r.live(r.replica(1, recording).Container("nginx"), revision)
	resume, err := r.etcd.Hang()
	if err != nil {
		t.Fatal(err)
	}
	second := r.replica(2, recording)
	wantPlaced(t, r, second.Container("nginx"), "right", revision)
	serves(t, second, "right")
	if err := resume(); err != nil {
		t.Fatal(err)
	}
	r.etcd.Stop()
	third := r.replica(3, recording)
	wantPlaced(t, r, third.Container("nginx"), "right", revision)
	serves(t, third, "right")

	r.stop()
	r.start()
	r.registered(2)
	r.in(third.Container("nginx"), daemonset.Stale)
	wantNotPlaced(t, r, r.replica(4, recording).Container("nginx"), daemonset.Waiting, "nothing of its keys has been read")
}

// TestStartUserNamespace: what is placed belongs to whom it should, as the container sees it.
func TestStartUserNamespace(t *testing.T) {
	t.Parallel()
	r := newStartRig(t, testenv.SharedNode(t, testenv.V2), "preset")
	if err := os.Chmod(filepath.Dir(r.dir), 0o711); err != nil { // as /run is
		t.Fatal(err)
	}
	r.resource(r.name, "uid = 101\nmode = \"0640\"\n"+`dest = "`+conf+`"`, `process = "nginx"`, `check = "preset"`, `container = "nginx"`)
	r.start()
	r.registered(1)
	run := func(n int) *testenv.Container {
		name := fmt.Sprintf("%s-%d", r.name, n)
		return r.pod(testenv.PodConfig{Name: name, UserNS: true, Containers: []testenv.ContainerConfig{recording}}).Container("nginx")
	}
	revision := r.put("mapped")
	r.live(run(1), revision)
	c := run(2)
	wantPlaced(t, r, c, "mapped", revision)
	if got := exec(t, c, "stat -c '%u %g %a' "+conf); got != "101 0 640" {
		t.Errorf("owner and mode inside are %s, want 101 0 640", got)
	}
	r.live(c, revision)
}

// TestStartNotKnown: what cannot be known in time is not placed, and the event says why.
func TestStartNotKnown(t *testing.T) {
	t.Parallel()
	apache := testenv.ContainerConfig{Name: "nginx", Command: []string{"sh", "-c", "cp " + conf + " /tmp/first; exec apache2 -D FOREGROUND"}}
	for name, tt := range map[string]struct {
		container testenv.ContainerConfig
		template  string
		profile   []string
		why       string
	}{
		"a server that a bad configuration ends": {apache, `dest = "/etc/apache2/extra.conf"`, []string{`process = "apache"`, `container = "nginx"`}, "tried anew each time"},
		"a command that shows nothing":           {recording, `dest = "` + conf + `"`, []string{`process = "nginx"`}, "its command does not show"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newStartRig(t, testenv.SharedNode(t, testenv.V2), "preset")
			r.resource(r.name, tt.template, append(tt.profile, `check = "preset"`)...)
			r.start()
			r.registered(1)
			revision := r.put("right")
			r.live(r.replica(1, tt.container).Container("nginx"), revision)
			c := r.replica(2, tt.container).Container("nginx")
			wantNotPlaced(t, r, c, daemonset.Waiting, tt.why)
			r.live(c, revision)
		})
	}
}

// TestStartAsks: a template that asks what is inside keeps no container waiting.
func TestStartAsks(t *testing.T) {
	t.Parallel()
	r := newStartRig(t, testenv.SharedNode(t, testenv.V2), "off")
	text := `server { listen 80; location / { return 200 "{{getv "/value"}}{{fileExists "/etc/passwd"}}"; } }`
	if err := os.WriteFile(r.path("etc/templates/"+r.name+".tmpl"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.registered(1)
	revision := r.put("right")
	r.live(r.replica(1, recording).Container("nginx"), revision)
	c := r.replica(2, recording).Container("nginx")
	wantNotPlaced(t, r, c, daemonset.Waiting, "its templates ask what is inside")
	r.live(c, revision)
}

// TestStartRestarts: the plugin is there again behind a restart of containerd and of the agent.
func TestStartRestarts(t *testing.T) {
	r := newStartRig(t, testenv.NewNode(t, testenv.V2), "preset")
	r.start()
	r.registered(1)
	first := r.replica(1, recording)
	revision := r.put("right")
	r.live(first.Container("nginx"), revision)
	if err := r.node.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.registered(2)
	second := r.replica(2, recording)
	wantPlaced(t, r, second.Container("nginx"), "right", revision)
	r.live(second.Container("nginx"), revision)

	// A new agent learns anew what servers are live with.
	r.stop()
	count := &counting{Checker: r.applier.Checker}
	r.applier.Checker = count
	r.start()
	r.registered(3)
	eventually(t, "the new agent knows what both run with", func() error {
		if got := count.proofs.Load(); got < 2 {
			return fmt.Errorf("%d proofs", got)
		}
		return nil
	})

	r.stop()
	none := r.replica(3, recording)
	if got := found(t, none.Container("nginx")); !strings.Contains(got, "hello from the image") {
		t.Errorf("without an agent the container found %q", got)
	}
	r.start()
	r.registered(4)
	r.live(none.Container("nginx"), revision)
	third := r.replica(4, recording)
	wantPlaced(t, r, third.Container("nginx"), "right", revision)
}

// TestStartInHistory: what was placed before the start can be gone back to, also where no reload proves it.
func TestStartInHistory(t *testing.T) {
	t.Parallel()
	r := newStartRig(t, testenv.SharedNode(t, testenv.V2), "off")
	r.profile(r.name, `container = "nginx"`)
	r.start()
	r.registered(1)
	revision := r.put("right")
	r.applied(r.replica(1, recording).Container("nginx"), revision)
	second := r.replica(2, recording)
	c := second.Container("nginx")
	wantPlaced(t, r, c, "right", revision)
	s := r.applied(c, revision)
	eventually(t, "the history leads back to it", func() error {
		entries, err := r.applier.Store.History(s.Namespace + "/" + s.Pod + "/" + s.Name)
		if err != nil || len(entries) != 2 || entries[1].State != daemonset.Applied || len(entries[1].Files) != 1 || entries[1].Revision < revision {
			return fmt.Errorf("the history is %+v, %v", entries, err)
		}
		return nil
	})
}
