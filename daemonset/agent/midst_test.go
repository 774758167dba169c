package agent_test

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/agent"
	"github.com/podreload/podreload/daemonset/state"
	"github.com/podreload/podreload/testenv"
)

// decided waits until a revision is live or taken back.
func (r *rig) decided(c *testenv.Container, revision int64) daemonset.Status {
	r.t.Helper()
	return r.await(c, "it is decided", func(s daemonset.Status) bool {
		return s.State == daemonset.RolledBack && !s.Owed || s.State == daemonset.Live && s.Revision >= revision
	})
}

// TestUnsureIsSignalledAgain: a reload that cannot be told from somebody else's that was under way is asked for once
// more, and not undone.
func TestUnsureIsSignalledAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	p := r.pod(testenv.PodConfig{})
	c := p.Container("nginx")
	daemon := startDaemon(t, r)
	r.live(c, r.put("one"))
	exec(t, c, "mkfifo /etc/nginx/slow && echo 'include /etc/nginx/slow;' >/etc/nginx/conf.d/extra.conf")
	before := nginxOf(t, c)
	kill(t, before.master, unix.SIGHUP)
	eventually(t, "nginx reads a FIFO", func() error {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/wchan", before.master))
		if err == nil && string(b) != "wait_for_partner" && string(b) != "fifo_open" {
			err = errors.New(string(b))
		}
		return err
	})
	exec(t, c, "rm /etc/nginx/conf.d/extra.conf")
	revision := r.put("two")
	pending(t, before.master, unix.SIGHUP)
	eventually(t, "the daemon has seen that", func() error {
		rec, err := r.applier.Store.Load(c.ID)
		if err == nil && rec.Next == nil {
			err = errors.New("nothing is under way")
		}
		return err
	})
	// The node is so busy that the daemon does not get to look while both reloads come to their end.
	resume := stopped(t, daemon.cmd.Process.Pid)
	fifo, err := os.OpenFile(fmt.Sprintf("/proc/%d/root/etc/nginx/slow", before.master), os.O_WRONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	fifo.Close()
	serves(t, p, "two")
	nginxOf(t, c) // the old workers have gone
	resume()
	if s := r.decided(c, revision); s.State != daemonset.Live {
		t.Errorf("%s: %s", s.State, s.Reason)
	}
	serves(t, p, "two")
}

// TestRestartedInTheMidst: a server that its supervisor restarts while a reload is under way has refused nothing: it is
// tried again, also where it has refused other contents before.
func TestRestartedInTheMidst(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	p := r.pod(testenv.PodConfig{Containers: []testenv.ContainerConfig{{
		Name: "nginx", Command: []string{"sh", "-c", "while :; do nginx -g 'daemon off;'; sleep 0.2; done"},
	}}})
	c := p.Container("nginx")
	r.start()
	r.live(c, r.put("one"))
	r.put(`bad"; no_such_directive "`)
	r.in(c, daemonset.RolledBack, "reload not taken")
	before := nginxOf(t, c)
	resume := stopped(t, before.master)
	revision := r.put("two")
	pending(t, before.master, unix.SIGHUP)
	kill(t, before.master, unix.SIGTERM)
	resume()
	if s := r.decided(c, revision); s.State == daemonset.RolledBack {
		if s.RetryAt.IsZero() {
			t.Errorf("it is not tried again: %s", s.Reason)
		}
		r.stop()
		r.amend(c, func(rec *state.Record) { rec.Again = time.Now() })
		r.start()
		r.live(c, revision)
	}
	serves(t, p, "two")
}

// TestWorkersThatCannotRun: a configuration that passes its check, and whose workers end at once and are
// not started again (exit code 2). The master stays, and the previous files bring workers back.
func TestWorkersThatCannotRun(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.resource(r.name, `dest = "/etc/nginx/nginx.conf"`, `process = "nginx"`, `check = "preset"`)
	r.write(map[string]string{"templates/" + r.name + ".tmpl": `user nginx; worker_processes 2; pid /run/nginx.pid; error_log stderr notice;
events { worker_connections {{getv "/value"}}; }
http { access_log off; include /etc/nginx/conf.d/*.conf; }
`})
	p := r.pod(testenv.PodConfig{})
	c := p.Container("nginx")
	r.start()
	r.live(c, r.put("256"))
	bad := r.put("2000000000")
	if s := r.decided(c, bad); s.State != daemonset.RolledBack {
		t.Errorf("%s: %s", s.State, s.Reason)
	}
	serves(t, p, "hello from the image\n")
}

// TestRollbackIsTriedAgain: a rollback that came to nothing because the server did not answer in its time can be
// asked for again, and holds.
func TestRollbackIsTriedAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	p := r.pod(testenv.PodConfig{})
	c := p.Container("nginx")
	r.start()
	old := r.live(c, r.put("old"))
	r.live(c, r.put("new"))
	r.stop()
	r.applier.Timeout = time.Second
	resume := stopped(t, nginxOf(t, c).master)
	pin := r.pin(c, old)
	if _, err := r.applier.Apply(t.Context(), r.manual(c)); agent.StateOf(err) == daemonset.Paused {
		t.Fatalf("a stopped server has taken it: %v", err)
	}
	if _, err := r.applier.Store.Resume(t.Context(), pin); err != nil { // as podreload rollback does then
		t.Fatal(err)
	}
	resume()
	r.applier.Timeout = 20 * time.Second
	if _, err := r.applier.Apply(t.Context(), r.manual(c)); err != nil {
		t.Fatal(err)
	}
	serves(t, p, "new")
	r.pin(c, old)
	if _, err := r.applier.Apply(t.Context(), r.manual(c)); agent.StateOf(err) != daemonset.Paused {
		t.Errorf("the second time: %v", err)
	}
	serves(t, p, "old")
	r.start()
	r.in(c, daemonset.Paused, "pinned to revision")
	serves(t, p, "old")
}

// TestPinTakenBackStaysAway: a rollback that did not take, and to which nobody pins the target any more, is not what
// the next daemon puts in place while etcd is away.
func TestPinTakenBackStaysAway(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.etcd = testenv.NewEtcd(t)
	p := r.pod(testenv.PodConfig{})
	c := p.Container("nginx")
	r.start()
	old := r.live(c, r.put("old"))
	r.live(c, r.put("new"))
	r.stop()
	job := r.manual(c)
	r.applier.Timeout = time.Second
	resume := stopped(t, nginxOf(t, c).master)
	pin := r.pin(c, old)
	if _, err := r.applier.Apply(t.Context(), job); agent.StateOf(err) == daemonset.Paused {
		t.Fatalf("a stopped server has taken it: %v", err)
	}
	if _, err := r.applier.Store.Resume(t.Context(), pin); err != nil {
		t.Fatal(err)
	}
	r.applier.Timeout = 20 * time.Second
	resume()
	r.etcd.Stop()
	r.start()
	r.await(c, "nothing is owed", func(s daemonset.Status) bool { return !s.Owed })
	if got, err := p.Get(t.Context(), 80, "/"); err != nil || got != "new" {
		t.Errorf("it serves %q, %v", got, err)
	}
}
