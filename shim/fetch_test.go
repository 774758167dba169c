package shim

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// populate makes one of everything.
func populate(c *container) {
	c.write("/etc/hosts", "127.0.0.1 localhost\n", 0o644)
	c.mkdir("/dir")
	c.symlink("/etc/hosts", "/absolute")
	c.symlink("etc/hosts", "/relative")
	c.symlink("../../../../etc/hosts", "/outwards")
	c.symlink("/nowhere", "/dangling")
	c.symlink("loop", "/loop")
	c.must(unix.Mkfifo(c.path("/fifo"), 0o644))
	c.must(unix.Mknod(c.path("/device"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))))
	c.must(unix.Mknod(c.path("/socket"), unix.S_IFSOCK|0o600, 0))
	c.must(os.WriteFile(filepath.Join(filepath.Dir(c.dir), "outside"), nil, 0o644))
	c.symlink("../outside", "/escape")
	c.write("/mounted", "", 0o644)
	c.must(unix.Mount(c.path("/etc/hosts"), c.path("/mounted"), "", unix.MS_BIND, ""))
	c.t.Cleanup(func() { unix.Unmount(c.path("/mounted"), unix.MNT_DETACH) })
}

func TestExists(t *testing.T) {
	c := newContainer(t)
	populate(c)
	want := map[string]bool{
		"/etc/hosts": true, "/etc/../etc/hosts": true, "etc/hosts": true, "/": true, "/dir": true, "/dir/": true,
		"/absolute": true, "/relative": true, "/outwards": true, "/fifo": true, "/device": true, "/socket": true, "/mounted": true,
		"/nothing": false, "/dir/nothing": false, "/nothing/at/all": false, "/dangling": false, "/escape": false, "": false,
		// Whatever is not ENOENT, as in confd.
		"/etc/hosts/x": true, "/etc/hosts/": true, "/loop": true, "/nul\x00": true, "/" + strings.Repeat("n", 300): true,
	}
	req := Request{Op: Exists}
	for path := range want {
		req.Files = append(req.Files, File{Path: path}, File{Path: path})
	}
	res := c.run(req)
	if res.Error != nil || len(res.Files) != 2*len(want) {
		t.Fatalf("%d of %d files, %v", len(res.Files), 2*len(want), res.Error)
	}
	for _, f := range res.Files {
		if f.Existed != want[f.Path] || f.Changed || f.Data != nil {
			t.Errorf("%q: %+v, want %v", f.Path, f, want[f.Path])
		}
	}
}

func TestFetch(t *testing.T) {
	c := newContainer(t)
	populate(c)
	for _, path := range []string{"/etc/hosts", "/absolute", "/relative", "/outwards", "/mounted"} {
		res := c.run(Request{Op: Fetch, Limit: 20, Files: []File{{Path: path}}})
		if res.Error != nil || len(res.Files) != 1 || !res.Files[0].Existed || string(res.Files[0].Data) != "127.0.0.1 localhost\n" {
			t.Errorf("%s: %+v, %v", path, res.Files, res.Error)
		}
	}
	for _, path := range []string{"/nothing", "/nothing/at/all", "/dangling", "/escape"} {
		res := c.run(Request{Op: Fetch, Limit: 20, Files: []File{{Path: path}}})
		if res.Error != nil || len(res.Files) != 1 || res.Files[0].Existed || res.Files[0].Data != nil {
			t.Errorf("%s: %+v, %v", path, res.Files, res.Error)
		}
	}
	for path, words := range map[string]string{
		"/dir": "a directory", "/fifo": "a FIFO", "/device": "a character device", "/socket": "a socket",
		"/loop": "circle", "/etc/hosts/x": "not a directory",
	} {
		res := c.run(Request{Op: Fetch, Limit: 20, Files: []File{{Path: path}}})
		if res.Error == nil || !strings.Contains(res.Error.Error(), words) || !strings.Contains(res.Error.Error(), path) {
			t.Errorf("%s: %v, want %q in it", path, res.Error, words)
		}
	}
}

func TestFetchIsCapped(t *testing.T) {
	c := newContainer(t)
	c.write("/large", "", 0o644)
	c.must(os.Truncate(c.path("/large"), 1<<40)) // takes no room
	res := c.run(Request{Op: Fetch, Limit: 1 << 20, Files: []File{{Path: "/large"}}})
	if res.Error == nil || !strings.Contains(res.Error.Error(), "too large") {
		t.Errorf("%v", res.Error)
	}
	c.write("/etc/hosts", "12345", 0o644)
	if res := c.run(Request{Op: Fetch, Limit: 4, Files: []File{{Path: "/etc/hosts"}}}); res.Error == nil {
		t.Error("one byte too many is read")
	}
}

// A file of the kernel's can hold a reader up, or be endless.
func TestFetchRefusesTheKernels(t *testing.T) {
	c := newContainer(t)
	c.mkdir("/proc")
	c.must(unix.Mount("proc", c.path("/proc"), "proc", 0, ""))
	t.Cleanup(func() { unix.Unmount(c.path("/proc"), unix.MNT_DETACH) })
	c.symlink("/proc/kmsg", "/hosts")
	for _, path := range []string{"/hosts", "/proc/version"} {
		res := c.run(Request{Op: Fetch, Limit: 1 << 20, Files: []File{{Path: path}}})
		if res.Error == nil || !strings.Contains(res.Error.Error(), "filesystem of the kernel") {
			t.Errorf("%s: %+v, %v", path, res.Files, res.Error)
		}
	}
	res := c.run(Request{Op: Exists, Files: []File{{Path: "/proc/version"}, {Path: "/proc/4194304"}}})
	if res.Error != nil || !res.Files[0].Existed || res.Files[1].Existed {
		t.Errorf("exists: %+v, %v", res.Files, res.Error)
	}
}
