package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// size is what is written, in bytes: a small server block of nginx.
const size = 2300

// way is one way to do a piece of work, and how long it took each time.
type way struct {
	name     string
	receiver *receiver // whom it signals; nil for none

	before func(ctx context.Context, text string) error // not measured; may be nil
	do     func(ctx context.Context, text string) error // may be nil

	done   []time.Duration // until do returned: the caller knows that it is done
	signal []time.Duration // until the receiver had the signal
}

// measure does the work once.
func (w *way) measure(ctx context.Context, text string) error {
	if w.before != nil {
		if err := w.before(ctx, text); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
	}
	start := now()
	if w.do != nil {
		if err := w.do(ctx, text); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		w.done = append(w.done, now()-start)
	}
	if w.receiver != nil {
		at, err := w.receiver.signalled()
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		w.signal = append(w.signal, at-start)
	}
	return nil
}

// rest lets what the last way left to others end: containerd cleans up after
// its answer.
const rest = 25 * time.Millisecond

// race measures every way n times, in rounds of which each has an order of its
// own, so that noise and neighbours hit all alike. The first rounds do not count.
func race(ctx context.Context, ways []*way, n int, progress func(round int)) error {
	const warm = 3
	for i := range warm + n {
		if i == warm {
			for _, w := range ways {
				w.done, w.signal = nil, nil
			}
		}
		progress(i - warm)
		for j, w := range rand.Perm(len(ways)) {
			if err := ctx.Err(); err != nil {
				return err
			}
			text := fmt.Sprintf("# %d.%d\n", i, j)
			text += strings.Repeat("x", size-len(text))
			if err := ways[w].measure(ctx, text); err != nil {
				return err
			}
			time.Sleep(rest)
		}
	}
	return nil
}

// quantile is the q'th part of the sorted samples: 0.5 is the median.
func quantile(samples []time.Duration, q float64) time.Duration {
	if len(samples) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(samples))
	return s[min(int(q*float64(len(s))), len(s)-1)]
}

func median(samples []time.Duration) time.Duration { return quantile(samples, 0.5) }
