package shim

import (
	"os"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"
)

func TestApply(t *testing.T) {
	const name, text = "/etc/app.conf", "new\n"
	for _, test := range []struct {
		about     string
		before    func(c *container)
		file      File
		unchanged bool
		fresh     bool // there was no file
		old       Attributes
		mode      uint32
		uid, gid  uint32
	}{
		{
			about: "a new file", before: func(c *container) { c.mkdir("/etc") },
			fresh: true, mode: 0o644, uid: 101, gid: 102,
		},
		{
			about: "a new file with all said", before: func(c *container) { c.mkdir("/etc") },
			file:  File{Mode: ptr(0o600), UID: ptr(7), GID: ptr(8)},
			fresh: true, mode: 0o600, uid: 7, gid: 8,
		},
		{
			about: "an old one keeps its mode and owner",
			before: func(c *container) {
				c.write(name, "old\n", 0o640)
				c.must(os.Chown(c.path(name), 33, 34))
			},
			old:  Attributes{0o640, 33, 34},
			mode: 0o640, uid: 33, gid: 34,
		},
		{
			about: "an old one gets the mode that is said", before: func(c *container) { c.write(name, "old\n", 0o640) },
			file: File{Mode: ptr(0o600)}, old: Attributes{Mode: 0o640}, mode: 0o600,
		},
		{
			about: "an equal one is not touched", before: func(c *container) { c.write(name, text, 0o640) },
			unchanged: true, old: Attributes{Mode: 0o640}, mode: 0o640,
		},
		{
			about: "an equal one with another mode", before: func(c *container) { c.write(name, text, 0o640) },
			file: File{Mode: ptr(0o644)}, old: Attributes{Mode: 0o640}, mode: 0o644,
		},
		{
			about: "an equal one with another owner", before: func(c *container) { c.write(name, text, 0o640) },
			file: File{UID: ptr(5)}, old: Attributes{Mode: 0o640}, mode: 0o640, uid: 5,
		},
		{
			about: "one of the same size", before: func(c *container) { c.write(name, "old\n", 0o644) },
			old: Attributes{Mode: 0o644}, mode: 0o644,
		},
		{
			about: "directories are made", before: func(c *container) {}, file: File{Mkdir: true},
			fresh: true, mode: 0o644, uid: 101, gid: 102,
		},
		{
			about: "a link is replaced, not what it leads to",
			before: func(c *container) {
				c.write("/data/target", "old\n", 0o600)
				c.mkdir("/etc")
				c.symlink("/data/target", name)
			},
			old: Attributes{Mode: 0o600}, mode: 0o600,
		},
		{
			about: "a link to an equal file stays, as in confd",
			before: func(c *container) {
				c.write("/data/target", text, 0o600)
				c.mkdir("/etc")
				c.symlink("../data/target", name)
			},
			unchanged: true, old: Attributes{Mode: 0o600}, mode: 0o600,
		},
		{
			about: "a link to nothing", before: func(c *container) { c.mkdir("/etc"); c.symlink("/nowhere", name) },
			fresh: true, mode: 0o644, uid: 101, gid: 102,
		},
		{
			about: "what a killed shim left is replaced",
			before: func(c *container) {
				c.write(name, "old\n", 0o644)
				e := entry{name: "app.conf"}
				c.write("/etc/"+e.hidden(), "half", 0o644)
				c.write("/etc/"+e.old(), "older\n", 0o644)
			},
			old: Attributes{Mode: 0o644}, mode: 0o644,
		},
	} {
		t.Run(test.about, func(t *testing.T) {
			c := newContainer(t)
			test.before(c)
			var before unix.Stat_t
			unix.Lstat(c.path(name), &before)
			test.file.Path, test.file.Data = name, []byte(text)
			req := Request{Op: Compare, Files: []File{test.file}, UID: 101, GID: 102, Signal: 1}

			want := Result{Files: []FileResult{{Path: name, Changed: !test.unchanged, Existed: !test.fresh}}}
			if f := &want.Files[0]; !test.fresh {
				f.Before = &test.old
			}
			if diff := cmp.Diff(want, c.run(req)); diff != "" {
				t.Errorf("compare, -want +got:\n%s", diff)
			}
			var after unix.Stat_t
			unix.Lstat(c.path(name), &after)
			if before.Ino != after.Ino || len(c.sent) > 0 {
				t.Error("compare changed something")
			}

			req.Op, want.Committed, want.Signalled = Apply, !test.unchanged, !test.unchanged
			want.Files[0].After = &Attributes{test.mode, test.uid, test.gid}
			if diff := cmp.Diff(want, c.run(req)); diff != "" {
				t.Errorf("apply, -want +got:\n%s", diff)
			}
			unix.Lstat(c.path(name), &after)
			if test.unchanged {
				if before.Ino != after.Ino || len(c.sent) > 0 {
					t.Error("an equal file was touched")
				}
				return
			}
			if diff := cmp.Diff([]int{1}, c.sent); diff != "" {
				t.Errorf("signals, -want +got:\n%s", diff)
			}
			c.stands(name, text, test.mode, test.uid, test.gid)
			if b, err := os.ReadFile(c.path("/data/target")); err == nil && string(b) != "old\n" {
				t.Error("the link was written through")
			}

			if again := c.run(req); again.Changed() || again.Signalled || again.Error != nil {
				t.Errorf("a second time: %+v", again)
			}
		})
	}
}

