package check

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/podreload/podreload/nsenter"
)

// maxJoins is how many equal trials that came to no verdict, because their container has
// ended for one, a trial waits for before it is made for itself.
const maxJoins = 2

// Check tries a configuration. Nil means that every command passed. ErrRefused, a
// [Refusal], means that one did not; any other error is no verdict: of Write and
// Verify as they gave it, nsenter.ErrGone when the container has ended,
// ErrUnsupported, ErrDeadline, ErrKilled, or the runtime's failure.
//
// Equal trials (of one image, user, environment, set of files, and so on) at the same
// time are made once. A verdict is remembered: a pass for some minutes, a
// refusal until its RetryAt, after which one trial finds out anew.
func (c *Checker) Check(ctx context.Context, t Trial) (Verdict, error) {
	v, err := c.check(ctx, t)
	var refusal *Refusal
	var callers callersError
	switch {
	case err == nil:
		return v, nil
	case errors.As(err, &refusal):
		return Verdict{}, refusal
	case errors.As(err, &callers):
		return Verdict{}, callers.error
	}
	return Verdict{}, fmt.Errorf("check %s: %w", t.Container, err)
}

// callersError is one of Write or Verify.
type callersError struct{ error }

func (c *Checker) check(ctx context.Context, t Trial) (Verdict, error) {
	for _, command := range t.Commands {
		if len(command.Args) == 0 {
			return Verdict{}, errors.New("a command without a word in it")
		}
	}
	target, err := nsenter.PinStarted(t.Container.Pid, t.Container.StartTime)
	if err != nil {
		return Verdict{}, err
	}
	defer target.Close()
	b, e, err := c.find(target, t)
	if err != nil {
		return Verdict{}, err
	}
	if t.Image == "" {
		return c.try(ctx, t, target, b)
	}
	k := keyOf(t, e)
	if t.Forget { // so a pass is nobody else's either
		if _, refusal, ok := c.memory.find(k, time.Now()); ok && refusal != nil {
			return Verdict{}, refusal
		}
		v, err := c.try(ctx, t, target, b)
		return v, c.learn(k, v, err, true)
	}
	return c.shared(ctx, k, t)
}

// shared has the verdict of an equal trial where there is one, and makes the trial where
// there is not. How often it waits for slow ones is bounded by time.
func (c *Checker) shared(ctx context.Context, k key, t Trial) (Verdict, error) {
	late := time.Now().Add(timeout)
	for joins := 0; joins < maxJoins && time.Now().Before(late); {
		if v, refusal, ok := c.memory.find(k, time.Now()); refusal != nil {
			return Verdict{}, refusal
		} else if ok {
			return v, nil
		}
		v, own, err := c.join(ctx, k, func(ctx context.Context) (Verdict, error) { return c.alone(ctx, k, t) })
		if err == errSlow {
			continue
		}
		if err == nil || own || errors.Is(err, ErrRefused) || ctx.Err() != nil {
			return v, err
		}
		joins++
	}
	return c.alone(ctx, k, t)
}

// alone makes a trial for all who wait for it. Its target is pinned anew: whoever asked
// first may have left.
func (c *Checker) alone(ctx context.Context, k key, t Trial) (Verdict, error) {
	target, err := nsenter.PinStarted(t.Container.Pid, t.Container.StartTime)
	if err != nil {
		return Verdict{}, err
	}
	defer target.Close()
	b, _, err := c.find(target, t)
	if err != nil {
		return Verdict{}, err
	}
	v, err := c.try(ctx, t, target, b)
	return v, c.learn(k, v, err, false)
}

// learn remembers a verdict, and returns the error as it is remembered.
func (c *Checker) learn(k key, v Verdict, err error, forget bool) error {
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal):
		return c.memory.refused(k, *refusal, time.Now())
	case err == nil && !forget:
		c.memory.passed(k, v, time.Now())
	}
	return err
}

// find finds the target's bundle, and that it runs.
func (c *Checker) find(target *nsenter.Process, t Trial) (b bundle, e essence, err error) {
	err = c.node.do(func() error {
		if b, err = findBundle(target, t.Container); err != nil {
			return err
		}
		if e, err = c.essences.of(b.spec); err != nil {
			return err
		}
		if findCgroup(e.cgroup).frozen() {
			return errors.New("the container is paused, and would not take the configuration")
		}
		return nil
	})
	return b, e, err
}
