package agent_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	osexec "os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/agent"
	"github.com/podreload/podreload/daemonset/pods"
	"github.com/podreload/podreload/daemonset/source"
	"github.com/podreload/podreload/daemonset/state"
	"github.com/podreload/podreload/testenv"
)

// TestOwedOverAKill kills the daemon between the signal and its proof. Nobody
// saw the reload: the next daemon signals again though the files are equal.
func TestOwedOverAKill(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	p := r.pod(testenv.PodConfig{})
	c := p.Container("nginx")
	daemon := startDaemon(t, r)
	r.live(c, r.put("one"))

	before := nginxOf(t, c)
	resume := stopped(t, before.master)
	revision := r.put("two")
	pending(t, before.master, unix.SIGHUP)
	daemon.kill()
	s := r.await(c, "the reload is owed", func(s daemonset.Status) bool { return s.Owed })
	if s.Reloads != 1 {
		t.Errorf("%d reloads are proved, want 1", s.Reloads)
	}
	resume()
	serves(t, p, "two")
	unseen := nginxOf(t, c)
	wantReloaded(t, before, unseen)

	startDaemon(t, r)
	if s := r.live(c, revision); s.Owed || s.Reloads != 2 {
		t.Errorf("status %+v, want 2 reloads and none owed", s)
	}
	wantReloaded(t, unseen, nginxOf(t, c))
}

// TestFirstApplyCutOff kills the daemon in the midst of the first apply to a container that only its server shows
// as the server's, and ends the server: what was begun is finished all the same.
func TestFirstApplyCutOff(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	c := r.pod(testenv.PodConfig{Containers: []testenv.ContainerConfig{{Name: "nginx", Command: []string{"sleep", "1000000"}}}}).Container("nginx")
	exec(t, c, "nginx >/dev/null 2>&1")
	s := nginxOf(t, c)
	stopped(t, s.master)
	r.put("begun")
	daemon := startDaemon(t, r)
	pending(t, s.master, unix.SIGHUP)
	daemon.kill()
	for _, pid := range append(s.workers, s.master) {
		kill(t, pid, unix.SIGKILL)
	}
	eventually(t, "no nginx runs", func() error {
		if _, err := findNginx(initPid(t, c)); err == nil {
			return errors.New("it does")
		}
		return nil
	})
	revision := r.put("mended")
	r.start()
	eventually(t, "the file is there", func() error {
		_, err := c.Exec(t.Context(), "grep", "-q", "mended", conf)
		return err
	})
	exec(t, c, "nginx >/dev/null 2>&1")
	r.live(c, revision)
}

// daemon is a `podreload daemon` of its own process.
type daemon struct {
	t   *testing.T
	cmd *osexec.Cmd
}

func startDaemon(t *testing.T, r *rig) *daemon {
	t.Helper()
	testenv.Shim(t) // which has to lie beside it
	var said bytes.Buffer
	d := &daemon{t, osexec.Command(testenv.Binary(t, "podreload"), "--runtime-endpoint", "unix://"+r.node.Socket(), "--nri-socket", "",
		"--endpoints", r.etcd.Endpoint(), "--confdir", r.path("etc"), "--state", r.path("run"), "--root", r.path("kept"), "-t", "1m", "daemon")}
	d.cmd.Stderr = &said
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.kill()
		if t.Failed() {
			t.Logf("the daemon said:\n%s", &said)
		}
	})
	return d
}

// kill ends the daemon without a chance to do anything.
func (d *daemon) kill() {
	if err := d.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		d.t.Error(err)
	}
	_ = d.cmd.Wait() // killed, or waited for before
}

// TestStoppedHalfWay ends the agent while a proof is under way: at once, without
// counting that as a failure, and without forgetting the reload.
func TestStoppedHalfWay(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.applier.Timeout = time.Hour
	c := r.pod(testenv.PodConfig{}).Container("nginx")
	r.start()
	r.live(c, r.put("one"))
	master := nginxOf(t, c).master
	resume := stopped(t, master)
	revision := r.put("two")
	pending(t, master, unix.SIGHUP)
	r.stop()
	s := r.in(c, daemonset.Waiting, "half way")
	if !s.Owed || s.Failures != 0 {
		t.Errorf("status %+v, want a reload that is owed and no failure", s)
	}
	resume()
	r.start()
	r.live(c, revision)
}

// manual is the job that `podreload apply` would do now.
func (r *rig) manual(c *testenv.Container) agent.Job {
	r.t.Helper()
	client, err := pods.Dial("unix://"+r.node.Socket(), "k8s.io")
	if err != nil {
		r.t.Fatal(err)
	}
	defer client.Close()
	containers, err := client.List(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	config := r.config()
	for _, target := range agent.Choose(containers, config.Profiles, agent.Running(r.t.Context(), r.applier.Store)) {
		if target.Container.ID != c.ID {
			continue
		}
		etcd, err := source.Open(source.Config{Endpoints: []string{r.etcd.Endpoint()}})
		if err != nil {
			r.t.Fatal(err)
		}
		defer etcd.Close()
		profile, _ := config.Profile(target.Profile)
		job, err := agent.NewJob(target, profile)
		if err != nil {
			r.t.Fatal(err)
		}
		if job.Snapshot, err = etcd.Read(r.t.Context(), job.Bound.Keys()); err != nil {
			r.t.Fatal(err)
		}
		job.Look, job.Insist = true, true
		return job
	}
	r.t.Fatalf("container %s is not chosen", c.Name)
	return agent.Job{}
}

// TestTwoAtOnce applies by hand beside the daemon, through a store of its own as
// another process has one: they take turns, and both end well.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.applier.Timeout = time.Hour
	c := r.pod(testenv.PodConfig{}).Container("nginx")
	r.start()
	r.live(c, r.put("one"))
	store, err := state.Open(r.path("run"), r.path("kept"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	byHand := agent.Applier{Store: store, Shim: r.applier.Shim, Timeout: 100 * time.Millisecond}

	// The daemon is in the middle of an apply, and stays there.
	master := nginxOf(t, c).master
	resume := stopped(t, master)
	revision := r.put("two")
	pending(t, master, unix.SIGHUP)
	job := r.manual(c)
	if _, err := byHand.Apply(t.Context(), job); !errors.Is(err, state.ErrLocked) {
		t.Errorf("apply beside the daemon's: %v, want %v", err, state.ErrLocked)
	}
	byHand.Timeout = patience
	type result struct {
		agent.Outcome
		err error
	}
	done := make(chan result, 1)
	go func() {
		o, err := byHand.Apply(context.WithoutCancel(t.Context()), job)
		done <- result{o, err}
	}()
	resume()
	got := <-done
	if got.err != nil || !got.Unchanged || got.Status.State != daemonset.Live {
		t.Errorf("apply after the daemon's: %+v, want it Live and unchanged", got)
	}
	if s := r.live(c, revision); s.Reloads != 2 {
		t.Errorf("%d reloads of 2 values by two, want 2", s.Reloads)
	}
	if lines := r.said.lines("level=warning", daemonset.ShortID(c.ID)); len(lines) != 0 {
		t.Errorf("the daemon complains: %s", strings.Join(lines, ""))
	}
}
