package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/turns"
	"github.com/podreload/podreload/shim"
)

// maxCrossings is how many crossings are under way at once. It is less than
// nsenter has room for, so that shims which were given up on and hang in the
// kernel still are no hindrance. Fewer are not quicker where the processor is what all
// wait for: with 4 in place of 24 on two of them 100 pods took as long, measured.
const maxCrossings = 24

// maxTurn is how long a crossing, which takes a millisecond or some, keeps others waiting: one that
// takes longer hangs in a filesystem, and has a slot of nsenter's to itself until it ends.
const maxTurn = 500 * time.Millisecond

// turn waits until a crossing of a profile's target may begin. That is not part of any deadline:
// containers that hang must not use up the time of those behind them, which is
// bounded by theirs. The result may be called twice.
func (a *Applier) turn(ctx context.Context, profile string) (done func(), err error) {
	a.once.Do(func() { a.turns = turns.New(maxCrossings, maxTurn) })
	if done, err = a.turns.Take(ctx, profile); err != nil {
		return nil, fmt.Errorf("wait for other crossings: %w", err)
	}
	return done, nil
}

// cross carries one request in and its result out, when it is its turn.
func (a *Applier) cross(ctx context.Context, c *crossing, req shim.Request) (shim.Result, error) {
	done, err := a.turn(ctx, c.profile)
	if err != nil {
		return shim.Result{}, err
	}
	defer done()
	return a.carry(ctx, c, req)
}

func (a *Applier) carry(ctx context.Context, c *crossing, req shim.Request) (shim.Result, error) {
	// A crossing that has begun is finished: it takes milliseconds, and a
	// stop half way would only be work for the next start.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.Timeout)
	defer cancel()
	body, err := req.Encode()
	if err != nil {
		return shim.Result{}, failed(daemonset.Invalid, err)
	}
	reply, err := a.Shim.Cross(ctx, c.init, c.server, body)
	if err != nil {
		return shim.Result{}, failed(crossingState(err), err)
	}
	result, err := shim.DecodeResult(reply)
	if err != nil {
		return shim.Result{}, failed(daemonset.Failed, err)
	}
	if result.Error != nil {
		return result, failed(insideState(result.Error), result.Error)
	}
	return result, nil
}
