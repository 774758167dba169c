package shim

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRefuse(t *testing.T) {
	for _, test := range []struct {
		about  string
		before func(c *container)
		file   File
		step   string
		errno  syscall.Errno
		words  string
	}{
		{about: "relative", file: File{Path: "etc/x"}, step: StepOpen, words: "absolute"},
		{about: "empty", step: StepOpen, words: "absolute"},
		{about: "NUL", file: File{Path: "/etc/x\x00y"}, step: StepOpen, words: "absolute"},
		{about: "the root", file: File{Path: "/"}, step: StepOpen, words: "names a directory"},
		{about: "a slash at the end", file: File{Path: "/etc/"}, step: StepOpen, words: "names a directory"},
		{about: "dots at the end", file: File{Path: "/etc/.."}, step: StepOpen, words: "names a directory"},
		{about: "too long a name", file: File{Path: "/" + strings.Repeat("a", 300)}, step: StepLook, errno: unix.ENAMETOOLONG, words: "shorten"},
		{about: "no parent", file: File{Path: "/no/x"}, step: StepOpen, errno: unix.ENOENT, words: "mkdir = true"},
		{
			about: "a parent that is a file", before: func(c *container) { c.write("/etc", "", 0o644) },
			file: File{Path: "/etc/x"}, step: StepOpen, errno: unix.ENOTDIR, words: "/etc is not a directory",
		},
		{
			about: "a directory", before: func(c *container) { c.mkdir("/x") },
			file: File{Path: "/x"}, step: StepLook, words: "a directory",
		},
		{
			about: "a FIFO", before: func(c *container) { c.must(unix.Mkfifo(c.path("/x"), 0o644)) },
			file: File{Path: "/x"}, step: StepLook, words: "a FIFO",
		},
		{
			about: "a socket", before: func(c *container) { c.must(unix.Mknod(c.path("/x"), unix.S_IFSOCK|0o644, 0)) },
			file: File{Path: "/x"}, step: StepLook, words: "a socket",
		},
		{
			about:  "a character device",
			before: func(c *container) { c.must(unix.Mknod(c.path("/x"), unix.S_IFCHR|0o644, int(unix.Mkdev(1, 3)))) },
			file:   File{Path: "/x"}, step: StepLook, words: "a character device",
		},
		{
			about:  "a block device",
			before: func(c *container) { c.must(unix.Mknod(c.path("/x"), unix.S_IFBLK|0o644, int(unix.Mkdev(7, 99)))) },
			file:   File{Path: "/x"}, step: StepLook, words: "a block device",
		},
		{
			about:  "a link to a FIFO",
			before: func(c *container) { c.must(unix.Mkfifo(c.path("/f"), 0o644)); c.symlink("/f", "/x") },
			file:   File{Path: "/x"}, step: StepLook, words: "a FIFO",
		},
		{
			about: "a link to a directory", before: func(c *container) { c.mkdir("/d"); c.symlink("d", "/x") },
			file: File{Path: "/x"}, step: StepLook, words: "a directory",
		},
		{
			about: "links in a circle", before: func(c *container) { c.symlink("y", "/x"); c.symlink("x", "/y") },
			file: File{Path: "/x/z"}, step: StepOpen, errno: unix.ELOOP, words: "circle",
		},
		{
			about: "mkdir through a link to nothing", before: func(c *container) { c.symlink("/nowhere", "/d") },
			file: File{Path: "/d/e/x", Mkdir: true}, step: StepOpen, words: "/d is a link to nothing",
		},
		{
			about: "mkdir with dots", file: File{Path: "/a/../b/x", Mkdir: true}, step: StepOpen, words: "without ..",
		},
		{
			about: "a mount point",
			before: func(c *container) {
				c.write("/x", "mounted", 0o644)
				c.mount(c.path("/x"), "/x", "", unix.MS_BIND, "")
			},
			file: File{Path: "/x"}, step: StepLook, words: "mount the directory",
		},
		{
			about:  "in /proc",
			before: func(c *container) { c.mkdir("/proc"); c.mount("proc", "/proc", "proc", 0, "") },
			file:   File{Path: "/proc/sys/kernel/hostname"}, step: StepOpen, words: "filesystem of the kernel",
		},
		{
			about:  "mkdir in a cgroup",
			before: func(c *container) { c.mkdir("/cg"); c.mount("cgroup2", "/cg", "cgroup2", 0, "") },
			file:   File{Path: "/cg/podreload-test/x", Mkdir: true}, step: StepOpen, words: "filesystem of the kernel",
		},
		{
			about: "a parent through a magic link",
			before: func(c *container) {
				c.mkdir("/proc")
				c.mount("proc", "/proc", "proc", 0, "")
				c.symlink("/proc/self/cwd", "/d")
			},
			file: File{Path: "/d/x"}, step: StepOpen, errno: unix.ELOOP, words: "/proc",
		},
		{
			about: "a link through a magic link",
			before: func(c *container) {
				c.mkdir("/proc")
				c.mount("proc", "/proc", "proc", 0, "")
				c.symlink("/proc/self/exe", "/x")
			},
			file: File{Path: "/x"}, step: StepLook, errno: unix.ELOOP, words: "/proc",
		},
		{
			about: "a link to a file of the kernel",
			before: func(c *container) {
				c.mkdir("/proc")
				c.mount("proc", "/proc", "proc", 0, "")
				c.symlink("/proc/version", "/x")
			},
			file: File{Path: "/x"}, step: StepLook, words: "filesystem of the kernel",
		},
		{
			about: "a read-only filesystem",
			before: func(c *container) {
				c.mkdir("/ro")
				c.mount("tmpfs", "/ro", "tmpfs", unix.MS_RDONLY, "")
			},
			file: File{Path: "/ro/x"}, step: StepStage, errno: unix.EROFS, words: "emptyDir for example, at /ro",
		},
		{
			about: "a full filesystem",
			before: func(c *container) {
				c.mkdir("/tiny")
				c.mount("tmpfs", "/tiny", "tmpfs", 0, "size=8k")
			},
			file: File{Path: "/tiny/x", Data: make([]byte, 64<<10)}, step: StepStage, errno: unix.ENOSPC, words: "full",
		},
		{
			about: "a filesystem without inodes",
			before: func(c *container) {
				c.mkdir("/tiny")
				c.mount("tmpfs", "/tiny", "tmpfs", 0, "nr_inodes=1")
			},
			file: File{Path: "/tiny/x"}, step: StepStage, errno: unix.ENOSPC, words: "full",
		},
		{
			about: "mkdir in a filesystem without inodes",
			before: func(c *container) {
				c.mkdir("/tiny")
				c.mount("tmpfs", "/tiny", "tmpfs", 0, "nr_inodes=2")
			},
			file: File{Path: "/tiny/a/b/x", Mkdir: true}, step: StepOpen, errno: unix.ENOSPC, words: "full",
		},
	} {
		t.Run(test.about, func(t *testing.T) {
			c := newContainer(t)
			c.write("/first", "old", 0o644)
			if test.before != nil {
				test.before(c)
			}
			first := File{Path: "/first", Data: []byte("new")}
			c.refused(c.run(Request{Op: Apply, Signal: 1, Files: []File{first, test.file}}), test.step, test.errno, test.words)
			c.stands("/first", "old", 0o644, 0, 0)
		})
	}
}

