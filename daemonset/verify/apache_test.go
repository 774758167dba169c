package verify

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podreload/podreload/testenv"
)

func testApache(t *testing.T, node *testenv.Node, mpm string) {
	p := preset(t, "apache")
	pod, init := run(t, node, testenv.PodConfig{Name: "apache-" + mpm, Containers: []testenv.ContainerConfig{{
		Name: "web", Command: []string{"apache2", "-D", "FOREGROUND", "-D", mpm, "-D", "cgi"},
	}}})
	master, _ := awaitServer(t, p, init)
	good := read(t, init, apacheFile)
	reload := func() error { return reloadServer(t, p, master, patience) }

	for n := range 4 {
		answer := fmt.Sprintf("reload %d", n)
		write(t, init, apacheFile, strings.ReplaceAll(good, "hello from the image", answer))
		if err := reload(); err != nil {
			t.Error(err)
		}
		if got, err := pod.Get(t.Context(), 80, "/"); !strings.Contains(fmt.Sprint(got, err), answer) {
			t.Errorf("after a good one: got %q, %v", got, err)
		}
	}
	write(t, init, apacheFile, good)
	if err := reload(); err != nil {
		t.Fatal(err)
	}

	t.Run("requests in flight", func(t *testing.T) {
		drains(t, p, master, 0)
		conn := half(t, pod)
		if err := reload(); err != nil {
			t.Error(err)
		}
		drains(t, p, master, 1) // the one that the request is in; all others end
		finish(t, conn)
		drains(t, p, master, 0)
	})

	t.Run("crash", func(t *testing.T) {
		pr, err := p.Before(master)
		if err != nil {
			t.Fatal(err)
		}
		defer pr.Close()
		for pid, c := range pr.children {
			if c.role == worker {
				syscall.Kill(pid, syscall.SIGKILL)
				break
			}
		}
		if err := waitAtMost(t, pr, enough); !errors.Is(err, ErrNotTaken) {
			t.Errorf("got %v, want %v", err, ErrNotTaken)
		}
	})

	t.Run("stopped", func(t *testing.T) {
		_, pr := awaitServer(t, p, init)
		testStopped(t, master, pr)
	})

	// Before it reads the configuration its workers have stopped to serve.
	t.Run("bad", func(t *testing.T) {
		write(t, init, apacheFile, "nonsense\n")
		err := reload()
		if !errors.Is(err, ErrGone) || !strings.Contains(err.Error(), "a bad configuration does that") {
			t.Errorf("got %v, want %v that says why", err, ErrGone)
		}
	})
}

// TestHelper has a child that has all that a worker has, and has not come to run yet: it may be
// the helper of mod_cgid, which closes it as the first thing that it does.
func TestHelper(t *testing.T) {
	tr := plant(t, node{Name: "apache2", Listen: true})
	p, master := preset(t, "apache"), pin(t, tr.pid)
	tr.do(t, "spin")
	if serving, _, err := p.Census(master); err != nil || serving != 1 {
		t.Fatalf("%d workers, %v: want one that looks like it", serving, err)
	}
	pr, err := p.Before(master)
	if !errors.Is(err, ErrNoServer) {
		t.Errorf("got %v, want %v", err, ErrNoServer)
	}
	if err == nil {
		pr.Close()
	}
	tr.do(t, "sleep")
	poll(t, time.Now().Add(patience), func() bool {
		pr, err := p.Before(master)
		if err == nil {
			pr.Close()
		}
		return err == nil
	})
}
