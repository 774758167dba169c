package agent_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/podreload/podreload/daemonset/agent"
	"github.com/podreload/podreload/testenv"
)

// TestExperiment is what podreload began with: a key changes in etcd, and nginx
// in a pod that shares no PIDs serves it, without a restart, a lost request or a
// trace of us.
func TestExperiment(t *testing.T) {
	testenv.EachVersion(t, func(t *testing.T, node *testenv.Node) {
		t.Parallel()
		r := newRig(t, node)
		if err := testenv.WriteTree(r.path("etc"), experimentConf(r.name)); err != nil {
			t.Fatal(err)
		}
		cfg := testenv.ExperimentPod()
		cfg.Labels[agent.LabelProfile] = r.name
		p := r.pod(cfg)
		nginx, registry := p.Container("nginx"), p.Container("registry")
		wantNamespaces(t, registry, nginx)
		serves(t, p, "hello from the image\n")

		first := r.putKey(r.key("greeting"), "first")
		r.start()
		if s := r.live(nginx, first); s.Reloads != 1 {
			t.Errorf("%d reloads after the first value, want 1", s.Reloads)
		}
		serves(t, p, "first\n")

		other := info(t, initPid(t, registry))
		before := nginxOf(t, nginx)
		finish := slowRequest(t, p)
		second := r.putKey(r.key("greeting"), "second")
		s := r.live(nginx, second)
		serves(t, p, "second\n")
		if got := finish(); !strings.HasSuffix(got, "started\nfinished\n") {
			t.Errorf("the request in flight got %q", got)
		}
		wantReloaded(t, before, nginxOf(t, nginx))
		if got := info(t, initPid(t, registry)); got.Pid != other.Pid || got.StartTime != other.StartTime {
			t.Errorf("the registry is process %d, want %d as before", got.Pid, other.Pid)
		}
		if s.Reloads != 2 || s.Owed || s.Process == nil || s.Process.Pid != before.master || s.Process.NSPid != 1 {
			t.Errorf("status %+v, want 2 reloads of process %d, 1 inside, and none owed", s, before.master)
		}
		for _, c := range []*testenv.Container{nginx, registry} {
			for _, look := range []string{"ps -o args", "find / -xdev -name '*pod[r]eload*'"} {
				if left := exec(t, c, look); strings.Contains(left, "podreload") {
					t.Errorf("something of ours stayed in %s:\n%s", c.Name, left)
				}
			}
		}
	})
}

// experimentConf is the experiment's confdir under another name.
func experimentConf(name string) map[string]string {
	files := map[string]string{}
	for path, text := range testenv.ExperimentConf() {
		path = strings.Replace(path, "conf.d/web", "conf.d/"+name, 1)
		files[path] = strings.Replace(text, `"/web"`, `"/`+name+`"`, 1)
	}
	return files
}

func wantNamespaces(t *testing.T, a, b *testenv.Container) {
	t.Helper()
	got := map[string]bool{}
	for _, ns := range []string{"net", "ipc", "uts", "pid", "mnt"} {
		var links [2]string
		for i, c := range []*testenv.Container{a, b} {
			var err error
			if links[i], err = os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", initPid(t, c), ns)); err != nil {
				t.Fatal(err)
			}
		}
		got[ns] = links[0] == links[1]
	}
	want := map[string]bool{"net": true, "ipc": true, "uts": true, "pid": false, "mnt": false}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("which namespaces are shared (-want +got):\n%s", diff)
	}
}

// slowRequest begins a request and returns, once its first part has come, what
// waits for the whole.
func slowRequest(t *testing.T, p *testenv.Pod) (finish func() string) {
	t.Helper()
	conn, err := p.Dial(t.Context(), "tcp", "127.0.0.1:80")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "GET /cgi-bin/slow HTTP/1.0\r\nHost: test\r\n\r\n")
	in := bufio.NewReader(conn)
	var got strings.Builder
	for !strings.HasSuffix(got.String(), "started\n") {
		line, err := in.ReadString('\n')
		got.WriteString(line)
		if err != nil {
			t.Fatalf("the slow request: %v after %q", err, got.String())
		}
	}
	return func() string {
		rest, err := io.ReadAll(in)
		if err != nil {
			t.Errorf("the slow request: %v", err)
		}
		return got.String() + string(rest)
	}
}
