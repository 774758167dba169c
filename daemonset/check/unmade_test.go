package check_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/daemonset/check"
	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/testenv"
)

// TestNoOverlay has a volume that is itself two overlays deep: the kernel puts no third upon it.
func TestNoOverlay(t *testing.T) {
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	base := t.TempDir()
	mount := func(kind, at, options string) {
		t.Helper()
		if err := unix.Mount(kind, at, kind, 0, options); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Unmount(at, unix.MNT_DETACH) })
	}
	mount("tmpfs", base, "")
	lower := t.TempDir()
	for i := range 2 {
		dir := filepath.Join(base, fmt.Sprint(i))
		for _, name := range []string{"upper", "work", "merged"} {
			if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		mount("overlay", dir+"/merged", fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", lower, dir, dir))
		lower = dir + "/merged"
	}
	_, c := r.pod(testenv.PodConfig{}, testenv.ContainerConfig{Mounts: []testenv.Mount{{HostPath: lower, ContainerPath: "/data"}}})
	if _, err := r.check(r.trial(c, nil, "true")); !errors.Is(err, check.ErrUnsupported) || !strings.Contains(err.Error(), "over the volume at /data") {
		t.Errorf("got %v, want ErrUnsupported with the volume", err)
	}
}

// TestOpenFiles: a twin may have as many files open as its target, not as this process.
func TestOpenFiles(t *testing.T) {
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	container, c := r.pod(testenv.PodConfig{}, testenv.ContainerConfig{})
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	less := was
	less.Cur = 512 // as a shell has 1024
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &less); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was)
	want, err := container.Exec(t.Context(), "sh", "-c", "ulimit -n; ulimit -Hn")
	if err != nil {
		t.Fatal(err)
	}
	if got := r.said(c, "sh", "-c", "ulimit -n; ulimit -Hn"); strings.TrimSpace(got) != strings.TrimSpace(want) {
		t.Errorf("the twin has %q, the target %q", got, want)
	}
}

// TestTwinKilled: that somebody kills the twin is no verdict, and no end of the target.
func TestTwinKilled(t *testing.T) {
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	_, c := r.pod(testenv.PodConfig{}, testenv.ContainerConfig{})
	kill := func(ctx context.Context, init *nsenter.Process) error {
		return errors.Join(init.Signal(syscall.SIGKILL), init.Wait(ctx))
	}
	for name, change := range map[string]func(*check.Trial){
		"before the files": func(trial *check.Trial) {
			write := trial.Write
			trial.Write = func(ctx context.Context, init *nsenter.Process) error {
				return errors.Join(kill(ctx, init), write(ctx, init))
			}
		},
		"before the command": func(trial *check.Trial) {
			verify := trial.Verify
			trial.Verify = func(ctx context.Context, init *nsenter.Process) error {
				return errors.Join(verify(ctx, init), kill(ctx, init))
			}
		},
	} {
		trial := r.trial(c, file(conf, good), "nginx", "-t")
		change(&trial)
		if _, err := r.check(trial); !errors.Is(err, check.ErrKilled) {
			t.Errorf("%s: %v, want ErrKilled", name, err)
		}
	}
}
