package faults

import (
	"context"
	"errors"
	"math"
	"slices"

	"golang.org/x/sys/unix"
)

// bareReloads is how many times each target is signalled with nothing changed, to see what nginx itself
// does to connections that are kept alive.
const bareReloads = 25

// reloadBare signals every nginx as a person would and returns how many requests that
// lost, over connections that were kept alive.
func (r *rig) reloadBare(ctx context.Context) (lost int, err error) {
	for range bareReloads {
		for _, t := range r.targets {
			master, before, err := r.nginx(t)
			if err != nil {
				return 0, err
			}
			if err := unix.Kill(master, unix.SIGHUP); err != nil {
				return 0, err
			}
			if err := r.await(t.name+" has other workers", func() error {
				_, after, err := r.nginx(t)
				if err == nil && slices.ContainsFunc(before, func(pid int) bool { return slices.Contains(after, pid) }) {
					err = errors.New("an old one serves")
				}
				return errors.Join(err, context.Cause(ctx))
			}); err != nil {
				return 0, err
			}
		}
	}
	for _, t := range r.targets {
		t.judge(r.events)
		lost += t.lost
		t.lost = 0
	}
	return lost, nil
}

// reportUsers compares what clients and readers saw with what bare signals did.
//
// nginx closes idle connections when it reloads, and a request that is on its way at that moment
// is lost, whoever sent the signal: so the rate is compared, not the number with 0. Both are counts of rare
// events, whose standard deviation is about the root of the count. Ours are worse beyond noise if their
// rate less two deviations is above the bare signals' plus two; 3 is what a count of 0 may have
// stood for (at 95 percent).
func (r *rig) reportUsers(bare int) {
	reloads, lost := 0, 0
	for i, t := range r.targets {
		reloads += t.reloads
		lost += t.lost
		r.t.Logf("%s: %d reloads, %d reads of whole files, %d requests failed while the test had ended nginx",
			t.name, t.reloads, r.readers[i].reads.Load(), t.excused)
	}
	signals := bareReloads * len(r.targets)
	r.t.Logf("lost over connections kept alive: %d at %d reloads of podreload, %d at %d bare signals", lost, reloads, bare, signals)
	ours := (float64(lost) - 2*math.Sqrt(float64(lost))) / float64(max(1, reloads))
	theirs := (float64(bare) + 2*math.Sqrt(float64(bare)) + 3) / float64(signals)
	if ours > theirs {
		r.t.Errorf("a reload of podreload loses more requests over connections kept alive (%.3f or more) than a bare signal (%.3f or less)", ours, theirs)
	}
}
