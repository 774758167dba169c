package check_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/check"
	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/testenv"
)

// listing is all of a container's files but what the kernel makes, with sizes,
// owners, modes and sums.
func listing(t *testing.T, c *testenv.Container) string {
	t.Helper()
	out, err := c.Exec(t.Context(), "sh", "-c", `find / -xdev ! -path '/proc/*' ! -path '/sys/*' -exec stat -c '%n %s %u %g %a %Y %F' {} + | sort
find /etc /data /run /var /dev/shm -type f -exec md5sum {} + 2>/dev/null | sort`)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out, conf) {
		t.Fatalf("the listing holds no %s: %s", conf, out)
	}
	return out
}

// started waits until nginx has made its own files, the last of which is that of its pid.
func started(t *testing.T, c *testenv.Container) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := testenv.Poll(ctx, func() error {
		_, err := c.Exec(ctx, "test", "-s", "/run/nginx.pid")
		return err
	}); err != nil {
		t.Fatalf("nginx does not start: %v", err)
	}
}

// TestUntouched has commands write wherever they can.
func TestUntouched(t *testing.T) {
	testenv.EachVersion(t, func(t *testing.T, n *testenv.Node) {
		r := newRig(t, n)
		volume, single := t.TempDir(), filepath.Join(t.TempDir(), "single")
		for path, text := range map[string]string{filepath.Join(volume, "keep"): "kept", filepath.Join(volume, "site.conf"): "old", single: "one"} {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(os.Chown(volume, 101, 101), os.Chmod(volume, 0o750)); err != nil {
			t.Fatal(err)
		}
		run, c := r.pod(testenv.PodConfig{}, testenv.ContainerConfig{Mounts: []testenv.Mount{
			{HostPath: volume, ContainerPath: "/data"}, {HostPath: single, ContainerPath: "/etc/single"},
		}})
		started(t, run)
		before := listing(t, run)
		const everywhere = `stat -c '%u %g %a' /data; cat /data/site.conf
for f in /data/keep /data/new /etc/passwd /etc/single /etc/hosts /dev/shm/x /run/nginx.pid /new /tmp/new; do
	echo changed >$f && echo wrote $f
done 2>/dev/null; rm -r /data/keep /etc/nginx; mkdir /data/sub; chmod 777 /data; ls /data`
		v, err := r.check(r.trial(c, append(file("/data/site.conf", "staged\n"), file(conf, good)...), "sh", "-c", everywhere))
		if err != nil {
			t.Fatal(err)
		}
		want := "101 101 750\nstaged\nwrote /data/keep\nwrote /data/new\nwrote /etc/passwd\nwrote /dev/shm/x\n" +
			"wrote /run/nginx.pid\nwrote /new\nwrote /tmp/new\nnew\nsite.conf\nsub"
		if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(v.Output, "\n")); diff != "" {
			t.Errorf("what the twin sees and can do (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(before, listing(t, run)); diff != "" {
			t.Errorf("the container's files (-before +after):\n%s", diff)
		}
	})
}

// TestReadOnlyRoot: what cannot be written when it is applied cannot in the twin, and
// the error is that of Write itself.
func TestReadOnlyRoot(t *testing.T) {
	testenv.EachVersion(t, func(t *testing.T, n *testenv.Node) {
		r := newRig(t, n)
		volume := t.TempDir()
		if err := os.WriteFile(filepath.Join(volume, "default.conf"), []byte(good), 0o644); err != nil {
			t.Fatal(err)
		}
		_, c := r.pod(testenv.PodConfig{}, testenv.ContainerConfig{ReadonlyRoot: true, Command: []string{"sleep", "1000000"}, Mounts: []testenv.Mount{
			{HostPath: volume, ContainerPath: "/etc/nginx/conf.d"}, {HostPath: t.TempDir(), ContainerPath: "/run"},
			{HostPath: t.TempDir(), ContainerPath: "/var/lib/nginx"},
		}})
		if _, err := r.check(r.trial(c, file(conf, "server { listen 81; }\n"), "nginx", "-t")); err != nil {
			t.Errorf("a file in a volume: %v", err)
		}
		_, err := r.check(r.trial(c, file(conf, "bad"), "nginx", "-t"))
		if !errors.Is(err, check.ErrRefused) {
			t.Errorf("a bad file in a volume: %v, want a refusal: the volume must not hide it", err)
		}
		_, err = r.check(r.trial(c, file("/etc/nginx/nginx.conf", "bad"), "nginx", "-t"))
		if !errors.Is(err, syscall.EROFS) || errors.Is(err, check.ErrRefused) || !strings.HasPrefix(err.Error(), "stage /etc/nginx/nginx.conf: ") {
			t.Errorf("a file in the root: %v, want Write's own EROFS", err)
		}
		if b, err := os.ReadFile(filepath.Join(volume, "default.conf")); string(b) != good {
			t.Errorf("the volume's own file is %q, %v", b, err)
		}
	})
}

// TestVolumeDenies: what the mount of a volume denies to the container it denies to the twin. An older
// runc hands on what the volume's own mount denies, a newer one only what was asked for.
func TestVolumeDenies(t *testing.T) {
	volume := t.TempDir()
	if err := syscall.Mount("tmpfs", volume, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(volume, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(filepath.Join(volume, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	const look = `sed -n -E 's:^.* (/data|/etc/file) r[ow](.*),relatime .*:\1\2:p' /proc/self/mountinfo`
	for version, want := range map[testenv.Version]string{testenv.Debian: ",nosuid,nodev,noexec", testenv.V2: ""} {
		r := newRig(t, testenv.SharedNode(t, version))
		run, c := r.pod(testenv.PodConfig{}, testenv.ContainerConfig{Mounts: []testenv.Mount{
			{HostPath: volume, ContainerPath: "/data"}, {HostPath: filepath.Join(volume, "file"), ContainerPath: "/etc/file"},
		}})
		want = "/data" + want + "\n/etc/file" + want
		if got, err := run.Exec(t.Context(), "sh", "-c", look); err != nil || strings.TrimSpace(got) != want {
			t.Fatalf("%v: the target has %q, %v, want %q: the test shows nothing", version, got, err, want)
		}
		if got := strings.TrimSpace(r.said(c, "sh", "-c", look)); got != want {
			t.Errorf("%v: the twin has %q, the target %q", version, got, want)
		}
	}
}

// TestVolumeTwice: what is new in a directory is new by each of its mounts.
func TestVolumeTwice(t *testing.T) {
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	volume := t.TempDir()
	if err := os.WriteFile(filepath.Join(volume, "site.conf"), []byte("old\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, c := r.pod(testenv.PodConfig{}, testenv.ContainerConfig{Mounts: []testenv.Mount{
		{HostPath: volume, ContainerPath: "/reads", ReadOnly: true}, {HostPath: volume, ContainerPath: "/writes"},
	}})
	v, err := r.check(r.trial(c, file("/writes/site.conf", "new\n"), "cat", "/reads/site.conf"))
	if err != nil || strings.TrimSpace(v.Output) != "new" {
		t.Errorf("the twin reads %q, %v", v.Output, err)
	}
	if b, err := os.ReadFile(filepath.Join(volume, "site.conf")); string(b) != "old\n" {
		t.Errorf("in the volume is %q, %v", b, err)
	}
}

// TestUnproved: what Verify does not find is no verdict.
func TestUnproved(t *testing.T) {
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	_, c := r.pod(testenv.PodConfig{}, testenv.ContainerConfig{})
	trial := r.trial(c, file(conf, good), "nginx", "-t")
	trial.Write = func(context.Context, *nsenter.Process) error { return nil }
	if _, err := r.check(trial); err == nil || !strings.HasPrefix(err.Error(), "the twin does not see the files") {
		t.Errorf("nothing was written: %v, want Verify's error as it is", err)
	}
}

// TestUnsupported names what stands in the way.
func TestUnsupported(t *testing.T) {
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	outer := t.TempDir()
	inner := filepath.Join(outer, "inner")
	if err := os.Mkdir(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", inner, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(inner, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	_, c := r.pod(testenv.PodConfig{}, testenv.ContainerConfig{Mounts: []testenv.Mount{{HostPath: outer, ContainerPath: "/data"}}})
	kata := c
	kata.Runtime = "io.containerd.kata.v2"
	stranger := c
	stranger.ID = strings.Repeat("0", 64)
	for word, c := range map[string]daemonset.Container{"/data": c, "kata": kata, stranger.ID: stranger} {
		_, err := r.check(r.trial(c, nil, "true"))
		if !errors.Is(err, check.ErrUnsupported) || !strings.Contains(err.Error(), word) {
			t.Errorf("%v, want ErrUnsupported that names %s", err, word)
		}
	}
}
