package check

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestReplacedRuntime: a runtime that is replaced while it is about to be run is the old one
// still, and its number nobody else's.
func TestReplacedRuntime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "runtime")
	replace(t, path, "/bin/true")
	o := ociRuntimes{sealed: map[string]*sealed{}}
	old, done, err := o.program(path)
	if err != nil {
		t.Fatal(err)
	}
	_, again, err := o.program(path)
	if err != nil {
		t.Fatal(err)
	}
	replace(t, path, "/bin/false")
	fresh, doneToo, err := o.program(path)
	if err != nil || fresh == old || fresh == path {
		t.Fatalf("after it was replaced: %s, %v; before: %s", fresh, err, old)
	}
	for exe, want := range map[string]error{old: nil, fresh: errExit} {
		if err := execute(t, exe); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", exe, err, want)
		}
	}
	done()
	if err := execute(t, old); err != nil {
		t.Errorf("one of two has run it: %v", err)
	}
	again()
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nobody runs %s, and it is there: %v", old, err)
	}
	doneToo()
	if err := execute(t, fresh); !errors.Is(err, errExit) {
		t.Errorf("the new one is not kept: %v", err)
	}
	o.close()
	if _, err := os.Stat(fresh); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is there after the end: %v", fresh, err)
	}
}

// TestReplacedAtOnce: many run it while it is replaced again and again; each runs a
// runtime, and none that is closed.
func TestReplacedAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "runtime")
	replace(t, path, "/bin/true")
	o := ociRuntimes{sealed: map[string]*sealed{}}
	defer o.close()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				exe, done, err := o.program(path)
				if err == nil {
					err = execute(t, exe)
					done()
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 50 {
		replace(t, path, "/bin/true")
	}
	all.Wait()
	if len(o.sealed) != 1 {
		t.Errorf("%d are kept", len(o.sealed))
	}
}

// replace puts a copy of a program in the place of what is at path.
func replace(t *testing.T, path, program string) {
	t.Helper()
	text, err := os.ReadFile(program)
	if err == nil {
		err = os.WriteFile(path+".new", text, 0o755)
	}
	if err = errors.Join(err, os.Rename(path+".new", path)); err != nil {
		t.Fatal(err)
	}
}

func execute(t *testing.T, exe string) error {
	t.Helper()
	pid, err := syscall.ForkExec(exe, []string{"runtime"}, &syscall.ProcAttr{})
	if err != nil {
		return err
	}
	var status unix.WaitStatus
	for {
		if _, err = unix.Wait4(pid, &status, 0, nil); err != unix.EINTR {
			break
		}
	}
	if err == nil && status.ExitStatus() != 0 {
		err = errExit
	}
	return err
}
