package shim

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Links of a user of the container lead where that user may make files, and no further.
func TestForeignLinks(t *testing.T) {
	const user, group = 1000, 2000
	ids := []IDMap{{0, 100000, 65536}}
	const refusedDir, refusedFile = "leads to a directory that they may not write to", "leads to a file that is not theirs"
	for _, tt := range []struct {
		name      string
		link, dir [2]int // owner and group
		mode      os.FileMode
		ids       []IDMap
		file      bool        // the link is the destination itself
		private   os.FileMode // of the directory that the one which it leads to is in
		setgid    bool        // the directory that the link is in hands on its group
		refused   string
		says      string
	}{
		{name: "root's to root's", mode: 0o700},
		{name: "root's to anybody's", dir: [2]int{user, group}, mode: 0o700},
		{name: "to their own", link: [2]int{user, group}, dir: [2]int{user, 0}, mode: 0o700},
		{name: "to root's", link: [2]int{user, group}, mode: 0o755, refused: refusedDir, says: "user 1000"},
		{name: "to another's", link: [2]int{user, group}, dir: [2]int{user + 1, 0}, mode: 0o755, refused: refusedDir},
		{name: "to one for all", link: [2]int{user, group}, mode: 0o777},
		{name: "to one for all that is sticky", link: [2]int{user, group}, mode: 0o777 | os.ModeSticky, refused: refusedDir},
		{name: "to their group's", link: [2]int{user, group}, dir: [2]int{0, group}, mode: 0o775},
		{name: "to their group's to read", link: [2]int{user, group}, dir: [2]int{0, group}, mode: 0o755, refused: refusedDir},
		{name: "to another group's", link: [2]int{user, group}, dir: [2]int{0, group + 1}, mode: 0o775, refused: refusedDir},
		{name: "to one for all below one of root's own", link: [2]int{user, group}, mode: 0o777, private: 0o700, refused: "leads to a directory that they may not enter"},
		{name: "to their own below one of root's own", link: [2]int{user, group}, dir: [2]int{user, 0}, mode: 0o700, private: 0o750, refused: "may not enter"},
		{name: "to one for all below one of their group's", link: [2]int{user, 0}, mode: 0o777, private: 0o710},
		{name: "to their group's, of a group that it has from its directory", link: [2]int{user, group}, dir: [2]int{0, group}, mode: 0o775, setgid: true, refused: refusedDir},
		{name: "root's to one for all below one of root's own", mode: 0o777, private: 0o700},
		{name: "root's of a user namespace", link: [2]int{100000, 100000}, dir: [2]int{100001, 0}, mode: 0o700, ids: ids},
		{name: "a user's of a user namespace", link: [2]int{100007, 100007}, dir: [2]int{100000, 100000}, mode: 0o755, ids: ids,
			refused: refusedDir, says: "user 7 "},
		{name: "nobody's of a user namespace", link: [2]int{user, group}, dir: [2]int{100000, 100000}, mode: 0o755, ids: ids,
			refused: refusedDir, says: "user 1000 of the node"},
		{name: "a file by root", file: true, mode: 0o600},
		{name: "a file by its owner", file: true, link: [2]int{user, group}, dir: [2]int{user, 0}, mode: 0o600},
		{name: "a file by another", file: true, link: [2]int{user, group}, mode: 0o644, refused: refusedFile},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newContainer(t)
			c.mkdir("/data")
			if tt.setgid {
				c.must(os.Chmod(c.path("/data"), 0o777|os.ModeSetgid))
			}
			path, to, link := "/data/link/x", "/in/to/x", "/data/link"
			if tt.file {
				path, to = "/data/link", "/in/to"
				c.write("/in/to", "secret", 0o644)
			} else {
				c.mkdir("/in/to")
			}
			c.symlink("../in/to", link)
			c.must(os.Lchown(c.path(link), tt.link[0], tt.link[1]))
			c.must(os.Chown(c.path("/in/to"), tt.dir[0], tt.dir[1]))
			c.must(os.Chmod(c.path("/in/to"), tt.mode))
			if tt.private != 0 {
				c.must(os.Chmod(c.path("/in"), tt.private))
			}
			for _, op := range []Op{Read, Compare, Apply} {
				done := make(chan Result)
				go func() {
					runtime.LockOSThread() // and never unlocked: it creates files as another from here on
					done <- c.run(Request{Op: op, UIDMap: tt.ids, GIDMap: tt.ids, Files: []File{{Path: path, Data: []byte("new"), Mkdir: true}}})
				}()
				res := <-done
				if tt.refused == "" {
					if res.Error != nil {
						t.Errorf("operation %d: %v", op, res.Error)
					}
					continue
				}
				step := StepOpen
				if tt.file {
					step = StepLook
				}
				c.refused(res, step, 0, tt.refused)
				c.refused(res, step, 0, tt.says)
			}
			if _, err := os.Lstat(c.path(to)); (err == nil) != (tt.refused == "" || tt.file) {
				t.Errorf("%s: %v", to, err)
			}
		})
	}
}

