package faults

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	firstKey, secondKey = "/faults/first", "/faults/second"

	// Between two puts; shorter than an apply to three targets, so that the agent is always at work.
	shortestPause, longestPause = 50 * time.Millisecond, 200 * time.Millisecond

	// One put in so many is of files that nginx does not take.
	badEvery = 8
)

// writer puts ever newer numbers.
type writer struct {
	client *clientv3.Client
	events *events

	mu   sync.Mutex
	n    int           // what was last begun
	bad  map[int]bool  // numbers that must never be served; also such as may not have been put
	good put           // the last good one that etcd has
	put  chan struct{} // closed at the next put that succeeds
}

// put is a number and the revision at which etcd has it.
type put struct {
	number   int
	revision int64
}

func newWriter(client *clientv3.Client, e *events) *writer {
	return &writer{client: client, events: e, bad: map[int]bool{}, put: make(chan struct{})}
}

// run puts until the context ends. What it does depends on the seed alone.
func (w *writer) run(ctx context.Context, rng *rand.Rand) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		w.next(ctx, rng.IntN(badEvery) == 0)
		timer.Reset(between(rng, shortestPause, longestPause))
	}
}

// next puts the next number. While etcd is away it fails; the one after it then succeeds.
func (w *writer) next(ctx context.Context, bad bool) {
	w.mu.Lock()
	w.n++
	n := w.n
	w.bad[n] = bad
	w.mu.Unlock()
	first, second := firstText(n), secondText(n)
	switch {
	case bad && n%2 == 0:
		first = badText(n)
	case bad:
		second = badText(n)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	r, err := w.client.Txn(ctx).Then(clientv3.OpPut(firstKey, first), clientv3.OpPut(secondKey, second)).Commit()
	if err != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !bad {
		w.good = put{n, r.Header.Revision}
	}
	close(w.put)
	w.put = make(chan struct{})
}

// last is the newest number that nginx can take.
func (w *writer) last() put {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.good
}

func (w *writer) isBad(n int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bad[n]
}

// afterPut waits for the next put that succeeds.
func (w *writer) afterPut(ctx context.Context) error {
	w.mu.Lock()
	next := w.put
	w.mu.Unlock()
	select {
	case <-next:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// between is a random duration.
func between(rng *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(rng.Int64N(int64(to-from)))
}
