package agent

import (
	"context"
	"errors"
	"fmt"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/state"
)

// reject brings the previous files back after a reload that did not take, and
// notes that what was tried is not to be tried again. A slow server may have taken
// it late: so the previous files are signalled and proved in turn.
func (a *Applier) reject(ctx context.Context, job Job, want goal, rec *state.Record, cause error) error {
	previous, err := a.previous(rec)
	if err != nil {
		return errors.Join(cause, err)
	}
	if sameContents(previous.files, want.all()) {
		return cause // it was live before with the same files: nothing to go back to
	}
	if want.instead != nil { // what is wanted, and was rejected, is something else
		rec.NotTaken = append(rec.NotTaken[max(0, len(rec.NotTaken)-maxNotTaken):], want.digest)
	} else {
		rec.Rejected = want.digest
	}
	rec.Why = cause.Error()
	if err := a.restore(ctx, job, rec); err != nil {
		return failed(StateOf(err), fmt.Errorf("%w; the previous files come back: %w", cause, err))
	}
	return failed(daemonset.RolledBack, fmt.Errorf("%w; the previous files are back and live", cause))
}

// maxNotTaken bounds how many digests are remembered, and one more.
const maxNotTaken = 7

// restore puts the previous files in place, and has the server that is there now
// reload them.
func (a *Applier) restore(ctx context.Context, job Job, rec *state.Record) error {
	previous, err := a.previous(rec)
	if err != nil {
		return err
	}
	c, err := enter(ctx, job)
	if err != nil {
		return err
	}
	defer c.Close()
	rec.Owed = true
	return a.place(ctx, job, c, previous, rec)
}
