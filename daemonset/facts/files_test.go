package facts_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/podreload/podreload/daemonset/facts"
	"github.com/podreload/podreload/testenv"
)

func TestFileExists(t *testing.T) {
	for _, kind := range []testenv.PodConfig{{}, {UserNS: true}} {
		in := pod(t, testenv.V2, kind, testenv.ContainerConfig{})
		in.sh("mkfifo /fifo; ln -s /etc/passwd /link; ln -s /nowhere /dangling; ln -s ../../../../../../../../etc/passwd /outwards; mkdir -m 700 /dir; touch /dir/x")
		f := in.facts()
		for path, want := range map[string]bool{
			"/etc/hosts": true, "/etc/resolv.conf": true, "/etc": true, "/etc/": true, "/": true, "etc/hosts": true, "/fifo": true, "/dev/null": true,
			"/dir/x": true, "/link": true, "/outwards": true, "/dangling": false, "/nothing": false, "/nothing/x": false, "": false,
			"/etc/hosts/x": true, "/" + strings.Repeat("x", 5000): true, "/nul\x00": true,
			// What is there on the node is not what is meant.
			testenvRoot(in): false,
		} {
			if got, err := f.FileExists(path); got != want || err != nil {
				t.Errorf("%.40q: %v, %v", path, got, err)
			}
		}
		// Within a pass there is one answer.
		in.sh("touch /nothing")
		if got, err := f.FileExists("/nothing"); got || err != nil {
			t.Errorf("again: %v, %v", got, err)
		}
		if got, err := in.facts().FileExists("/nothing"); !got || err != nil {
			t.Errorf("the next pass: %v, %v", got, err)
		}
	}
}

// testenvRoot is a folder that only the node has.
func testenvRoot(in *inside) string { return testenv.SharedNode(in.t, testenv.V2).Dir() }

func TestOwners(t *testing.T) {
	for _, kind := range []testenv.PodConfig{{}, {UserNS: true}} {
		in := pod(t, testenv.V2, kind, testenv.ContainerConfig{})
		in.write("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nweb:x:101:102:::\nweb:x:7:7:::\n")
		in.write("/etc/group", "root:x:0:\nweb:x:102:root\n")
		f := in.facts()
		for name, want := range map[string]uint32{"root": 0, "web": 101, "33": 33, "4294967294": 4294967294} {
			if got, err := f.User(name); got != want || err != nil {
				t.Errorf("user %q: %d, %v", name, got, err)
			}
		}
		if got, err := f.Group("web"); got != 102 || err != nil {
			t.Errorf("group: %d, %v", got, err)
		}
		for _, name := range []string{"nobody", "", "-1", "4294967296", "root:x"} {
			if got, err := f.User(name); !errors.Is(err, facts.ErrUnknown) || !strings.Contains(err.Error(), "/etc/passwd") || !strings.Contains(err.Error(), in.container.String()) {
				t.Errorf("user %q: %d, %v", name, got, err)
			}
		}
		if _, err := f.Group("nobody"); !errors.Is(err, facts.ErrUnknown) || !strings.Contains(err.Error(), "/etc/group") {
			t.Errorf("group: %v", err)
		}
		if got, err := f.User("4294967295"); err == nil {
			t.Errorf("nobody's number: %d", got)
		}
	}
}

// Files that are made to hold a reader up, or to fill it. From the node, since the
// runtime itself reads /etc/passwd to start anything inside.
func TestHostileFiles(t *testing.T) {
	in := pod(t, testenv.Debian, testenv.PodConfig{}, testenv.ContainerConfig{Privileged: true})
	in.sh("for f in /etc/resolv.conf /etc/hosts /etc/passwd; do while umount $f 2>/dev/null; do :; done; done")
	etc := fmt.Sprintf("/proc/%d/root/etc/", in.init.Pid())
	for about, tt := range map[string]struct {
		make  func(path string) error
		words string
	}{
		"FIFO":     {func(path string) error { return syscall.Mkfifo(path, 0o644) }, "a FIFO"},
		"device":   {func(path string) error { return os.Symlink("/dev/zero", path) }, "a character device"},
		"folder":   {func(path string) error { return os.Mkdir(path, 0o755) }, "a directory"},
		"large":    {func(path string) error { return errors.Join(os.WriteFile(path, nil, 0o644), os.Truncate(path, 1<<40)) }, "too large"},
		"kernel's": {func(path string) error { return os.Symlink("/proc/kmsg", path) }, "filesystem of the kernel"},
		"circle":   {func(path string) error { return os.Symlink(filepath.Base(path), path) }, "circle"},
	} {
		for _, name := range []string{"hosts", "resolv.conf", "passwd"} {
			if err := errors.Join(os.RemoveAll(etc+name), tt.make(etc+name)); err != nil {
				t.Fatal(err)
			}
		}
		f := in.facts()
		if _, err := f.LookupIP("web"); err == nil || !strings.Contains(err.Error(), tt.words) || !strings.Contains(err.Error(), "/etc/hosts") {
			t.Errorf("%s: hosts: %v", about, err)
		}
		if _, err := f.LookupSRV("http", "tcp", "web"); err == nil || !strings.Contains(err.Error(), tt.words) || !strings.Contains(err.Error(), "/etc/resolv.conf") {
			t.Errorf("%s: resolv.conf: %v", about, err)
		}
		if _, err := f.User("web"); err == nil || !strings.Contains(err.Error(), tt.words) || !strings.Contains(err.Error(), "/etc/passwd") {
			t.Errorf("%s: passwd: %v", about, err)
		}
	}
	for _, name := range []string{"hosts", "resolv.conf", "passwd"} {
		if err := os.RemoveAll(etc + name); err != nil {
			t.Fatal(err)
		}
	}
	f := in.facts()
	if _, err := f.LookupIP("web"); !errors.Is(err, facts.ErrNoAnswer) {
		t.Errorf("without any: %v", err)
	}
	if _, err := f.User("web"); !errors.Is(err, facts.ErrUnknown) {
		t.Errorf("without passwd: %v", err)
	}
}

func TestTooManyQuestions(t *testing.T) {
	in := pod(t, testenv.Debian, testenv.PodConfig{}, testenv.ContainerConfig{})
	f := in.facts()
	for i := range 1024 {
		if _, err := f.InterfaceAddrs(fmt.Sprint("none", i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.InterfaceAddrs("lo"); !errors.Is(err, facts.ErrTooMany) {
		t.Errorf("%v", err)
	}
	if _, err := f.InterfaceAddrs("none0"); err != nil {
		t.Errorf("what is known: %v", err)
	}
}

// BenchmarkFileExists is one question of a pass.
func BenchmarkFileExists(b *testing.B) {
	in := pod(b, testenv.Debian, testenv.PodConfig{}, testenv.ContainerConfig{})
	for b.Loop() {
		if _, err := facts.Of(b.Context(), in.shim, in.init, in.container).FileExists("/etc/hosts"); err != nil {
			b.Fatal(err)
		}
	}
}
