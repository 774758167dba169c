package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// write puts numbers until all are put.
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