// A link on the way is resolved as the container sees it, also an absolute one.
func TestParentIsLink(t *testing.T) {
	c := newContainer(t)
	c.mkdir("/real/etc")
	c.symlink("/real/etc", "/etc")
	if res := c.run(Request{Op: Apply, Files: []File{{Path: "/etc/x"}, {Path: "/etc/new/y", Mkdir: true}}}); res.Error != nil {
		t.Fatal(res.Error)
	}
	c.stands("/real/etc/x", "", 0o644, 0, 0)
	c.stands("/real/etc/new/y", "", 0o644, 0, 0)
}

func TestMkdirOwner(t *testing.T) {
	c := newContainer(t)
	c.mkdir("/etc")
	res := c.run(Request{Op: Apply, UID: 101, GID: 102, Files: []File{{Path: "/etc/a/b/c", Mkdir: true}}})
	if res.Error != nil {
		t.Fatal(res.Error)
	}
	for name, uid := range map[string]uint32{"/etc": 0, "/etc/a": 101, "/etc/a/b": 101} {
		var st unix.Stat_t
		c.must(unix.Stat(c.path(name), &st))
		if st.Uid != uid || st.Mode&0o7777 != 0o755 {
			t.Errorf("%s: uid %d, mode %o", name, st.Uid, st.Mode)
		}
	}
}

// All files are in place when the signal is sent, and it is sent once.
func TestSignalComesLast(t *testing.T) {
	c := newContainer(t)
	files := []File{{Path: "/a", Data: []byte("1")}, {Path: "/b", Data: []byte("2")}}
	sent := 0
	res := Run(c.root, Request{Op: Apply, Files: files, Signal: 10}, func(sig int) error {
		sent++
		c.stands("/a", "1", 0o644, 0, 0)
		c.stands("/b", "2", 0o644, 0, 0)
		return nil
	})
	if res.Error != nil || !res.Signalled || sent != 1 {
		t.Errorf("%+v, sent %d times", res, sent)
	}
}

func TestSignal(t *testing.T) {
	for _, test := range []struct {
		about string
		req   Request
		sent  []int
	}{
		{"no signal is wanted", Request{Op: Apply, Always: true}, nil},
		{"nothing changed", Request{Op: Apply, Signal: 1}, nil},
		{"a reload is owed", Request{Op: Apply, Signal: 1, Always: true}, []int{1}},
		{"only to compare", Request{Op: Compare, Signal: 1, Always: true}, nil},
		{"only to read", Request{Op: Read, Signal: 1, Always: true}, nil},
	} {
		t.Run(test.about, func(t *testing.T) {
			c := newContainer(t)
			res := c.run(test.req)
			if res.Error != nil || res.Signalled != (len(test.sent) > 0) {
				t.Errorf("%+v", res)
			}
			if diff := cmp.Diff(test.sent, c.sent); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestSignalFails(t *testing.T) {
	c := newContainer(t)
	c.fail = syscall.ESRCH
	res := c.run(Request{Op: Apply, Signal: 1, Files: []File{{Path: "/a"}}})
	if res.Signalled || !res.Committed || res.Error == nil || res.Error.Step != StepSignal || res.Error.Errno != syscall.ESRCH {
		t.Errorf("%+v", res)
	}
}

func TestRead(t *testing.T) {
	c := newContainer(t)
	c.write("/a", "text", 0o600)
	c.symlink("/a", "/link")
	res := c.run(Request{Op: Read, Files: []File{{Path: "/a"}, {Path: "/link"}, {Path: "/none"}, {Path: "/no/where"}}})
	want := Result{Files: []FileResult{
		{Path: "/a", Existed: true, Data: []byte("text"), Before: &Attributes{Mode: 0o600}},
		{Path: "/link", Existed: true, Data: []byte("text"), Before: &Attributes{Mode: 0o600}},
		{Path: "/none"}, {Path: "/no/where"},
	}}
	if diff := cmp.Diff(want, res, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestReadIsCapped(t *testing.T) {
	c := newContainer(t)
	c.write("/huge", "", 0o600)
	c.must(os.Truncate(c.path("/huge"), 1<<40)) // sparse
	c.refused(c.run(Request{Op: Read, Files: []File{{Path: "/huge"}}}), StepLook, 0, "too large")
	if res := c.run(Request{Op: Apply, Files: []File{{Path: "/huge", Data: []byte("x")}}}); res.Error != nil {
		t.Error(res.Error)
	}
	c.stands("/huge", "x", 0o600, 0, 0)
}

func TestServe(t *testing.T) {
	c := newContainer(t)
	b, err := Request{Op: Apply, Files: []File{{Path: "/a"}}}.Encode()
	c.must(err)
	for about, test := range map[string]struct {
		request []byte
		step    string
	}{
		"good":    {b, ""},
		"garbage": {[]byte("garbage"), StepDecode},
	} {
		res, err := DecodeResult(Serve(c.root, test.request, nil))
		step := ""
		if res.Error != nil {
			step = res.Error.Step
		}
		if err != nil || step != test.step {
			t.Errorf("%s: %+v, %v", about, res, err)
		}
	}
}
