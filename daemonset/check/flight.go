package check

import (
	"context"
	"errors"
	"sync"
	"time"
)

// flights are the trials under way of which an equal one can have the result.
type flights struct {
	mu sync.Mutex
	of map[key]*flight
}

// flight is one trial under way. It belongs to nobody: it goes on as long as anybody
// waits for it.
type flight struct {
	waiters int
	cancel  context.CancelFunc
	done    chan struct{} // closed when verdict and err are set
	verdict Verdict
	err     error
}

// maxFlight is how long others than who began a flight wait for it: it may be slow because of the
// container that it happens to be made in.
const maxFlight = 5 * time.Second

// errSlow: a flight lasts, so that the next to ask begins another.
var errSlow = errors.New("an equal check takes long")

// join waits for the flight of a key, and starts it with run if there is none. It says
// whether it was started by this call.
func (c *Checker) join(ctx context.Context, k key, run func(context.Context) (Verdict, error)) (v Verdict, own bool, err error) {
	f, own := c.board(k, run)
	var slow <-chan time.Time
	if !own {
		timer := time.NewTimer(maxFlight)
		defer timer.Stop()
		slow = timer.C
	}
	select {
	case <-f.done:
		return f.verdict, own, f.err
	case <-slow:
		err = errSlow
	case <-ctx.Done():
		err = ctx.Err()
	}
	c.flights.mu.Lock()
	f.waiters--
	last := f.waiters == 0
	if (last || err == errSlow) && c.flights.of[k] == f {
		delete(c.flights.of, k)
	}
	c.flights.mu.Unlock()
	if last {
		f.cancel()
		<-f.done // what was begun for this call alone ends with it
	}
	return Verdict{}, own, err
}

func (c *Checker) board(k key, run func(context.Context) (Verdict, error)) (f *flight, own bool) {
	c.flights.mu.Lock()
	defer c.flights.mu.Unlock()
	if f := c.flights.of[k]; f != nil {
		f.waiters++
		return f, false
	}
	ctx, cancel := context.WithCancel(c.ctx)
	f = &flight{waiters: 1, cancel: cancel, done: make(chan struct{})}
	if c.flights.of == nil {
		c.flights.of = make(map[key]*flight)
	}
	c.flights.of[k] = f
	c.behind.Go(func() {
		defer cancel()
		f.verdict, f.err = run(ctx)
		c.flights.mu.Lock()
		if c.flights.of[k] == f {
			delete(c.flights.of, k)
		}
		c.flights.mu.Unlock()
		close(f.done)
	})
	return f, true
}
