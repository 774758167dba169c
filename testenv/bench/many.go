package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/podreload/podreload/testenv"
)

// manyRounds is how often each effort is measured with each number of pods.
const manyRounds = 5

// calm is how long what an effort has set off has to end: what runs behind its answer, and the
// 100 ms in which nginx's master sleeps.
const calm = 400 * time.Millisecond

// effort is one way to bring one change to many pods.
type effort struct {
	name string

	// do returns when it is known of all pods that it is done, and says from when on. The last
	// server was told at told, zero where nobody knows.
	do func(ctx context.Context, text string) (start, told time.Time, err error)

	used   func() (time.Duration, error) // processor time of what does it, which is not nginx's
	memory func() (memory, error)        // of what stays; nil: nothing does

	sample
}

// sample is what was measured of an effort with one number of pods.
type sample struct {
	told, done         []time.Duration
	mine, nginx, whole time.Duration // processor time of all rounds
	stays              memory
}

// many measures one change that goes to many pods of nginx, and writes a table of its own.
func many(ctx context.Context, out io.Writer, s *scene, sizes []int, plots string) (err error) {
	c := &crowd{node: s.node}
	defer func() { err = errors.Join(err, c.Close()) }()
	client, err := connect(ctx, s.node)
	if err != nil {
		return err
	}
	s.later(client)
	var all []result
	for _, size := range sizes {
		progress("one change in %d pods", size)
		r := result{pods: size, load: testenv.LoadAverage()}
		if err := c.grow(ctx, size); err != nil {
			return err
		}
		var end func() error
		if r.efforts, end, err = s.efforts(ctx, c, client); err == nil {
			err = c.measure(ctx, r.efforts)
		}
		if err := errors.Join(err, end()); err != nil {
			return fmt.Errorf("%d pods: %w", size, err)
		}
		if err := r.table(out); err != nil {
			return err
		}
		all = append(all, r)
	}
	return manyPlots(plots, all)
}

// result is what was measured with one number of pods. The first effort is the floor.
type result struct {
	pods    int
	load    string
	efforts []effort
}

// measure takes each effort in rounds, of which each has an order of its own. The first does
// not count.
func (c *crowd) measure(ctx context.Context, all []effort) error {
	for round := range 1 + manyRounds {
		for _, i := range rand.Perm(len(all)) {
			if round == 1 {
				all[i].sample = sample{}
			}
			if err := c.once(ctx, &all[i]); err != nil {
				return fmt.Errorf("%s: %w", all[i].name, err)
			}
		}
	}
	for i := range all {
		if all[i].memory == nil {
			continue
		}
		var err error
		if all[i].stays, err = all[i].memory(); err != nil {
			return err
		}
	}
	return nil
}

// changes numbers the texts: each is new.
var changes int

// once measures an effort once. It is done when the effort says so and every worker of before
// has ended.
func (c *crowd) once(ctx context.Context, e *effort) error {
	time.Sleep(calm)
	before, err := c.workers()
	if err != nil {
		return err
	}
	defer before.close()
	changes++
	text := fmt.Sprintf("%d ", changes)
	text += strings.Repeat("x", size-len(text))
	meters := []func() (time.Duration, error){e.used, c.used, machine}
	since := make([]time.Duration, len(meters))
	for i, m := range meters {
		if since[i], err = m(); err != nil {
			return err
		}
	}
	start, told, err := e.do(ctx, text)
	if err == nil {
		err = before.ended(ctx)
	}
	if err != nil {
		return err
	}
	e.done = append(e.done, time.Since(start))
	if !told.IsZero() {
		e.told = append(e.told, told.Sub(start))
	}
	time.Sleep(calm)
	for i, sum := range []*time.Duration{&e.mine, &e.nginx, &e.whole} {
		until, err := meters[i]()
		if err != nil {
			return err
		}
		*sum += until - since[i]
	}
	return nil
}

// used is the masters' processor time, and that of the workers that they had.
func (c *crowd) used() (time.Duration, error) {
	pids := make([]int, len(c.members))
	for i, m := range c.members {
		pids[i] = m.master.Pid()
	}
	return processor(pids...)
}
