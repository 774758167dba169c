package check_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

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
