package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/state"
	"github.com/podreload/podreload/daemonset/verify"
)

// reject brings the previous files back after a reload that did not take, and
// notes that what was tried is not to be tried again, or not soon where the server said nothing until
// the time was over, or ended: a supervisor may have restarted it. A slow server may have taken it late: so the
// previous files are signalled and proved in turn.
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
		if r := rejection(job, want.digest); r != rec.Rejected {
			rec.Rejected, rec.Late = r, 0
		}
		rec.Late, rec.Again = rec.Late+1, time.Time{}
		if errors.Is(cause, context.DeadlineExceeded) || rec.Late == 1 && endedByChance(job, cause) {
			rec.Again = time.Now().Add(backoff(rec.Late, lateFirst, lateLongest))
		}
	}
	rec.Why = cause.Error()
	if err := a.restore(ctx, job, rec); err != nil {
		return failed(StateOf(err), fmt.Errorf("%w; the previous files come back: %w", cause, err))
	}
	return rolledBack(rec)
}

// endedByChance says whether a server has ended in the midst of a reload that no bad configuration ends it by.
func endedByChance(job Job, cause error) bool {
	preset, known, err := presetOf(job.profile())
	return err == nil && known && preset.Blocks && errors.Is(cause, verify.ErrGone)
}

// rolledBack says that the previous files are in place, and for how long.
func rolledBack(rec *state.Record) error {
	if rec.Again.IsZero() {
		return failed(daemonset.RolledBack, fmt.Errorf("%s; the previous files are back and live", rec.Why))
	}
	at := rec.Again
	if now := time.Now(); at.Before(now) {
		at = now.Add(lateFirst) // it could not be tried: etcd is away
	}
	return &laterError{at: at, error: failed(daemonset.RolledBack, fmt.Errorf(
		"%s; the previous files are back and live, and this is tried again at %s, or by `podreload apply` (--timeout is the time that it has)",
		rec.Why, at.Format(time.TimeOnly)))}
}

// again answers whether it is time to try what a server was too slow for. A clock that was set back
// does not put it off for ever.
func again(job Job, rec *state.Record, now time.Time) bool {
	return !rec.Again.IsZero() && (job.Insist || !now.Before(rec.Again) || rec.Again.Sub(now) > 2*lateLongest)
}

// What a server was too slow for is tried again: the node may have been busy.
const lateFirst, lateLongest = time.Minute, time.Hour

// rejected answers whether a goal is what did not take.
func rejected(job Job, want goal, rec *state.Record) bool {
	return rec.Rejected != "" && rec.Rejected == rejection(job, want.digest)
}

// rejection names what did not take: files, and how the server was told of them and asked. With
// another way to tell or to ask the same files may take.
func rejection(job Job, digest string) string {
	p := job.profile()
	signal, _ := reloadSignal(p, job.Target.Container.Pod) // one that is wrong is told elsewhere
	var commands [][]string
	for _, r := range reloads(job) {
		commands = append(commands, r.Args)
	}
	b, err := json.Marshal([]any{digest, p.Process, p.Matcher, signal, commands})
	if err != nil {
		panic(err) // strings and numbers
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
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
