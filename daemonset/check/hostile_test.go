package check_test

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/daemonset/check"
	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/testenv"
)

// TestHostile runs commands that do what no check should. That nothing of them is left
// is looked at when the rig closes.
func TestHostile(t *testing.T) {
	testenv.EachVersion(t, func(t *testing.T, n *testenv.Node) {
		r := newRig(t, n)
		run, c := r.pod(testenv.PodConfig{}, testenv.ContainerConfig{})
		small := r.confined(run, r.last, 48<<20)
		sh := func(script string) []string { return []string{"sh", "-c", script} }
		for name, tt := range map[string]struct {
			args    []string
			small   bool
			timeout time.Duration
			limit   time.Duration // of the command's own
			err     error         // nil: it passes
			says    string
		}{
			"forks away":         {args: sh("sleep 1000000 & sleep 1000000 & echo away"), says: "away"},
			"prints much":        {args: sh("yes | head -c 300000000"), says: "bytes more"},
			"writes controls":    {args: sh(`printf '\033[31mred\033[0m\007'`), says: "red"},
			"fills memory":       {args: sh("x=xxxxxxxx; while :; do x=$x$x; done"), small: true, err: check.ErrKilled, says: "memory"},
			"bombs":              {args: sh("mkfifo /tmp/f; i=0; while [ $i -lt 2000 ]; do { read x; } <>/tmp/f & i=$((i+1)); done"), err: check.ErrKilled, says: "more processes"},
			"never ends":         {args: sh("trap '' TERM INT; while :; do sleep 1; done"), timeout: 10 * time.Second, err: check.ErrDeadline, says: "has not ended"},
			"over its own limit": {args: sh("sleep 1000000"), limit: time.Second, err: check.ErrDeadline, says: "has not ended"},
			"within its limit":   {args: []string{"true"}, limit: patience},
			"fills its copy":     {args: sh("cat /dev/zero >/tmp/big"), err: check.ErrUnsupported, says: "MiB"},
			"kills itself":       {args: sh("sh -c 'kill -SEGV $$'; kill -9 -1 2>/dev/null; exit 3"), err: check.ErrRefused, says: ""},
			"does not exist":     {args: []string{"no-such-command", "-t"}, err: check.ErrRefused, says: "exec: \"no-such-command\": "},
			"is a directory":     {args: []string{"/etc"}, err: check.ErrRefused, says: "exec: \"/etc\": "},
			"says nothing":       {args: []string{"false"}, err: check.ErrRefused, says: "exit code 1"},
			"leaves a fd open":   {args: sh("exec 3>&1; (sleep 1000000 >&3) & exit 4"), err: check.ErrRefused, says: "exit code 4"},
		} {
			t.Run(name, func(t *testing.T) {
				target := c
				if tt.small {
					target = small
				}
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				if tt.timeout > 0 {
					ctx, cancel = context.WithTimeout(t.Context(), tt.timeout)
				}
				defer cancel()
				trial := r.trial(target, nil, tt.args...)
				trial.Commands[0].Timeout = tt.limit
				v, err := r.checker.Check(ctx, trial)
				said := v.Output
				if err != nil {
					said = err.Error()
				}
				if !errors.Is(err, tt.err) || tt.err == nil && err != nil || !strings.Contains(said, tt.says) {
					t.Errorf("%v, said %.300q; want %v and %q", err, said, tt.err, tt.says)
				}
				if len(said) > 70<<10 || strings.ContainsAny(said, "\x1b\x07") {
					t.Errorf("%d bytes are kept: %.100q", len(said), said)
				}
			})
		}
	})
}

const patience = time.Minute

// TestTargetGoes ends, or pauses, the target at the worst moment.
func TestTargetGoes(t *testing.T) {
	testenv.EachVersion(t, func(t *testing.T, n *testenv.Node) {
		r := newRig(t, n)
		t.Run("ends meanwhile", func(t *testing.T) {
			run, c := r.pod(testenv.PodConfig{}, testenv.ContainerConfig{})
			trial := r.trial(c, nil, "true")
			trial.Write = func(ctx context.Context, _ *nsenter.Process) error { return run.Stop(ctx) }
			if v, err := r.check(trial); !errors.Is(err, nsenter.ErrGone) || errors.Is(err, check.ErrRefused) {
				t.Errorf("%+v, %v, want ErrGone", v, err)
			}
			if _, err := r.check(trial); !errors.Is(err, nsenter.ErrGone) {
				t.Errorf("after its end: %v, want ErrGone", err)
			}
		})
		t.Run("its pod is removed meanwhile", func(t *testing.T) {
			_, c := r.pod(testenv.PodConfig{}, testenv.ContainerConfig{})
			pod, removed := r.last, make(chan error, 1)
			r.removed = pod
			trial := r.trial(c, nil, "sh", "-c", "sleep 3")
			trial.Verify = func(context.Context, *nsenter.Process) error {
				go func() { removed <- pod.Remove(context.Background()) }()
				return nil
			}
			if v, err := r.check(trial); !errors.Is(err, nsenter.ErrGone) {
				t.Errorf("%+v, %v, want ErrGone", v, err)
			}
			if err := <-removed; err != nil {
				t.Errorf("the twin holds up the removal of its pod: %v", err)
			}
		})
		t.Run("is paused", func(t *testing.T) {
			_, c := r.pod(testenv.PodConfig{}, testenv.ContainerConfig{})
			freeze(t, c.Pid, true)
			_, err := r.check(r.trial(c, nil, "true"))
			if err == nil || errors.Is(err, check.ErrRefused) || !strings.Contains(err.Error(), "paused") {
				t.Errorf("%v, want it said that the container is paused", err)
			}
			freeze(t, c.Pid, false)
			if _, err := r.check(r.trial(c, nil, "true")); err != nil {
				t.Errorf("when it runs again: %v", err)
			}
		})
	})
}

// freeze pauses a container, as its runtime does.
func freeze(t *testing.T, pid int, on bool) {
	t.Helper()
	file, word := "/sys/fs/cgroup/freezer"+cgroupOf(t, pid)+"/freezer.state", map[bool]string{true: "FROZEN", false: "THAWED"}[on]
	if _, err := os.Stat(file); err != nil { // v2
		file, word = "/sys/fs/cgroup"+cgroupOf(t, pid)+"/cgroup.freeze", map[bool]string{true: "1", false: "0"}[on]
	}
	if err := os.WriteFile(file, []byte(word), 0); err != nil {
		t.Fatal(err)
	}
}

// TestDeadVolume puts a filesystem that never answers where a volume comes from.
func TestDeadVolume(t *testing.T) {
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	volume := t.TempDir()
	_, c := r.pod(testenv.PodConfig{}, testenv.ContainerConfig{Mounts: []testenv.Mount{{HostPath: volume, ContainerPath: "/data"}}})
	fuse, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("dead", volume, "fuse", 0, "fd="+strconv.Itoa(int(fuse.Fd()))+",rootmode=40000,user_id=0,group_id=0"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err = r.checker.Check(ctx, r.trial(c, nil, "true"))
	if !errors.Is(err, check.ErrDeadline) {
		t.Errorf("%v, want ErrDeadline", err)
	}
	if err := errors.Join(fuse.Close(), syscall.Unmount(volume, syscall.MNT_DETACH)); err != nil {
		t.Error(err)
	}
	if _, err := r.check(r.trial(c, nil, "true")); err != nil {
		t.Errorf("with the volume back: %v", err)
	}
}
