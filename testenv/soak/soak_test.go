package soak

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
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
	load := testenv.LoadAverage()
	r.work()
	r.settle()
	last, err := r.sample()
	r.must(err)
	where := fmt.Sprintf("%s, %s; load average %s before, %s after", time.Now().Format(time.DateOnly), testenv.Machine(), load, testenv.LoadAverage())
	r.report(where, last.phases)
	r.wantFlat()
}

// work puts all changes, with all else that goes on beside it.
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
	cancel()
	beside.Wait()
	r.must(r.err)
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

func (r *run) write(ctx context.Context) error {
	for {
		n := r.put.Add(1)
		if n > int64(*changes) {
			r.put.Add(-1)
			return nil
		}
		due := r.begun.Add(time.Duration(float64(n) / *rate * float64(time.Second)))
		if err := wait(ctx, time.Until(due)); err != nil {
			return err
		}
		if _, err := r.any().put(ctx, r.etcd); err != nil {
			return err
		}
	}
}

func (r *run) any() *target { return r.targets[rand.IntN(len(r.targets))] }

// churn has containers and pods come and go.
func (r *run) churn(ctx context.Context) error {
	for {
		if err := wait(ctx, *churns); err != nil {
			return err
		}
		// What has begun is finished: the end of the run must find every pod.
		whole, t := context.WithoutCancel(ctx), r.any()
		if rand.IntN(4) > 0 {
			if err := t.restart(whole); err != nil {
				return fmt.Errorf("restart %s: %w", t.name, err)
			}
			r.restarted++
			continue
		}
		if err := t.replace(whole, r.node); err != nil {
			return fmt.Errorf("replace %s: %w", t.name, err)
		}
		r.replaced++
	}
}

// probe measures puts of its own, one after the other.
func (r *run) probe(ctx context.Context) error {
	for {
		t := r.any()
		number, err := t.put(ctx, r.etcd)
		if err != nil {
			return err
		}
		r.put.Add(1)
		_, pid := t.now()
		began := time.Now()
		errGone := errors.New("the container is another one")
		err = until(ctx, func() error {
			if _, now := t.now(); now == 0 || now != pid {
				return nil
			}
			if n, err := t.has(pid); err != nil || n < number {
				return fmt.Errorf("%s has number %d, want %d: %w", t.name, n, number, err)
			}
			return nil
		})
		if err != nil {
			return err
		}
		took := time.Since(began)
		if _, now := t.now(); now == 0 || now != pid {
			err = errGone // how long that took tells nothing
		}
		if err == nil {
			r.mu.Lock()
			r.took = append(r.took, latency{time.Since(r.begun), took})
			r.mu.Unlock()
		}
		if err := wait(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// watch takes the samples.
func (r *run) watch(ctx context.Context) error {
	for {
		s, err := r.sample()
		if err != nil {
			return err
		}
		s.at, s.changes = time.Since(r.begun), int(r.put.Load())
		r.mu.Lock()
		r.samples = append(r.samples, s)
		r.mu.Unlock()
		if err := wait(ctx, *every); err != nil {
			return err
		}
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

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
