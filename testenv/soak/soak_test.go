package soak

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/testenv"
)

var (
	changes = flag.Int("soak.changes", 300, "how many numbers are put")
	pods    = flag.Int("soak.pods", 6, "over how many pods")
	rate    = flag.Float64("soak.rate", 100, "how many a second, at most")
	every   = flag.Duration("soak.every", 100*time.Millisecond, "how often the daemon is looked at")
	churns  = flag.Duration("soak.churn", time.Second, "how often a container is restarted or a pod replaced")
	svg     = flag.String("soak.plot", "", "where the plot goes; empty: nowhere")
)

// writers put at once: etcd takes one put's time for the disk.
const writers = 8

// run is what happens at once.
type run struct {
	*rig
	targets []*target
	begun   time.Time

	put                 atomic.Int64
	restarted, replaced int // the churn's own

	mu      sync.Mutex
	samples []sample
	took    []latency
	err     error // the first
	end     context.CancelFunc
}

// latency is from etcd's acknowledgement of a put until the container has it, or something newer.
type latency struct{ at, took time.Duration }

// TestSoak: after many changes the agent holds what it held after few, and the last state is
// everywhere.
func TestSoak(t *testing.T) {
	testenv.Needs(t)
	r := &run{rig: newRig(t, conf())}
	for i := range *pods {
		target := &target{name: fmt.Sprintf("soak-%02d", i), nginx: i%10 == 0}
		r.targets = append(r.targets, target)
		r.must(errors.Join(target.run(t.Context(), r.node), func() error { _, err := target.put(t.Context(), r.etcd); return err }()))
	}
	r.settle()
	before, load := r.rest(), testenv.LoadAverage()
	r.work()
	r.settle()
	after := r.rest()
	where := fmt.Sprintf("%s, %s; load average %s before, %s after", time.Now().Format(time.DateOnly), testenv.Machine(), load, testenv.LoadAverage())
	r.report(where, before, after)
	r.wantFlat()
	// At work each apply holds some; at rest it must be what it was, but for what comes and goes by itself.
	const some = 8
	if after.fds > before.fds+some || after.goroutines > before.goroutines+some {
		t.Errorf("at rest there are %.0f descriptors and %.0f goroutines, before all changes there were %.0f and %.0f", after.fds, after.goroutines, before.fds, before.goroutines)
	}
}

// rest is what the daemon holds when it does nothing: the least that it holds, since the looks at
// so many pods, each in its own time, leave no moment in which nothing goes on for long.
func (r *run) rest() (s sample) {
	r.t.Helper()
	const looks = 10
	noLess := -1
	r.await("the daemon is at rest", func() error {
		now, err := r.sample()
		if err != nil {
			return err
		}
		if noLess++; noLess == 0 {
			s = now
		}
		if now.fds < s.fds || now.goroutines < s.goroutines {
			noLess = 0
		}
		now.fds, now.goroutines = min(now.fds, s.fds), min(now.goroutines, s.goroutines)
		if s = now; noLess < looks {
			return errors.Join(fmt.Errorf("it has %.0f descriptors and %.0f goroutines, fewer than a moment ago", s.fds, s.goroutines), wait(r.t.Context(), *every/looks))
		}
		return nil
	})
	return s
}

// work puts all changes, with all else that goes on beside it, which goes on until there are samples
// enough: where each takes long, all is put after a few.
func (r *run) work() {
	ctx, cancel := context.WithCancel(r.t.Context())
	defer cancel()
	r.begun, r.end = time.Now(), cancel
	var writing, beside sync.WaitGroup
	for range writers {
		writing.Go(func() { r.done(r.write(ctx)) })
	}
	for _, run := range []func(context.Context) error{r.churn, r.probe, r.watch} {
		beside.Go(func() { r.done(run(ctx)) })
	}
	writing.Wait()
	r.done(until(ctx, r.sampled))
	cancel()
	beside.Wait()
	r.must(r.err)
}

func (r *run) sampled() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.samples); n < fewest {
		return fmt.Errorf("%d samples tell nothing: make it longer, or look more often", n)
	}
	return nil
}

// done takes the error of a part of the run, which ends all.
func (r *run) done(err error) {
	if err == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil && !errors.Is(err, context.Canceled) {
		r.err = err
		r.end()
	}
}

// settle waits until the last number of each pod is the one that is applied, and served.
func (r *run) settle() {
	r.t.Helper()
	for _, t := range r.targets {
		pod, pid := t.now()
		r.await(fmt.Sprintf("%s has its last number", t.name), func() error {
			rec, err := r.store.Load(pod.Container("main").ID)
			if err != nil {
				return err
			}
			n, err := t.has(pid)
			if err != nil || n != t.number || rec.Owed || rec.State != daemonset.Live && rec.State != daemonset.Applied {
				return errors.Join(err, fmt.Errorf("it has %d, not %d, and is %s, owed %v: %s", n, t.number, rec.State, rec.Owed, rec.Reason))
			}
			return nil
		})
		if t.nginx {
			r.serves(t, pod)
		}
	}
}

func (r *run) serves(t *target, pod *testenv.Pod) {
	r.t.Helper()
	want := fmt.Sprintf("number %d", t.number)
	r.await(t.name+" serves "+want, func() error {
		got, err := pod.Get(r.t.Context(), 80, "/")
		if err == nil && strings.TrimSpace(got) != want {
			err = fmt.Errorf("it serves %q", got)
		}
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("it closed the connection: %w", err)
		}
		return err
	})
}
