package state

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/daemonset"
)

// childEnv makes a run of this test binary another process of the same
// directory: "ROLE DIRECTORY".
const childEnv = "PODRELOAD_STATE_TEST_CHILD"

func TestMain(m *testing.M) {
	if role, dir, ok := strings.Cut(os.Getenv(childEnv), " "); ok {
		if err := child(role, dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// child does its part, says so in a line, and goes on until it is killed or its
// stdin ends.
func child(role, dir string) error {
	s, err := Open(dir, filepath.Join(dir, "kept"))
	if err != nil {
		return err
	}
	switch role {
	case "lock":
		_, err = s.Lock(context.Background(), "c1")
	case "daemon":
		_, err = s.Daemon(context.Background(), "/run/containerd.sock")
	case "heir":
		var lock *os.File
		if lock, err = s.lockFile("daemon"); err != nil {
			return err
		}
		heir := exec.Command("cat") // ends with stdin, not with its parent
		heir.Stdin, heir.ExtraFiles = os.Stdin, []*os.File{lock}
		err = heir.Start()
	case "save":
		for i := 0; err == nil; i++ {
			status := Record{Status: daemonset.Status{ContainerID: "c1", Reason: strings.Repeat("x", i%(64<<10))}}
			if err = s.Save(status); i == 0 {
				fmt.Println("saved")
			}
		}
	}
	if err != nil {
		return err
	}
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// startChild returns when the child has done its part. Kill it with the function.
func startChild(t *testing.T, role, dir string) (pid int, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+role+" "+dir)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	t.Cleanup(kill)
	if !bufio.NewScanner(stdout).Scan() {
		kill()
		t.Fatalf("child %s: %v", role, cmd.ProcessState)
	}
	return cmd.Process.Pid, kill
}

func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func TestLockAmongProcesses(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	pid, kill := startChild(t, "lock", dir)
	_, err := s.Lock(ended(), "c1")
	if !errors.Is(err, ErrLocked) || !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "process "+strconv.Itoa(pid)) {
		t.Errorf("got %v, want ErrLocked with process %d", err, pid)
	}
	if err := s.Remove("c1"); !errors.Is(err, ErrLocked) {
		t.Errorf("Remove: got %v, want ErrLocked", err)
	}
	unlock, err := s.Lock(t.Context(), "c2")
	if err != nil {
		t.Errorf("another container: %v", err)
	} else {
		unlock()
	}
	kill()
	unlock, err = s.Lock(t.Context(), "c1")
	if err != nil {
		t.Fatalf("after the holder died: %v", err)
	}
	unlock()
}

func TestLockWaits(t *testing.T) {
	s := open(t, t.TempDir())
	unlock, err := s.Lock(t.Context(), "c1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Lock(ended(), "c1"); !errors.Is(err, ErrLocked) {
		t.Errorf("got %v, want ErrLocked in the same process, too", err)
	}
	got := make(chan error)
	go func() {
		second, err := s.Lock(t.Context(), "c1")
		if err == nil {
			second()
		}
		got <- err
	}()
	unlock()
	if err := <-got; err != nil {
		t.Error(err)
	}
}

// However locks, unlocks and removals mix, there is one holder. No try waits
// here, so that opening, locking and unlinking the file meet in every order.
func TestOneHolder(t *testing.T) {
	dir := t.TempDir()
	var holders atomic.Int32
	var wait sync.WaitGroup
	for range 4 {
		s := open(t, dir)
		wait.Go(func() {
			for range 3000 {
				lock, err := s.tryLock("c1")
				if errors.Is(err, ErrLocked) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d holders", n)
				}
				runtime.Gosched()
				holders.Add(-1)
				release(lock)
			}
		})
		wait.Go(func() {
			for range 3000 {
				if err := s.Remove("c1"); err != nil && !errors.Is(err, ErrLocked) {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
}

func TestCrashWhileSaving(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for range 10 {
		_, kill := startChild(t, "save", dir)
		for range 50 {
			if _, err := s.Load("c1"); err != nil {
				t.Fatalf("while it is saved: %v", err)
			}
		}
		kill()
		if _, err := s.Load("c1"); err != nil {
			t.Fatalf("after a crash: %v", err)
		}
	}
}

func TestDaemon(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if c, ok := s.Running(); ok {
		t.Errorf("before any daemon: %+v runs", c)
	}
	pid, kill := startChild(t, "daemon", dir)
	other := Claim{Pid: pid, Endpoint: "/run/containerd.sock", Root: filepath.Join(dir, "kept")}
	if got, ok := s.Running(); !ok || got != other || !s.Apart(got) {
		t.Errorf("Running() = %+v, %t; want %+v, and that it keeps apart", got, ok, other)
	}
	if _, err := s.Daemon(ended(), ""); !errors.Is(err, ErrRunning) || !strings.Contains(err.Error(), strconv.Itoa(pid)) {
		t.Errorf("got %v, want ErrRunning with pid %d", err, pid)
	}
	kill()
	if got, ok := s.Running(); ok {
		t.Errorf("after the daemon was killed: %+v runs", got)
	}
	done, err := s.Daemon(t.Context(), "here")
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := s.Running(); !ok || got.Pid != os.Getpid() || got.Endpoint != "here" || s.Apart(got) {
		t.Errorf("Running() = %+v, %t; want this process, which keeps here", got, ok)
	}
	done()
	if got, ok := s.Running(); ok {
		t.Errorf("after the daemon ended: %+v runs", got)
	}
}

// TestDaemonOfBefore: one that has not noted its --root counts as one of this.
func TestDaemonOfBefore(t *testing.T) {
	s := open(t, t.TempDir())
	lock, err := s.lockFile("daemon")
	if err != nil {
		t.Fatal(err)
	}
	defer release(lock)
	for text, want := range map[string]Claim{"7\nhere": {Pid: 7, Endpoint: "here"}, "7": {Pid: 7}} {
		note(lock, text)
		if got, ok := s.Running(); !ok || got != want || s.Apart(got) {
			t.Errorf("%q: %+v, %t; want %+v, and not apart", text, got, ok, want)
		}
	}
}

// TestDaemonOnFullDisk: one that could not write its pid below --root, for the disk is full, keeps there all the same.
func TestDaemonOnFullDisk(t *testing.T) {
	kept := t.TempDir()
	s := openKept(t, kept)
	done, err := s.Daemon(t.Context(), "here")
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	if err := os.Truncate(filepath.Join(kept, "daemon"), 0); err != nil { // as the one before it has left it
		t.Fatal(err)
	}
	if c, ok := s.Running(); !ok || s.Apart(c) {
		t.Errorf("%+v, %t: it is said to keep apart", c, ok)
	}
}

// TestDaemonsOfOneRoot: two that keep below one --root would drop each other's contents.
func TestDaemonsOfOneRoot(t *testing.T) {
	kept := t.TempDir()
	one, other := openKept(t, kept), openKept(t, kept)
	done, err := one.Daemon(t.Context(), "here")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Daemon(ended(), "here"); !errors.Is(err, ErrRunning) || !strings.Contains(err.Error(), kept+" ") {
		t.Errorf("got %v, want ErrRunning with %s", err, kept)
	}
	if got, ok := other.Running(); ok {
		t.Errorf("the one that could not claim both holds on to --state: %+v", got)
	}
	done()
	if done, err = other.Daemon(t.Context(), "here"); err != nil {
		t.Fatal(err)
	}
	done()
}

// TestDaemonOfTheDead: a daemon that was killed has forked a child, which holds all that
// it held until it executes its program. The next daemon waits for that moment.
func TestDaemonOfTheDead(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	pid, kill := startChild(t, "heir", dir)
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Daemon(ended(), ""); !errors.Is(err, ErrRunning) {
		t.Fatalf("got %v, want ErrRunning: else the test shows nothing", err)
	}
	claimed := make(chan error, 1)
	go func() {
		done, err := s.Daemon(t.Context(), "here")
		if err == nil {
			done()
		}
		claimed <- err
	}()
	select {
	case err := <-claimed:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(100 * time.Millisecond): // no event tells that somebody waits
	}
	kill() // closes the heir's stdin, too
	if err := <-claimed; err != nil {
		t.Errorf("after the heir's end: %v", err)
	}
}

// TestIDs: a container whose apply was cut off before it had a record is found by its lock, and goes as
// others do.
func TestIDs(t *testing.T) {
	s, err := Open(t.TempDir(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ids := func(want ...string) {
		t.Helper()
		got, err := s.IDs()
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	ids()
	for _, id := range []string{"recorded", "cut-off"} {
		unlock, err := s.Lock(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if id == "recorded" {
			err = s.Save(Record{Status: daemonset.Status{ContainerID: id}})
		}
		if unlock(); err != nil {
			t.Fatal(err)
		}
	}
	ids("cut-off", "recorded")
	for _, id := range []string{"cut-off", "recorded"} {
		if err := s.Remove(id); err != nil {
			t.Error(err)
		}
	}
	ids()
}
