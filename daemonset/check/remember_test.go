package check_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/check"
	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/testenv"
)

// counted has a trial count its runs.
func counted(t check.Trial, runs *atomic.Int32) check.Trial {
	write := t.Write
	t.Write = func(ctx context.Context, init *nsenter.Process) error {
		runs.Add(1)
		return write(ctx, init)
	}
	return t
}

// TestReplicas: what is equal for the replicas of a deployment is tried in one of them.
func TestReplicas(t *testing.T) {
	testenv.EachVersion(t, func(t *testing.T, n *testenv.Node) {
		r := newRig(t, n)
		var replicas []daemonset.Container
		for range 3 {
			_, c := r.pod(testenv.PodConfig{}, testenv.ContainerConfig{Mounts: []testenv.Mount{{HostPath: t.TempDir(), ContainerPath: "/data"}}})
			replicas = append(replicas, c)
		}
		trial := func(i int, text string) check.Trial {
			x := r.trial(replicas[i], file(conf, text), "nginx", "-t")
			x.Image = "sha256:1"
			return x
		}
		t.Run("at once", func(t *testing.T) {
			var runs atomic.Int32
			var all sync.WaitGroup
			for i := range replicas {
				all.Go(func() {
					if v, err := r.check(counted(trial(i, "# at once\n"+good), &runs)); err != nil || !strings.Contains(v.Output, "successful") {
						t.Errorf("%+v, %v", v, err)
					}
				})
			}
			all.Wait()
			if runs.Load() != 1 {
				t.Errorf("%d runs, want 1", runs.Load())
			}
			v, err := r.check(counted(trial(0, "# at once\n"+good), &runs))
			if err != nil || !v.Remembered || runs.Load() != 1 {
				t.Errorf("afterwards: %+v, %v, %d runs", v, err, runs.Load())
			}
		})
		t.Run("refused", func(t *testing.T) {
			var runs atomic.Int32
			var first, again *check.Refusal
			_, err := r.check(counted(trial(0, "bad"), &runs))
			if !errors.As(err, &first) || first.RetryAt.IsZero() {
				t.Fatalf("%v, want a refusal with a time to try again", err)
			}
			_, err = r.check(counted(trial(1, "bad"), &runs))
			if !errors.As(err, &again) {
				t.Fatalf("%v, want a refusal", err)
			}
			if runs.Load() == 1 && again != first {
				t.Errorf("%+v, want the same refusal", again)
			}
			if runs.Load() == 2 && again.RetryAt.Sub(first.RetryAt) < time.Second {
				t.Errorf("tried again, and stands until %s after %s", again.RetryAt, first.RetryAt)
			}
		})
		t.Run("never a pass", func(t *testing.T) {
			var runs atomic.Int32
			x := counted(trial(0, "# forget\n"+good), &runs)
			x.Forget = true
			for range 2 {
				if v, err := r.check(x); err != nil || v.Remembered {
					t.Errorf("%+v, %v", v, err)
				}
			}
			x.Image, x.Forget = "", false
			if v, err := r.check(x); err != nil || v.Remembered {
				t.Errorf("without an image: %+v, %v", v, err)
			}
			if runs.Load() != 3 {
				t.Errorf("%d runs, want 3", runs.Load())
			}
		})
		t.Run("slow", func(t *testing.T) {
			ctx, end := context.WithCancel(t.Context())
			var all sync.WaitGroup
			defer all.Wait()
			defer end()
			slow, entered := trial(0, "# slow\n"+good), make(chan struct{})
			slow.Write = func(ctx context.Context, _ *nsenter.Process) error {
				close(entered)
				<-ctx.Done()
				return ctx.Err()
			}
			all.Go(func() { r.checker.Check(ctx, slow) })
			<-entered
			for i := range replicas[1:] {
				if v, err := r.check(trial(1+i, "# slow\n"+good)); err != nil || !strings.Contains(v.Output, "successful") {
					t.Errorf("beside a slow one: %+v, %v", v, err)
				}
			}
		})
		t.Run("no verdict", func(t *testing.T) {
			var runs atomic.Int32
			x := counted(trial(0, "# no verdict\n"+good), &runs)
			failed := errors.New("not now")
			x.Verify = func(context.Context, *nsenter.Process) error { return failed }
			for range 2 {
				if _, err := r.check(x); err != failed {
					t.Errorf("%v, want Verify's error itself", err)
				}
			}
			if runs.Load() != 2 {
				t.Errorf("%d runs, want 2: an error is not remembered", runs.Load())
			}
		})
	})
}

// TestManyAtOnce tries 20 different configurations of 20 trials in two containers.
func TestManyAtOnce(t *testing.T) {
	testenv.EachVersion(t, func(t *testing.T, n *testenv.Node) {
		r := newRig(t, n)
		_, one := r.pod(testenv.PodConfig{}, testenv.ContainerConfig{})
		_, two := r.pod(testenv.PodConfig{}, testenv.ContainerConfig{})
		var all sync.WaitGroup
		for i := range 20 {
			text, c := fmt.Sprintf("# %d\n%s", i, good), one
			if i%2 == 1 {
				text, c = fmt.Sprintf("# %d\nbad", i), two
			}
			all.Go(func() {
				x := r.trial(c, file(conf, text), "nginx", "-t")
				x.Image = "sha256:1"
				if _, err := r.check(x); errors.Is(err, check.ErrRefused) != (i%2 == 1) || i%2 == 0 && err != nil {
					t.Errorf("configuration %d: %v", i, err)
				}
			})
		}
		all.Wait()
	})
}
