package check

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podreload/podreload/daemonset"
)

func TestShown(t *testing.T) {
	plain := Trial{Files: []daemonset.File{{Path: "/etc/x.conf"}}}
	if got := shown(plain, "said"); got != "said" {
		t.Errorf("without a sensitive file: %q", got)
	}
	secret := Trial{Files: []daemonset.File{{Path: "/etc/x.conf"}, {Path: "/etc/key.pem", Sensitive: true}}}
	const hidden = "(what it said is not shown: the profile has a sensitive file)"
	for said, want := range map[string]string{
		`nginx: [emerg] unknown directive "hunter2" in /etc/x.conf:12`:       "/etc/x.conf:12",
		"[ALERT] parsing [/etc/x.conf:3] : unknown keyword 'hunter2'":        "/etc/x.conf:3",
		"AH00526: Syntax error on line 5 of /etc/x.conf:\nInvalid 'hunter2'": "/etc/x.conf:5",
		`cannot load certificate key "/etc/key.pem": hunter2`:                "/etc/key.pem",
		"/etc/x.conf:1\nagain /etc/x.conf:1\nand /etc/x.conf:2":              "/etc/x.conf:1\n/etc/x.conf:2",
		"hunter2 /pass/word:17":   hidden,
		"":                        "",
		"/etc/x.conf:99999999999": "/etc/x.conf",
	} {
		if got := shown(secret, said); got != want {
			t.Errorf("shown(%q): %q, want %q", said, got, want)
		}
	}
}

func TestParseMountinfo(t *testing.T) {
	const text = `22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:5 / /a\040b\134c rw,nosuid,noexec,relatime - tmpfs tmpfs rw
short line
`
	points := parseMountinfo([]byte(text))
	if diff := cmp.Diff([]mountPoint{{"/", "ext4", nil, "254:0", "/"}, {`/a b\c`, "tmpfs", []string{"nosuid", "noexec"}, "0:5", "/"}}, points, cmp.AllowUnexported(mountPoint{})); diff != "" {
		t.Errorf("mount points (-want +got):\n%s", diff)
	}
	for path, want := range map[string]string{"/": "ext4", "/a": "ext4", `/a b\c`: "tmpfs", `/a b\c/d`: "tmpfs", `/a b\cd`: "ext4"} {
		if got := mountOf(points, path).kind; got != want {
			t.Errorf("%s is on %q, want %q", path, got, want)
		}
	}
}

func FuzzMountinfo(f *testing.F) {
	f.Add([]byte(`30 22 0:5 / /a\040b\777\ rw`))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, p := range parseMountinfo(b) {
			if len(p.path)+len(p.kind) > len(b) {
				t.Errorf("%q of %q", p, b)
			}
		}
	})
}

func TestOutputKeepsTheFirst(t *testing.T) {
	o, w, err := openOutput()
	if err != nil {
		t.Fatal(err)
	}
	for range 64 {
		if _, err := w.WriteString(strings.Repeat("x", 4<<10)); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	want := strings.Repeat("x", maxOutput) + fmt.Sprintf("\n… and %d bytes more", 64*4<<10-maxOutput)
	if got := o.finish(); got != want {
		t.Errorf("%d bytes kept, ending %q", len(got), got[len(got)-40:])
	}
}
