package shim

import (
	"os"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestAbsent(t *testing.T) {
	const name = "/etc/x"
	for _, test := range []struct {
		about  string
		before func(c *container)
		want   FileResult
	}{
		{"a file", func(c *container) { c.write(name, "old", 0o640) }, FileResult{Changed: true, Existed: true, Before: &Attributes{Mode: 0o640}}},
		{"a large file", func(c *container) {
			c.write(name, "", 0o600)
			c.must(os.Truncate(c.path(name), 1<<40))
		}, FileResult{Changed: true, Existed: true, Before: &Attributes{Mode: 0o600}}},
		{"a link", func(c *container) {
			c.write("/target", "old", 0o600)
			c.mkdir("/etc")
			c.symlink("/target", name)
		}, FileResult{Changed: true, Existed: true, Before: &Attributes{Mode: 0o600}}},
		{"a link to nothing", func(c *container) { c.mkdir("/etc"); c.symlink("nowhere", name) }, FileResult{Changed: true}},
		{"nothing", func(c *container) { c.mkdir("/etc") }, FileResult{}},
		{"no directory", func(c *container) {}, FileResult{}},
	} {
		t.Run(test.about, func(t *testing.T) {
			c := newContainer(t)
			test.before(c)
			test.want.Path = name
			req := Request{Op: Compare, Signal: 1, Files: []File{{Path: name, Absent: true}}}
			want := Result{Files: []FileResult{test.want}}
			if diff := cmp.Diff(want, c.run(req)); diff != "" {
				t.Errorf("compare, -want +got:\n%s", diff)
			}
			req.Op, want.Committed, want.Signalled = Apply, test.want.Changed, test.want.Changed
			if diff := cmp.Diff(want, c.run(req)); diff != "" {
				t.Errorf("apply, -want +got:\n%s", diff)
			}
			if _, err := os.Lstat(c.path(name)); !os.IsNotExist(err) {
				t.Errorf("it is there: %v", err)
			}
			if b, err := os.ReadFile(c.path("/target")); err == nil && string(b) != "old" {
				t.Error("what the link leads to is gone")
			}
			if again := c.run(req); again.Changed() || again.Signalled || again.Error != nil {
				t.Errorf("a second time: %+v", again)
			}
			c.clean()
		})
	}
}

// A failure while files are committed leaves every old one in its place,
// whatever was to be done with it, and signals nobody.
func TestCommitFails(t *testing.T) {
	for _, test := range []struct {
		about     string
		meanwhile func(c *container)
		errno     syscall.Errno
	}{
		// Where a hidden name has to go: seen before the first rename.
		{"a directory at a hidden name", func(c *container) { c.mkdir("/b/" + entry{name: "last"}.hidden()) }, unix.EISDIR},
		// Where the file itself has to go: the last rename fails.
		{"a directory", func(c *container) {
			c.must(os.Remove(c.path("/b/last")))
			c.mkdir("/b/last")
		}, unix.EISDIR},
		{"an immutable file", func(c *container) { c.immutable("/b/last") }, unix.EPERM},
		{"a mount point", func(c *container) { c.mount(c.path("/a/same"), "/b/last", "", unix.MS_BIND, "") }, unix.EBUSY},
	} {
		t.Run(test.about, func(t *testing.T) {
			c := newContainer(t)
			c.write("/a/replaced", "old", 0o640)
			c.write("/a/removed", "old", 0o604)
			c.write("/a/same", "same", 0o600)
			c.symlink("removed", "/a/link")
			c.write("/b/last", "old", 0o644)
			w := c.work(Request{Op: Apply, Signal: 1, Files: []File{
				{Path: "/a/replaced", Data: []byte("new")},
				{Path: "/a/fresh", Data: []byte("new")},
				{Path: "/a/removed", Absent: true},
				{Path: "/a/link", Data: []byte("new")},
				{Path: "/a/same", Data: []byte("same")},
				{Path: "/made/here/x", Data: []byte("new"), Mkdir: true},
				{Path: "/b/last", Data: []byte("new")},
			}})
			for _, f := range w.req.Files {
				res, err := w.prepare(f)
				if err != nil {
					t.Fatal(err)
				}
				w.result.Files = append(w.result.Files, res)
			}
			test.meanwhile(c)
			err := w.commit()
			if err == nil || err.Errno != test.errno {
				t.Fatalf("%v, want %v", err, test.errno)
			}
			res := w.fail(err)
			if res.Committed || res.Changed() {
				t.Errorf("%+v", res)
			}
			for _, f := range res.Files {
				if diff := cmp.Diff(f.Before, f.After); diff != "" {
					t.Errorf("%s, -before +after:\n%s", f.Path, diff)
				}
			}
			unix.Rmdir(c.path("/b/" + entry{name: "last"}.hidden())) // which is not ours
			c.stands("/a/replaced", "old", 0o640, 0, 0)
			c.stands("/a/removed", "old", 0o604, 0, 0)
			c.stands("/a/same", "same", 0o600, 0, 0)
			if to, err := os.Readlink(c.path("/a/link")); err != nil || to != "removed" {
				t.Errorf("the link leads to %q, %v", to, err)
			}
			for _, name := range []string{"/a/fresh", "/made"} {
				if _, err := os.Lstat(c.path(name)); !os.IsNotExist(err) {
					t.Errorf("%s is there: %v", name, err)
				}
			}
		})
	}
}

// Where the filesystem has no second names for files, what was replaced cannot be
// put back, and the result says so.
func TestCommitWithoutLinks(t *testing.T) {
	c := newContainer(t)
	c.write("/a", "old", 0o644)
	c.write("/b", "old", 0o644)
	w := c.work(Request{Op: Apply, Files: []File{{Path: "/a", Data: []byte("new")}, {Path: "/fresh"}, {Path: "/b", Data: []byte("new")}}})
	for _, f := range w.req.Files {
		res, err := w.prepare(f)
		if err != nil {
			t.Fatal(err)
		}
		w.result.Files = append(w.result.Files, res)
	}
	for _, s := range w.staged {
		c.must(w.ready(s, true)) // as if it were the last, which needs none
	}
	for _, s := range w.staged[:2] {
		c.must(w.place(s))
		s.done = true
	}
	res := w.fail(failure(StepCommit, "/b", unix.EIO))
	old := &Attributes{Mode: 0o644}
	want := Result{Committed: true, Error: res.Error, Files: []FileResult{
		{Path: "/a", Changed: true, Existed: true, Before: old, After: old}, {Path: "/fresh"}, {Path: "/b", Existed: true, Before: old, After: old},
	}}
	if diff := cmp.Diff(want, res); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	c.stands("/a", "new", 0o644, 0, 0)
	c.stands("/b", "old", 0o644, 0, 0)
}

// What a commit needs room for is got before the first rename.
func TestCommitWithoutInodes(t *testing.T) {
	c := newContainer(t)
	c.mkdir("/d")
	c.mount("tmpfs", "/d", "tmpfs", 0, "nr_inodes=5") // itself, two files, two new ones: none for a second name
	c.write("/d/a", "old", 0o644)
	c.write("/d/b", "old", 0o644)
	res := c.run(Request{Op: Apply, Signal: 1, Files: []File{{Path: "/d/a", Data: []byte("new")}, {Path: "/d/b", Data: []byte("new")}}})
	c.refused(res, StepCommit, unix.ENOSPC, "full")
	if res.Committed || res.Changed() {
		t.Errorf("%+v", res)
	}
	c.stands("/d/a", "old", 0o644, 0, 0)
	c.stands("/d/b", "old", 0o644, 0, 0)
}

// The other names of a file keep its contents: it is replaced, not written to.
func TestHardLink(t *testing.T) {
	c := newContainer(t)
	c.write("/precious", "old", 0o640)
	c.must(os.Link(c.path("/precious"), c.path("/f")))
	if res := c.run(Request{Op: Apply, Files: []File{{Path: "/f", Data: []byte("new")}}}); res.Error != nil {
		t.Fatal(res.Error)
	}
	c.stands("/f", "new", 0o640, 0, 0)
	c.stands("/precious", "old", 0o640, 0, 0)
}

// Where the filesystem has no O_TMPFILE the file has its hidden name from the start.
func TestNamedStage(t *testing.T) {
	c := newContainer(t)
	c.write("/f", "old", 0o644)
	w := c.work(Request{Op: Apply})
	s := &staged{entry: entry{c.root.Dir, "f"}, replaces: true, named: true}
	w.staged = append(w.staged, s)
	c.write("/"+s.hidden(), "of a killed shim", 0o600)
	fd, err := s.create()
	c.must(err)
	s.fd = w.keep(fd)
	_, err = unix.Write(fd, []byte("new"))
	c.must(err)
	if err := w.commit(); err != nil {
		t.Fatal(err)
	}
	c.stands("/f", "new", 0o600, 0, 0)

	_, err = s.create()
	c.must(err)
	s.named, s.done = true, false
	w.undo()
	c.stands("/f", "new", 0o600, 0, 0)
}

// Set-id bits are not inherited by contents that nobody meant them for. An equal
// file is not touched for them.
func TestSetID(t *testing.T) {
	c := newContainer(t)
	c.write("/f", "old", 0o644)
	c.must(unix.Chmod(c.path("/f"), 0o6755))
	if res := c.run(Request{Op: Apply, Files: []File{{Path: "/f", Data: []byte("old")}}}); res.Error != nil || res.Changed() {
		t.Errorf("%+v", res)
	}
	res := c.run(Request{Op: Apply, Files: []File{{Path: "/f", Data: []byte("new")}}})
	want := FileResult{Path: "/f", Changed: true, Existed: true, Before: &Attributes{Mode: 0o6755}, After: &Attributes{Mode: 0o755}}
	if diff := cmp.Diff(want, res.Files[0]); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	c.stands("/f", "new", 0o755, 0, 0)
	// Who says them means them: an undo.
	if res := c.run(Request{Op: Apply, Files: []File{{Path: "/f", Data: []byte("new"), Mode: ptr(0o6755)}}}); res.Error != nil {
		t.Error(res.Error)
	}
	c.stands("/f", "new", 0o6755, 0, 0)
}
