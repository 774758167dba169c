package shim

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/testenv"
)

// container is a directory that plays a container's root.
type container struct {
	t    testing.TB
	dir  string
	root Root
	sent []int // the signals
	fail error // what signalling answers
}

func newContainer(t testing.TB) *container {
	t.Helper()
	testenv.NeedsRoot(t)
	c := &container{t: t, dir: filepath.Join(t.TempDir(), "root")}
	c.must(os.Mkdir(c.dir, 0o755))
	var err error
	c.root.Dir, err = unix.Open(c.dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	c.must(err)
	t.Cleanup(func() { unix.Close(c.root.Dir) })
	c.root.Self, err = unix.Open("/proc/self/fd", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	c.must(err)
	t.Cleanup(func() { unix.Close(c.root.Self) })
	return c
}

func (c *container) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *container) path(name string) string { return filepath.Join(c.dir, name) }

func (c *container) write(name, text string, mode fs.FileMode) {
	c.t.Helper()
	c.must(os.MkdirAll(filepath.Dir(c.path(name)), 0o755))
	c.must(os.WriteFile(c.path(name), []byte(text), mode))
	c.must(os.Chmod(c.path(name), mode))
}

func (c *container) mkdir(name string) {
	c.t.Helper()
	c.must(os.MkdirAll(c.path(name), 0o755))
}

func (c *container) symlink(target, name string) {
	c.t.Helper()
	c.must(os.Symlink(target, c.path(name)))
}

const immutableFlag = 0x10 // FS_IMMUTABLE_FL of linux/fs.h

// immutable makes a file one that nobody can change or replace: ioctl_iflags(2).
func (c *container) immutable(name string) {
	c.t.Helper()
	fd, err := unix.Open(c.path(name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	c.must(err)
	flags, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, flags|immutableFlag)
	}
	if err != nil {
		unix.Close(fd)
		testenv.Lacking(c.t, err)
	}
	c.t.Cleanup(func() {
		c.must(unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, flags))
		unix.Close(fd)
	})
}

func (c *container) mount(source, name, kind string, flags uintptr, data string) {
	c.t.Helper()
	c.must(unix.Mount(source, c.path(name), kind, flags, data))
	c.t.Cleanup(func() { c.must(unix.Unmount(c.path(name), unix.MNT_DETACH)) })
}

// work is a request under way, for a test of its parts.
func (c *container) work(req Request) *work {
	w := start(c.root, req)
	c.t.Cleanup(w.close)
	return w
}

func (c *container) run(req Request) Result {
	return Run(c.root, req, func(sig int) error {
		c.sent = append(c.sent, sig)
		return c.fail
	})
}

// stands is what is at a name: its contents, mode and owner, and that nothing of
// ours is beside it.
func (c *container) stands(name, text string, mode, uid, gid uint32) {
	c.t.Helper()
	var st unix.Stat_t
	c.must(unix.Lstat(c.path(name), &st))
	b, err := os.ReadFile(c.path(name))
	c.must(err)
	type file struct {
		Text           string
		Mode, UID, GID uint32
	}
	want, got := file{text, unix.S_IFREG | mode, uid, gid}, file{string(b), st.Mode, st.Uid, st.Gid}
	if diff := cmp.Diff(want, got); diff != "" {
		c.t.Errorf("%s, -want +got:\n%s", name, diff)
	}
	c.clean()
}

// clean says that nothing staged is left anywhere.
func (c *container) clean() {
	c.t.Helper()
	filepath.WalkDir(c.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "proc" {
			return fs.SkipDir
		}
		if err == nil && strings.HasPrefix(d.Name(), ".podreload") {
			c.t.Errorf("%s was left behind", path)
		}
		return nil
	})
}

// refused says that a result is a refusal with the given parts.
func (c *container) refused(res Result, step string, errno syscall.Errno, words string) {
	c.t.Helper()
	if res.Error == nil {
		c.t.Fatalf("it was done: %+v", res)
	}
	if res.Error.Step != step || res.Error.Errno != errno || !strings.Contains(res.Error.Message, words) {
		c.t.Errorf("step %q, errno %v, %q; want %q, %v, …%s…", res.Error.Step, res.Error.Errno, res.Error, step, errno, words)
	}
	if errno != 0 && !errors.Is(res.Err(), errno) {
		c.t.Errorf("errors.Is(%v, %v) is false", res.Err(), errno)
	}
	if len(c.sent) > 0 {
		c.t.Errorf("signals %v were sent", c.sent)
	}
	c.clean()
}