func TestRefuseTwice(t *testing.T) {
	c := newContainer(t)
	c.mkdir("/d")
	c.symlink("d", "/e")
	for _, op := range []Op{Apply, Compare, Read} {
		c.refused(c.run(Request{Op: op, Files: []File{{Path: "/x"}, {Path: "/x"}}}), StepOpen, 0, "twice")
		c.refused(c.run(Request{Op: op, Files: []File{{Path: "/d/x"}, {Path: "/e/x"}}}), StepOpen, 0, "twice")
		c.refused(c.run(Request{Op: op, Files: []File{{Path: "/no/x", Mkdir: true}, {Path: "/no/x", Mkdir: true}}}), StepOpen, 0, "twice")
	}
}

// Directories that were made for a request that failed go again.
func TestMkdirIsUndone(t *testing.T) {
	c := newContainer(t)
	c.mkdir("/x")
	c.refused(c.run(Request{Op: Apply, Files: []File{{Path: "/a/b/f", Mkdir: true}, {Path: "/x"}}}), StepLook, 0, "a directory")
	if _, err := os.Stat(c.path("/a")); err == nil {
		t.Error("/a is there still")
	}
}

// A file that shall be absent is refused there too, though its directory is not.
func TestRefuseAbsent(t *testing.T) {
	c := newContainer(t)
	c.mkdir("/proc")
	c.mount("proc", "/proc", "proc", 0, "")
	c.refused(c.run(Request{Op: Apply, Files: []File{{Path: "/proc/none/x", Absent: true}}}), StepOpen, 0, "filesystem of the kernel")
}
