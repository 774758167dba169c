package shim

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/testenv"
)

const (
	ours   = "system_u:object_r:container_file_t:s0:c1,c2\x00"
	others = "system_u:object_r:container_file_t:s0:c8,c9\x00"
)

// An access control list, as the kernel takes it: posix_acl_xattr.h. It lets user
// 33 read, and the file's group nothing, although the mode is 0640 with it.
var list = posixACL(
	[3]int{0x01, 6, -1}, // the owner: rw
	[3]int{0x02, 4, 33}, // user 33: r
	[3]int{0x04, 0, -1}, // the group: nothing
	[3]int{0x10, 4, -1}, // at most r for these
	[3]int{0x20, 0, -1}, // others: nothing
)

func posixACL(entries ...[3]int) string {
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range entries {
		b = binary.LittleEndian.AppendUint16(b, uint16(e[0]))
		b = binary.LittleEndian.AppendUint16(b, uint16(e[1]))
		b = binary.LittleEndian.AppendUint32(b, uint32(e[2]))
	}
	return string(b)
}

// What the kernel and others know a file by is there before it is visible.
func TestLabels(t *testing.T) {
	type labels map[string]string
	for _, test := range []struct {
		about    string
		dir, old labels
		link     bool
		file     File
		want     labels
		mode     uint32
	}{
		{about: "a user's attribute", old: labels{"user.origin": "here"}, want: labels{"user.origin": "here"}, mode: 0o640},
		{about: "the old file's label", dir: labels{selinux: others}, old: labels{selinux: ours}, want: labels{selinux: ours}, mode: 0o640},
		{about: "a link's target's label", dir: labels{selinux: others}, old: labels{selinux: ours}, link: true, want: labels{selinux: ours}, mode: 0o640},
		{about: "the directory's label", dir: labels{selinux: ours}, want: labels{selinux: ours}, mode: 0o644},
		{about: "the directory's label in a new one", dir: labels{selinux: ours}, file: File{Path: "/etc/a/b/x", Mkdir: true}, want: labels{selinux: ours}, mode: 0o644},
		{about: "the old file's list", old: labels{acl: list}, want: labels{acl: list}, mode: 0o640},
		{
			about: "the old file's list with another mode", old: labels{acl: list}, file: File{Mode: ptr(0o600)}, mode: 0o600,
			want: labels{acl: strings.Replace(list, "\x10\x00\x04", "\x10\x00\x00", 1)}, // nothing for user 33
		},
		{about: "no list of the directory's for an old file", dir: labels{"system.posix_acl_default": list}, old: labels{}, want: labels{acl: ""}, mode: 0o640},
		{about: "the directory's list for a new file", dir: labels{"system.posix_acl_default": list}, want: labels{acl: list}, mode: 0o640, file: File{Mode: ptr(0o640)}},
		{about: "no capabilities", old: labels{"security.capability": "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"}, want: labels{"security.capability": ""}, mode: 0o640},
	} {
		t.Run(test.about, func(t *testing.T) {
			c := newContainer(t)
			c.mkdir("/etc")
			c.mkdir("/data")
			if test.file.Path == "" {
				test.file.Path = "/etc/x"
			}
			name := test.file.Path
			if test.link {
				c.symlink("/data/x", name)
				name = "/data/x"
			}
			if test.old != nil {
				c.write(name, "old", 0o640)
			}
			set := func(path string, of labels) {
				for name, value := range of {
					if err := unix.Setxattr(c.path(path), name, []byte(value), 0); err != nil {
						testenv.Lacking(t, fmt.Errorf("set %s: %w", name, err))
					}
				}
			}
			set("/etc", test.dir)
			set(name, test.old)
			test.file.Data = []byte("new")
			if res := c.run(Request{Op: Apply, Files: []File{test.file}}); res.Error != nil {
				t.Fatal(res.Error)
			}
			c.stands(test.file.Path, "new", test.mode, 0, 0)
			for label, want := range test.want {
				if got := c.label(test.file.Path, label); got != want {
					t.Errorf("%s is %q, want %q", label, got, want)
				}
				if dir := c.path("/etc/a"); label == selinux && test.file.Mkdir && c.label("/etc/a", label) != want {
					t.Errorf("%s of %s is not %q", label, dir, want)
				}
			}
		})
	}
}

func TestTooManyLabels(t *testing.T) {
	c := newContainer(t)
	c.mkdir("/etc")
	c.mount("tmpfs", "/etc", "tmpfs", 0, "")
	c.write("/etc/x", "old", 0o644)
	for i := range maxLabels + 1 {
		if err := unix.Setxattr(c.path("/etc/x"), fmt.Sprintf("user.%d", i), nil, 0); err != nil {
			testenv.Lacking(t, err)
		}
	}
	c.refused(c.run(Request{Op: Apply, Files: []File{{Path: "/etc/x", Data: []byte("new")}}}), StepStage, 0, "more than 64")
	c.stands("/etc/x", "old", 0o644, 0, 0)
}

// label is an extended attribute, empty if there is none.
func (c *container) label(path, name string) string {
	b := make([]byte, maxLabelBytes)
	n, err := unix.Getxattr(c.path(path), name, b)
	if err != nil && err != unix.ENODATA {
		c.t.Error(err)
	}
	return string(b[:max(n, 0)])
}
