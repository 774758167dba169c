package nsenter_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/nsenter"
)

// A shim is looked at from the node while it hangs inside: it has nothing of
// this process.
func TestShimHoldsNothing(t *testing.T) {
	t.Setenv("PODRELOAD_SECRET", "secret")
	// A descriptor that somebody forgot to mark close-on-exec.
	leak, err := unix.Open("/", unix.O_PATH, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(leak)

	p, s := start(t, "plain"), sealed(t)
	needsDead(t, p)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Cross(ctx, p.Process, p.Process, write(t, "/dead/dir/x", ""))
	}()
	defer func() { cancel(); <-done }()
	info := shimProcess(t)

	proc := fmt.Sprintf("/proc/%d/", info.Pid)
	if info.PIDNS != mustInfo(t, os.Getpid()).PIDNS || info.NSPid != info.Pid {
		t.Errorf("it is in the PID namespace %d, as %d", info.PIDNS, info.NSPid)
	}
	if b, err := os.ReadFile(proc + "environ"); err != nil || len(b) > 0 {
		t.Errorf("its environment is %q, %v", b, err)
	}
	status := status(t, info.Pid)
	for key, want := range map[string]string{"NoNewPrivs": "1", "Name": "podreload-shim"} {
		if status[key] != want {
			t.Errorf("%s is %q, want %q", key, status[key], want)
		}
	}
	if b, err := os.ReadFile(proc + "maps"); err != nil || bytes.Contains(b, []byte(filepath.Base(os.Args[0]))) {
		t.Errorf("this program is in its memory, or %v", err)
	}
	if sid, err := unix.Getsid(info.Pid); err != nil || sid != info.Pid {
		t.Errorf("its session is %d, %v", sid, err)
	}
	tasks, err := os.ReadDir(proc + "task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		main := task.Name() == strconv.Itoa(info.Pid)
		for fd, target := range descriptors(t, proc+"task/"+task.Name()) {
			switch {
			case target == "anon_inode:[pidfd]":
			case !main && strings.HasPrefix(target, "socket:"):
			case main && target == "/": // the container's root
			case main && target == proc+"fd":
			default:
				t.Errorf("thread %s (main: %v) holds %d, %s", task.Name(), main, fd, target)
			}
		}
	}
}

// A container that stops the child which is born in it sees the one part of podreload that
// it can ever see, and gains nothing by it: not even that the child stays.
func TestChildHoldsNothing(t *testing.T) {
	p, s := start(t, "stop"), sealed(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			s.Cross(ctx, p.Process, p.Process, write(t, "/etc/x", ""))
		}
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			unix.Kill(p.Pid(), unix.SIGKILL) // so that what it says has an end
		}
	}()
	defer func() { cancel(); <-done }()
	var inner int
	for inner == 0 { // until one is stopped, the signals arrive
		line, err := p.said.ReadString('\n')
		if err != nil {
			t.Skip("the child is too quick here to be stopped")
		}
		fmt.Sscanf(line, "stopped %d", &inner)
	}
	child := born(t, p, inner)
	status := status(t, child.Pid)
	for key, want := range map[string]string{
		"Threads": "1", "NoNewPrivs": "1", "Seccomp": "2",
		"CapEff": "0000000000000020", "CapPrm": "0000000000000020", "CapInh": "0000000000000000", "CapAmb": "0000000000000000",
	} {
		if status[key] != want {
			t.Errorf("%s is %q, want %q", key, status[key], want)
		}
	}
	proc := fmt.Sprintf("/proc/%d", child.Pid)
	if fds := descriptors(t, proc); len(fds) != 1 || fds[0] != "anon_inode:[pidfd]" {
		t.Errorf("it holds %v", fds)
	}
	if kept := writableMemory(t, proc); kept == 0 || kept > 512<<10 {
		t.Errorf("it has %d bytes of the shim's memory, want no more than the stack that it runs on and what Go's runtime took late", kept)
	}
	if child.MntNS != mustInfo(t, p.Pid()).MntNS {
		t.Error("it is in another mount namespace than the container")
	}
	for _, name := range []string{"root", "cwd"} {
		if got, want := inode(t, proc+"/"+name), inode(t, fmt.Sprintf("/proc/%d/root", p.Pid())); got != want {
			t.Errorf("its %s is %v, the container's root %v", name, got, want)
		}
	}
	held := pin(t, child.Pid)
	cancel()
	if err := held.Wait(t.Context()); err != nil { // it is killed with its shim, stopped or not
		t.Error(err)
	}
}

// writableMemory adds up what a process could hold of its own.
func writableMemory(t *testing.T, proc string) (size uint64) {
	t.Helper()
	maps, err := os.ReadFile(proc + "/maps")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(maps)) {
		var start, end uint64
		var mode string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &start, &end, &mode); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if strings.HasPrefix(mode, "rw") {
			size += end - start
		}
	}
	return size
}

// born finds the process with the given number in the container's PID namespace.
func born(t *testing.T, p *process, inner int) nsenter.Info {
	t.Helper()
	pids, err := nsenter.Pids()
	if err != nil {
		t.Fatal(err)
	}
	ns := mustInfo(t, p.Pid()).PIDNS
	for _, pid := range pids {
		info, err := nsenter.ReadInfo(pid)
		if err == nil && info.PIDNS == ns && info.NSPid == inner {
			return info
		}
	}
	t.Fatalf("no process is %d inside", inner)
	return nsenter.Info{}
}

func mustInfo(t *testing.T, pid int) nsenter.Info {
	t.Helper()
	info, err := nsenter.ReadInfo(pid)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func status(t *testing.T, pid int) map[string]string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := make(map[string]string)
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(line, ":")
		fields[key] = strings.TrimSpace(value)
	}
	return fields
}

func descriptors(t *testing.T, proc string) map[int]string {
	t.Helper()
	entries, err := os.ReadDir(proc + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	fds := make(map[int]string)
	for _, entry := range entries {
		fd, _ := strconv.Atoi(entry.Name())
		if fds[fd], err = os.Readlink(proc + "/fd/" + entry.Name()); err != nil {
			t.Error(err)
		}
	}
	return fds
}

func inode(t *testing.T, path string) [2]uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return [2]uint64{st.Dev, st.Ino}
}
