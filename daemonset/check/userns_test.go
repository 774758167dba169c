package check_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podreload/podreload/daemonset/check"
	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/shim"
	"github.com/podreload/podreload/testenv"
)

// TestUserNamespace: in a pod with hostUsers: false the twin has the target's user
// namespace, root and volumes belong to whom they belong to there, and what a
// command does to them is its own.
func TestUserNamespace(t *testing.T) {
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	volume, keep := t.TempDir(), ""
	keep = filepath.Join(volume, "keep")
	if err := os.WriteFile(keep, []byte("kept\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chown(keep, 101, 102), os.Chown(volume, 101, 101), os.Chmod(volume, 0o750)); err != nil {
		t.Fatal(err)
	}
	run, c := r.pod(testenv.PodConfig{UserNS: true}, testenv.ContainerConfig{Mounts: []testenv.Mount{{HostPath: volume, ContainerPath: "/data"}}})
	r.maps = []shim.IDMap{{Inside: 0, Outside: testenv.UserNSBase, Size: 1 << 16}}
	started(t, run)
	before := listing(t, run)

	const look = `stat -c '%u %g %a %n' /data /data/keep /etc/nginx/nginx.conf; cat /data/keep; readlink /proc/self/ns/user; grep ^Cap /proc/self/status`
	want, err := run.Exec(t.Context(), "sh", "-c", look)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(strings.TrimSpace(want), "\n"), strings.Split(r.said(c, "sh", "-c", look), "\n")); diff != "" {
		t.Errorf("what the target and the twin see (-target +twin):\n%s", diff)
	}
	if theirs, err := os.Readlink("/proc/" + strconv.Itoa(c.Pid) + "/ns/user"); err != nil || !strings.Contains(want, theirs) {
		t.Errorf("the target is in %s, %v: the test has shown nothing", theirs, err)
	}

	if said := r.said(c, "sh", "-c", "echo heard >/dev/stderr"); said != "heard" {
		t.Errorf("by the name of /dev/stderr: %q", said)
	}

	files := append(file(conf, good), file("/data/site.conf", "staged\n")...)
	v, err := r.check(r.trial(c, files, "sh", "-c", `nginx -t 2>&1 | tail -1; stat -c '%u %g' /data/site.conf; cat /data/site.conf
echo changed >/data/keep && chown 7:8 /data/keep && rm /data/site.conf && touch /data/new /etc/new && ls /data`))
	said := strings.Split(v.Output, "\n")
	if err != nil || !cmp.Equal(said[1:], []string{"0 0", "staged", "keep", "new"}) || !strings.HasSuffix(said[0], "test is successful") {
		t.Errorf("the twin says %q, %v", v.Output, err)
	}
	if diff := cmp.Diff(before, listing(t, run)); diff != "" {
		t.Errorf("the container's files (-before +after):\n%s", diff)
	}
	if b, err := os.ReadFile(keep); string(b) != "kept\n" {
		t.Errorf("in the volume is %q, %v", b, err)
	}
	if _, err := r.check(r.trial(c, file(conf, "bad"), "nginx", "-t")); !errors.Is(err, check.ErrRefused) {
		t.Errorf("a bad file: %v, want a refusal", err)
	}
}

// TestUserNamespaceNeedsAWay: the runtime gets to the twin as a user of the pod.
func TestUserNamespaceNeedsAWay(t *testing.T) {
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	if err := os.Chmod(filepath.Dir(r.dir), 0o700); err != nil {
		t.Fatal(err)
	}
	_, c := r.pod(testenv.PodConfig{UserNS: true}, testenv.ContainerConfig{})
	trial := r.trial(c, nil, "true")
	trial.Write = func(context.Context, *nsenter.Process) error { return nil }
	if _, err := r.check(trial); !errors.Is(err, check.ErrUnsupported) || !strings.Contains(err.Error(), filepath.Dir(r.dir)) {
		t.Errorf("%v, want ErrUnsupported that names the directory", err)
	}
}