// Below somebody's link directories are not made either.
func TestForeignLinksMkdir(t *testing.T) {
	c := newContainer(t)
	c.mkdir("/etc")
	c.symlink("etc", "/link")
	c.must(os.Lchown(c.path("/link"), 1000, 1000))
	res := c.run(Request{Op: Apply, Files: []File{{Path: "/link/new/x", Mkdir: true}}})
	c.refused(res, StepOpen, 0, "may not write to")
	if entries, err := os.ReadDir(c.path("/etc")); err != nil || len(entries) > 0 {
		t.Errorf("%v, %v", entries, err)
	}
}

// Below a directory of their own, which somebody's link leads to by way of root's, they are.
func TestForeignLinksMkdirBeyond(t *testing.T) {
	c := newContainer(t)
	c.mkdir("/srv/mine")
	c.must(os.Chown(c.path("/srv/mine"), 1000, 1000))
	c.symlink("srv", "/link")
	c.must(os.Lchown(c.path("/link"), 1000, 1000))
	for _, f := range []File{{Path: "/link/mine/new/x", Mkdir: true}, {Path: "/link/none/x", Absent: true}} {
		if res := c.run(Request{Op: Apply, Files: []File{f}}); res.Error != nil {
			t.Errorf("%s: %v", f.Path, res.Error)
		}
	}
	c.stands("/srv/mine/new/x", "", 0o644, 0, 0)
}

// TestWalkIsBounded: of all that a walk passes one handle stays, and it passes no end of it.
func TestWalkIsBounded(t *testing.T) {
	c := newContainer(t)
	c.mkdir("/a/b/c")
	c.symlink("/a/b/c/../../b/./c", "/link")
	deep := strings.Repeat("/d", maxSteps)
	c.mkdir(deep)
	c.symlink(deep[1:], "/deep")
	w := c.work(Request{})
	if _, _, err := w.walk("/link/../c/.."); err != nil || len(w.open) != 1 {
		t.Errorf("%d handles are left, %v; want one", len(w.open), err)
	}
	before, err := os.ReadDir("/proc/self/fd")
	c.must(err)
	if _, _, err := w.walk("/deep"); err == nil || !strings.Contains(err.Error(), "more than 512") {
		t.Errorf("got %v", err)
	}
	after, err := os.ReadDir("/proc/self/fd")
	c.must(err)
	if len(after) > len(before) || len(w.open) != 1 {
		t.Errorf("%d handles before and %d after, %d to be closed", len(before), len(after), len(w.open))
	}
}

// A mount without links has none here either: mount(8).
func TestNoSymFollow(t *testing.T) {
	c := newContainer(t)
	c.mkdir("/etc")
	c.mkdir("/volume")
	c.mount("tmpfs", "/volume", "tmpfs", unix.MS_NOSYMFOLLOW, "")
	c.symlink("../etc", "/volume/link")
	c.refused(c.run(Request{Op: Apply, Files: []File{{Path: "/volume/link/x"}}}), StepOpen, unix.ELOOP, "")
}

// FuzzWalk goes where the kernel goes.
func FuzzWalk(f *testing.F) {
	c := newContainer(f)
	c.mkdir("/a/b")
	c.write("/a/file", "", 0o644)
	for name, target := range map[string]string{
		"/abs": "/a/b", "/a/up": "../..", "/a/b/far": "../../../../../a", "/none": "nothing/x", "/a/round": "round", "/one": "two/b", "/two": "one",
		"/tofile": "a/file", "/tofile2": "a/file/", "/self": ".", "/top": "/", "/slashes": "//a///b//", "/over": "a/file/../b",
	} {
		c.symlink(target, name)
	}
	for i := range maxLinks + 1 {
		c.symlink(fmt.Sprintf("chain%d", i+1), fmt.Sprintf("/chain%d", i))
	}
	c.mkdir(fmt.Sprintf("/chain%d", maxLinks+1))
	for _, name := range []string{
		"/", "/a/b/", "/abs", "/abs/far/up/a/b/far/b/", "/none", "/none/x", "/a/round", "/one", "/tofile", "/tofile/", "/tofile/x", "/tofile2", "/over",
		"/self/self/self/a", "/top/..//../abs", "/slashes/..", "/chain0", "/chain1", "/chain0/..", "/a/file/..", "/a/file/.", "/x/..", "/tofile/..", "//./a/.",
		"/" + strings.Repeat("x", 256), "/abs/" + strings.Repeat("x", 256), "", "a/b", "..",
	} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if name == "" || len(name) >= MaxPath || strings.ContainsRune(name, 0) {
			return // none of these comes so far
		}
		w := start(c.root, Request{})
		defer w.close()
		got, links, err := w.walk(name)
		if _, ours := err.(refusal); ours {
			return // more than the kernel bounds
		}
		want, expected := openat2(c.root.Dir, name, unix.O_PATH, resolve)
		if err != expected {
			t.Fatalf("%q: got %v, want %v", name, err, expected)
		}
		if err != nil {
			return
		}
		defer unix.Close(want)
		if len(links) > 0 {
			t.Errorf("%q: links of %v", name, links)
		}
		a, err1 := statx(got)
		b, err2 := statx(want)
		if err1 != nil || err2 != nil || a.Ino != b.Ino || a.Dev_minor != b.Dev_minor {
			t.Errorf("%q: got inode %d (%v), want %d (%v)", name, a.Ino, err1, b.Ino, err2)
		}
	})
}
