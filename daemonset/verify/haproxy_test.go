package verify

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podreload/podreload/testenv"
)

func testHaproxy(t *testing.T, node *testenv.Node) {
	p := preset(t, "haproxy")
	pod, init := run(t, node, testenv.PodConfig{Name: "haproxy", Containers: []testenv.ContainerConfig{{
		Name: "web", Command: []string{"haproxy", "-W", "-f", haproxyFile},
	}}})
	master, _ := awaitServer(t, p, init)
	if master.Pid() != init.Pid() {
		t.Fatalf("found process %d, want %d", master.Pid(), init.Pid())
	}
	good := read(t, init, haproxyFile)
	once := func() error {
		t.Helper()
		_, pr := awaitServer(t, p, init) // for a moment of each reload nobody listens
		kill(t, master, p.Signal)
		return waitAtMost(t, pr, patience)
	}
	reload := func() error { return sure(once, once) }

	t.Run("good and bad in turn", func(t *testing.T) {
		for n := range 4 {
			answer := fmt.Sprintf("reload %d", n)
			write(t, init, haproxyFile, strings.Replace(good, "hello from the image", answer, 1))
			if err := reload(); err != nil {
				t.Error(err)
			}
			if got, err := pod.Get(t.Context(), 80, "/"); err != nil || !strings.HasPrefix(got, answer) {
				t.Errorf("after a good one: got %q, %v", got, err)
			}
			write(t, init, haproxyFile, "nonsense\n")
			if err := reload(); !errors.Is(err, ErrNotTaken) || !strings.Contains(err.Error(), "kept its old configuration") {
				t.Errorf("bad: got %v, want %v", err, ErrNotTaken)
			}
		}
	})

	// Somebody else's reload, of the good configuration, is under way when ours of
	// the bad one is asked for: its worker is no proof of ours.
	t.Run("another reload under way", func(t *testing.T) {
		for range 10 {
			write(t, init, haproxyFile, good)
			if err := reload(); err != nil {
				t.Fatal(err)
			}
			kill(t, master, p.Signal)
			time.Sleep(rand.N(120 * time.Millisecond)) // any moment of it
			write(t, init, haproxyFile, "nonsense\n")
			if err := reload(); !errors.Is(err, ErrNotTaken) {
				t.Errorf("got %v, want %v", err, ErrNotTaken)
			}
		}
	})

	// All of it is over when the first look comes, as on a busy machine.
	t.Run("another reload under way, seen late", func(t *testing.T) {
		write(t, init, haproxyFile, good)
		if err := reload(); err != nil {
			t.Fatal(err)
		}
		pr, err := p.Before(master)
		if err != nil {
			t.Fatal(err)
		}
		defer pr.Close()
		if err := reload(); err != nil {
			t.Fatal(err)
		}
		write(t, init, haproxyFile, "nonsense\n")
		if err := reload(); !errors.Is(err, ErrNotTaken) {
			t.Fatal(err)
		}
		if err := waitAtMost(t, pr, patience); !errors.Is(err, ErrNotTaken) || !strings.Contains(err.Error(), "a reload before this one") {
			t.Errorf("got %v, want %v", err, ErrNotTaken)
		}
	})

	// haproxy takes an empty configuration, and its worker then has nothing to do.
	t.Run("empty", func(t *testing.T) {
		write(t, init, haproxyFile, "")
		pr, err := p.Before(master)
		if err != nil {
			t.Fatal(err)
		}
		defer pr.Close()
		kill(t, master, p.Signal)
		says(t, pr, "does not listen")
		write(t, init, haproxyFile, good)
		if err := reload(); err != nil {
			t.Error(err)
		}
	})

	write(t, init, haproxyFile, good)
	t.Run("requests in flight", func(t *testing.T) {
		if err := reload(); err != nil {
			t.Fatal(err)
		}
		drains(t, p, master, 0)
		var conns []net.Conn
		for n := range 3 {
			conns = append(conns, half(t, pod))
			if err := reload(); err != nil {
				t.Error(err)
			}
			drains(t, p, master, n+1)
		}
		for _, conn := range conns {
			finish(t, conn)
		}
		drains(t, p, master, 0)
	})

	t.Run("stopped", func(t *testing.T) {
		pr, err := p.Before(master)
		if err != nil {
			t.Fatal(err)
		}
		defer pr.Close()
		testStopped(t, master, pr)
	})

	// Its worker's crash ends the master, unless it is told otherwise.
	t.Run("crash", func(t *testing.T) {
		pr, err := p.Before(master)
		if err != nil {
			t.Fatal(err)
		}
		defer pr.Close()
		for pid := range pr.children {
			syscall.Kill(pid, syscall.SIGSEGV)
		}
		if err := pr.Wait(t.Context()); !errors.Is(err, ErrGone) && !errors.Is(err, ErrNotTaken) {
			t.Errorf("got %v, want %v or %v", err, ErrGone, ErrNotTaken)
		}
	})
}

// testHaproxyAlone has no master, and USR2 would end it.
func testHaproxyAlone(t *testing.T, node *testenv.Node) {
	_, init := run(t, node, testenv.PodConfig{Name: "haproxy-alone", Containers: []testenv.ContainerConfig{{
		Name: "web", Command: []string{"haproxy", "-db", "-f", haproxyFile},
	}}})
	poll(t, time.Now().Add(patience), func() bool {
		info, err := init.Info()
		return err == nil && preset(t, "haproxy").Matches(info.Exe) && info.Catches(syscall.SIGUSR1) // it is ready, then
	})
	if _, err := preset(t, "haproxy").Find(t.Context(), init); !errors.Is(err, ErrNoServer) || !strings.Contains(err.Error(), "without -W") {
		t.Errorf("got %v, want %v that says how", err, ErrNoServer)
	}
}
