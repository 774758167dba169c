package check

import (
	"context"
	"errors"
	"fmt"

	"github.com/podreload/podreload/nsenter"
)

// Check tries a configuration. Nil means that every command passed. ErrRefused, a
// [Refusal], means that one did not; any other error is no verdict: of Write and
// Verify as they gave it, nsenter.ErrGone when the container has ended,
// ErrUnsupported, ErrDeadline, ErrKilled, or the runtime's failure.
func (c *Checker) Check(ctx context.Context, t Trial) (Verdict, error) {
	for _, command := range t.Commands {
		if len(command.Args) == 0 {
			return Verdict{}, fmt.Errorf("check %s: a command without a word in it", t.Container)
		}
	}
	target, err := nsenter.Pin(t.Container.Pid)
	if err != nil {
		return Verdict{}, fmt.Errorf("check %s: %w", t.Container, err)
	}
	defer target.Close()
	b, err := c.find(target, t)
	if err != nil {
		return Verdict{}, fmt.Errorf("check %s: %w", t.Container, err)
	}
	return c.try(ctx, t, target, b)
}

// find finds the target's bundle, and that it runs.
func (c *Checker) find(target *nsenter.Process, t Trial) (b bundle, err error) {
	err = c.node.do(func() error {
		if b, err = findBundle(target, t.Container); err != nil {
			return err
		}
		spec, err := parseSpec(b.spec)
		if err != nil {
			return err
		}
		if findCgroup(spec.Linux.CgroupsPath).frozen() {
			return errors.New("the container is paused, and would not take the configuration")
		}
		return nil
	})
	return b, err
}
