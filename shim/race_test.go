package shim

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// A container that swaps a directory for a link out of its root, all the time,
// gets nothing written outside.
func TestSwappedDirectory(t *testing.T) {
	c := newContainer(t)
	outside := filepath.Join(filepath.Dir(c.dir), "outside")
	c.must(os.Mkdir(outside, 0o777))
	c.mkdir("/etc/conf")
	c.must(os.Symlink(outside, c.path("/etc/absolute")))
	c.must(os.Symlink("../../../../../../../.."+outside, c.path("/etc/relative")))

	var swapper sync.WaitGroup
	done := make(chan struct{})
	swapper.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			link := c.path([]string{"/etc/absolute", "/etc/relative"}[i%2])
			unix.Renameat2(unix.AT_FDCWD, c.path("/etc/conf"), unix.AT_FDCWD, link, unix.RENAME_EXCHANGE)
		}
	})
	written := 0
	for i := range 2000 {
		res := c.run(Request{Op: Apply, Files: []File{{Path: "/etc/conf/x", Data: []byte{byte(i)}, Mkdir: i%2 == 0}}})
		if res.Error == nil {
			written++
		}
	}
	close(done)
	swapper.Wait()
	entries, err := os.ReadDir(outside)
	c.must(err)
	if len(entries) > 0 {
		t.Errorf("outside there is %v", entries)
	}
	if written == 0 {
		t.Error("no attempt hit the directory")
	}
}

// A container that swaps a file for a FIFO or a device gets neither opened: a
// reader of the FIFO would be seen by its writer, and would hang.
func TestSwappedFile(t *testing.T) {
	c := newContainer(t)
	c.write("/a", "same", 0o644)
	c.must(unix.Mkfifo(c.path("/fifo"), 0o644))
	var swapper sync.WaitGroup
	done := make(chan struct{})
	opened := false
	swapper.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			unix.Renameat2(unix.AT_FDCWD, c.path("/a"), unix.AT_FDCWD, c.path("/fifo"), unix.RENAME_EXCHANGE)
			for _, name := range []string{"/a", "/fifo"} {
				var st unix.Stat_t
				if unix.Stat(c.path(name), &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
					continue
				}
				// Succeeds only while someone has it open for reading: fifo(7).
				if fd, err := unix.Open(c.path(name), unix.O_WRONLY|unix.O_NONBLOCK, 0); err == nil {
					unix.Fstat(fd, &st)
					opened = opened || st.Mode&unix.S_IFMT == unix.S_IFIFO
					unix.Close(fd)
				}
			}
		}
	})
	for range 2000 {
		c.run(Request{Op: Compare, Files: []File{{Path: "/a", Data: []byte("same")}}})
	}
	close(done)
	swapper.Wait()
	if opened {
		t.Error("the FIFO was opened")
	}
}

// Whatever the path, nothing outside of the root changes.
func FuzzPath(f *testing.F) {
	for _, path := range []string{"/etc/x", "/../x", "/../../outside/x", "/a/../../x", "//x", "/link/x", "/./.", "/abs/x/y"} {
		f.Add(path, true)
		f.Add(path, false)
	}
	c := newContainer(f)
	outside := filepath.Join(filepath.Dir(c.dir), "outside")
	c.must(os.Mkdir(outside, 0o777))
	c.must(os.Symlink("../outside", c.path("link")))
	c.must(os.Symlink(outside, c.path("abs")))
	f.Fuzz(func(t *testing.T, path string, mkdir bool) {
		c.run(Request{Op: Apply, Files: []File{{Path: path, Data: []byte("x"), Mkdir: mkdir}}})
		for dir, want := range map[string]int{outside: 0, filepath.Dir(outside): 2} {
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) != want {
				t.Fatalf("%q: in %s there is %v, %v", path, dir, entries, err)
			}
		}
	})
}
