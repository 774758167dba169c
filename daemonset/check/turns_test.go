package check_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/podreload/podreload/daemonset/check"
	"github.com/podreload/podreload/testenv"
)

// TestStuckCommands: commands that do not end, as many as twins are made at once, do not
// hold up the check of another container.
func TestStuckCommands(t *testing.T) {
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	_, hostile := r.pod(testenv.PodConfig{}, testenv.ContainerConfig{})
	_, c := r.pod(testenv.PodConfig{}, testenv.ContainerConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	stuck := 2 * max(2, runtime.GOMAXPROCS(0))
	var made atomic.Int32
	var ended atomic.Int32
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	for range stuck {
		all.Go(func() {
			r.checker.Check(ctx, counted(r.trial(hostile, nil, "sleep", "1000000"), &made))
			ended.Add(1)
		})
	}
	for made.Load() < int32(stuck)/2 {
		runtime.Gosched()
	}
	if _, err := r.check(r.trial(c, nil, "true")); err != nil {
		t.Error(err)
	}
	if n := ended.Load(); n > 0 {
		t.Errorf("it waited until %d others had ended", n)
	}
}

// TestProfilesTakeTurns: the many checks of one profile do not keep another's waiting until all
// are done.
func TestProfilesTakeTurns(t *testing.T) {
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	_, c := r.pod(testenv.PodConfig{}, testenv.ContainerConfig{})
	many := 8 * check.AtOnce()
	var made, ended atomic.Int32
	var all sync.WaitGroup
	for i := range many {
		all.Go(func() {
			trial := counted(r.trial(c, file(conf, fmt.Sprint("# ", i)), "true"), &made)
			trial.Profile = "many"
			if _, err := r.check(trial); err != nil {
				t.Error(err)
			}
			ended.Add(1)
		})
	}
	for made.Load() == 0 {
		runtime.Gosched()
	}
	one := r.trial(c, nil, "true")
	one.Profile = "one"
	if _, err := r.check(one); err != nil {
		t.Error(err)
	}
	if n := int(ended.Load()); n > many/2 {
		t.Errorf("it waited for %d of the %d of another profile", n, many)
	}
	all.Wait()
}
