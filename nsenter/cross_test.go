package nsenter_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/shim"
	"github.com/podreload/podreload/testenv"
)

func TestCross(t *testing.T) {
	p, s := start(t, "plain"), sealed(t)
	reply, err := s.Cross(t.Context(), p.Process, p.Process, write(t, "/etc/x", "hello"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := shim.DecodeResult(reply)
	if err != nil {
		t.Fatal(err)
	}
	want := shim.Result{Signalled: true, Committed: true, Files: []shim.FileResult{
		{Path: "/etc/x", Changed: true, After: &shim.Attributes{Mode: 0o644}},
	}}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	p.says("got hangup as 1")
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/root/etc/x", p.Pid())); string(b) != "hello" {
		t.Errorf("inside is %q, %v", b, err)
	}
	if _, err := os.Lstat("/etc/x"); err == nil {
		t.Error("the file is on the node")
	}
}

// A signal that the request wants without a process to send it to is no success.
func TestCrossWithoutProcessToSignal(t *testing.T) {
	p, s := start(t, "plain"), sealed(t)
	reply, err := s.Cross(t.Context(), p.Process, nil, write(t, "/etc/x", "hello"))
	if err != nil {
		t.Fatal(err)
	}
	res, err := shim.DecodeResult(reply)
	if err != nil || res.Signalled || res.Error == nil || res.Error.Step != shim.StepSignal {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestCrossManyAtOnce(t *testing.T) {
	p, s := start(t, "plain"), sealed(t)
	var group errgroup.Group
	for i := range 8 {
		request := write(t, fmt.Sprintf("/etc/%d", i), "x")
		group.Go(func() error {
			_, err := s.Cross(t.Context(), p.Process, nil, request)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

// A spare serves one request and another takes its place; Close ends the last.
func TestCrossWithSpare(t *testing.T) {
	p, s := start(t, "plain"), sealed(t)
	s.KeepSpare()
	seen := make(map[int]bool)
	for range 3 {
		spare := spareShim(t, seen)
		for spare.Alive() == nil { // it serves the first request, or the next if it was only just started
			if _, err := s.Cross(t.Context(), p.Process, p.Process, write(t, "/etc/x", "x")); err != nil {
				t.Fatal(err)
			}
		}
	}
	// One that was killed meanwhile is not used.
	spare := spareShim(t, seen)
	if err := unix.Kill(spare.Pid(), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for err := error(nil); !errors.Is(err, nsenter.ErrGone); _, err = nsenter.ReadInfo(spare.Pid()) {
		runtime.Gosched()
	}
	if _, err := s.Cross(t.Context(), p.Process, p.Process, write(t, "/etc/x", "y")); err != nil {
		t.Error(err)
	}
}

// spareShim waits for a shim that was not seen before.
func spareShim(t *testing.T, seen map[int]bool) *nsenter.Process {
	t.Helper()
	for t.Context().Err() == nil {
		children, err := nsenter.Children(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		for _, pid := range children {
			if info, err := nsenter.ReadInfo(pid); err == nil && info.Comm == "podreload-shim" && !seen[pid] {
				seen[pid] = true
				if p, err := nsenter.Pin(pid); err == nil { // else it was the last request's, and has ended
					t.Cleanup(func() { p.Close() })
					return p
				}
			}
		}
		runtime.Gosched()
	}
	t.Fatal("no shim came")
	return nil
}

// What goes with the header, what just does not any more, and what comes in many parts.
func TestCrossSizes(t *testing.T) {
	p, s := start(t, "plain"), sealed(t)
	s.KeepSpare()
	sizes := []int{0, 1, 300 << 10, 16 << 20}
	for size := 16<<10 - 96; size <= 16<<10+8; size += 4 { // around what the shim takes at once, less what is not the text
		sizes = append(sizes, size, size+1)
	}
	for _, size := range sizes {
		text := strings.Repeat("0123456789abcdef", size/16+1)[:size]
		if _, err := s.Cross(t.Context(), p.Process, nil, write(t, "/etc/x", text)); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		request, _ := shim.Request{Op: shim.Read, Files: []shim.File{{Path: "/etc/x"}}}.Encode()
		reply, err := s.Cross(t.Context(), p.Process, nil, request)
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if res, err := shim.DecodeResult(reply); err != nil || string(res.Files[0].Data) != text {
			t.Errorf("%d bytes came back otherwise; %v, %v", size, res.Error, err)
		}
	}
}

func TestCrossRefuses(t *testing.T) {
	s := sealed(t)
	p, gone := start(t, "plain"), start(t, "plain")
	gone.end()
	self, err := nsenter.Pin(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	for _, test := range []struct {
		about        string
		into, signal *nsenter.Process
		want         error
	}{
		{"a process that has exited", gone.Process, nil, nsenter.ErrGone},
		{"a signal to one that has exited", p.Process, gone.Process, nsenter.ErrGone},
		{"the node's own mount namespace", self, nil, nsenter.ErrNotContainer},
	} {
		if _, err := s.Cross(t.Context(), test.into, test.signal, write(t, "/etc/x", "")); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.about, err, test.want)
		}
	}
}

// The process to signal has to be in the namespace that is entered: a child that
// is born there cannot reach any other.
func TestCrossSignalsNobodyElse(t *testing.T) {
	p, other, s := start(t, "plain"), start(t, "plain"), sealed(t)
	reply, err := s.Cross(t.Context(), p.Process, other.Process, write(t, "/etc/x", "hello"))
	if err != nil {
		t.Fatal(err)
	}
	res, err := shim.DecodeResult(reply)
	if err != nil || res.Signalled || res.Error == nil || !strings.Contains(res.Error.Message, "PID namespace") {
		t.Errorf("%+v, %v", res, err)
	}
}

// A filesystem inside that never answers costs its own request, no more.
func TestCrossIntoDeadFilesystem(t *testing.T) {
	p, s := start(t, "plain"), sealed(t)
	needsDead(t, p)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := s.Cross(ctx, p.Process, p.Process, write(t, "/dead/dir/x", "")); !errors.Is(err, nsenter.ErrDeadline) {
		t.Errorf("%v, want ErrDeadline", err)
	}

	ctx, cancel = context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := s.Cross(ctx, p.Process, p.Process, write(t, "/dead/dir/x", ""))
		done <- err
	}()
	shimProcess(t)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want Canceled", err)
	}

	if _, err := s.Cross(t.Context(), p.Process, p.Process, write(t, "/etc/x", "")); err != nil {
		t.Errorf("the next request: %v", err)
	}
}

// shimProcess waits until a shim of this process is inside, which hangs there.
func shimProcess(t *testing.T) nsenter.Info {
	t.Helper()
	return shimOf(t, os.Getpid())
}

// shimOf waits until a shim of that process is inside: one of its threads has left the
// node's mount namespace.
func shimOf(t *testing.T, agent int) nsenter.Info {
	t.Helper()
	own, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := func(ns string) bool { return ns != own }
	for t.Context().Err() == nil {
		children, err := nsenter.Children(agent)
		if err != nil {
			t.Fatal(err)
		}
		for _, pid := range children {
			info, err := nsenter.ReadInfo(pid)
			if err == nil && info.Comm == "podreload-shim" && slices.ContainsFunc(testenv.MountNamespaces(pid), elsewhere) {
				return info
			}
		}
		runtime.Gosched()
	}
	t.Fatal("no shim came")
	return nsenter.Info{}
}

func needsDead(t *testing.T, p *process) {
	t.Helper()
	mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", p.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), " /dead ") {
		return
	}
	testenv.Lacking(t, errors.New("needs /dev/fuse"))
}

func TestSealRefuses(t *testing.T) {
	if _, err := nsenter.Seal(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v, want ErrNotExist", err)
	}
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := nsenter.Seal(script); err == nil || !strings.HasSuffix(err.Error(), script+": it is no ELF program") {
		t.Errorf("%v, want that a script is no program", err)
	}
}

// A binary that is no shim is an error in time.
func TestCrossWithAnotherBinary(t *testing.T) {
	p := start(t, "plain")
	s, err := nsenter.Seal("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Cross(t.Context(), p.Process, nil, write(t, "/etc/x", "")); !errors.Is(err, nsenter.ErrShim) {
		t.Errorf("%v, want ErrShim", err)
	}
}
