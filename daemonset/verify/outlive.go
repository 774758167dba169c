package verify

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// outlive waits until the master has run on for as long as its preset says, and
// has taken the signal.
func (pr *Proof) outlive(ctx context.Context) error {
	until := time.Now().Add(pr.preset.After)
	for pause := pr.preset.After; ; pause = longest {
		if err := pr.stays(ctx, pause); err != nil {
			return err
		}
		m, err := readMask(pr.master.Pid(), pr.preset.Signal)
		if gone := pr.master.Alive(); gone != nil {
			return gone
		}
		if err != nil {
			return err
		}
		over := ctx.Err()
		switch {
		case !m.pending && !time.Now().Before(until):
			return nil
		case over == nil:
		case m.pending:
			return fmt.Errorf("%w: %w", pr.notTaken(sight{}, m), over)
		default:
			return fmt.Errorf("%w: the time was over before the %v that it has to run on: %w", ErrNotTaken, pr.preset.After, over)
		}
	}
}

// stays waits for the given time or until ctx's deadline. It fails if the master
// ends meanwhile, or ctx is cancelled.
func (pr *Proof) stays(ctx context.Context, d time.Duration) error {
	wait, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	err := pr.master.Wait(wait)
	switch {
	case err == nil:
		return pr.master.Alive()
	case errors.Is(err, context.DeadlineExceeded):
		return nil
	}
	return err
}
