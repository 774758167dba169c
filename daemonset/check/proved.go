package check

import (
	"errors"
	"fmt"
	"time"

	"github.com/podreload/podreload/nsenter"
)

// ErrUnproved: no server of an equal container is known to run with the configuration.
var ErrUnproved = errors.New("not proved in an equal container of this node in the last minutes")

// Prove notes that the server of the trial's container runs with its files. For a container
// that is about to start that says more than a pass: no command is made of how a server
// runs that is not there yet, and a configuration that passes can fail to be taken.
//
// It is known for as long as a pass is remembered, since what is not in a trial's key
// changes as well; so whoever looks after the server says it again while that is so. That the
// container has ended does not end it: what takes its place is what this is for.
func (c *Checker) Prove(t Trial) error {
	k, err := c.birth(t)
	if err == nil {
		c.proved.passed(k, Verdict{}, time.Now())
	}
	return err
}

// Proved is nil where that is known of an equal container, also a former one. Nothing is run:
// it takes a millisecond or two. An error that does not wrap [ErrUnproved] says why it cannot
// be known.
func (c *Checker) Proved(t Trial) error {
	k, err := c.birth(t)
	if err != nil {
		return err
	}
	if _, _, ok := c.proved.find(k, time.Now()); !ok {
		return ErrUnproved
	}
	return nil
}

// birth is the key of a container's start with the trial's files: what it is started as
// stands for the commands that try it.
func (c *Checker) birth(t Trial) (key, error) {
	if t.Image == "" {
		return key{}, fmt.Errorf("%w: the digest of its image is not known", ErrUnproved)
	}
	target, err := nsenter.PinStarted(t.Container.Pid, t.Container.StartTime)
	if err != nil {
		return key{}, err
	}
	defer target.Close()
	var e essence
	err = c.node.do(func() error {
		_, spec, err := findSpec(target, t.Container)
		if err == nil {
			e, err = c.essences.of(spec)
		}
		return err
	})
	if err != nil {
		return key{}, err
	}
	t.Commands = []Command{{Args: e.args}}
	return keyOf(t, e), nil
}
