package verify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/nsenter"
)

const (
	// The appearance of a worker is no event, so it is polled for: often at
	// first, since nginx takes a few milliseconds, then ever less.
	shortest = 500 * time.Microsecond
	longest  = 20 * time.Millisecond

	// Where old and new workers run side by side for a known time, nothing can be
	// proved before it is over, and the end of an old worker is an event. On a node full
	// of servers that reload at once, looks are what a proof costs: there it is looked
	// seldom until a new worker is there, but so often that none of the time side by
	// side falls between two looks, and then not again before that time is over.
	sparse = 50 * time.Millisecond

	// prompt is how long after that time an old worker's end is waited for that has nothing to
	// finish.
	prompt = 10 * time.Millisecond

	// together is how long after the first old worker's end the others' are waited for, which
	// mostly come with it.
	together = 4 * time.Millisecond

	// attentive is how often is looked while another reload is under way: its
	// end must not be missed.
	attentive = 2 * time.Millisecond

	// settled is how long a master has to be done with its signal, and have
	// changed nothing, until that is its answer. It covers the moment between
	// the kernel taking a signal off the queue and blocking it for the handler.
	settled = 250 * time.Millisecond
)

// Proof watches one reload of one master. It is made before the signal is sent,
// waited for after it, and closed. It is for one goroutine at a time.
type Proof struct {
	preset   Preset
	master   *nsenter.Process // the caller's
	children map[int]*child   // by pid
	looks    int              // so far
	began    time.Time        // when the first look did, before the signal
	looked   time.Time        // when the last look did
	crashed  int              // old workers that ended before a newer one was there
	pipes    map[uint64]bool  // of the master, before
	busy     bool             // as of the last look: with a reload that is not ours
	blind    bool             // what was taken for that reload's may be ours
}

// Before takes down what the master runs before it is told to reload. The
// master stays the caller's and has to outlive the Proof; the caller closes the
// Proof.
//
// The error wraps [ErrNoServer] when the master has no workers yet,
// [ErrUnprovable] when it is none (`master_process off`) or nothing shows a
// reload of it ([Preset.Proves]), [ErrAmbiguous] in the middle of a binary
// upgrade, and [ErrGone] when the master has ended.
//
// A master that is at a reload already, perhaps one that was given up on, is no
// hindrance where it blocks the signal: what that reload brings forth is old too.
func (p Preset) Before(master *nsenter.Process) (*Proof, error) {
	if err := master.Alive(); err != nil {
		return nil, fmt.Errorf("look at %s: %w", p.Name, err)
	}
	pr := &Proof{preset: p, master: master, children: make(map[int]*child)}
	var err error
	switch p.Success {
	case daemonset.SuccessChildren:
		err = pr.begin()
	case daemonset.SuccessNone:
		err = fmt.Errorf("%w: its profile has no rule for success", ErrUnprovable)
	}
	if err != nil {
		pr.Close()
		return nil, fmt.Errorf("look at the workers of %s: %w", p.Name, err)
	}
	return pr, nil
}

func (pr *Proof) begin() error {
	m, err := readMask(pr.master.Pid(), pr.preset.Signal) // before the look, which then has what came before
	if err != nil {
		return gone(pr.master.Pid(), err)
	}
	pr.busy = pr.preset.Blocks && m.blocked
	if err := pr.look(); err != nil {
		return err
	}
	if err := pr.ready(); err != nil {
		return err
	}
	pr.markOld()
	return nil
}

// Close lets go of the processes that the Proof holds.
func (pr *Proof) Close() error {
	for pid, c := range pr.children {
		c.proc.Close()
		delete(pr.children, pid)
	}
	return nil
}

// Wait waits until the reload that was signalled after [Preset.Before] is
// proved: the master is the same process and is done with the signal, every
// worker of before has ended or drains, none of them before a newer worker was
// there beside it (as one that crashed and was respawned; not for servers whose
// old workers may end first), and a new worker is there and stays. For
// [daemonset.SuccessAlive] it is the same process that has taken the signal and
// runs.
//
// The error wraps [ErrGone] when the master ended, [ErrUnsure] when nobody can tell, and
// [ErrNotTaken], with what was seen, when the reload shows not to have taken, or when ctx's deadline comes
// first; then it can still take later. A cancelled ctx gives its own error, which
// says nothing about the reload.
func (pr *Proof) Wait(ctx context.Context) error {
	wait := pr.wait
	if pr.preset.Success == daemonset.SuccessAlive {
		wait = pr.outlive
	}
	err := wait(ctx)
	if errors.Is(err, ErrGone) && pr.preset.Mandatory {
		err = fmt.Errorf("%w; a bad configuration does that to it: see the container's log", err)
	}
	if err != nil {
		return fmt.Errorf("verify the reload of %s: %w", pr.preset.Name, err)
	}
	return nil
}

func (pr *Proof) wait(ctx context.Context) error {
	var idleSince time.Time
	var beside time.Time // until when old and new run side by side, and a little longer
	pause, limit := shortest, longest
	if pr.preset.Overlap > longest {
		limit = min(pr.preset.Overlap/2, sparse)
		pause = limit
		if !pr.busy {
			pr.sleep(ctx, pause) // it has only just been told
		}
	}
	for ; ; pause = min(2*pause, limit) {
		since := pr.looked
		if err := pr.look(); err != nil {
			return err
		}
		m, err := readMask(pr.master.Pid(), pr.preset.Signal)
		if alive := pr.master.Alive(); alive != nil {
			return alive
		}
		if err != nil {
			return err
		}
		if late := pr.busy && time.Since(since) >= pr.preset.Overlap; m.pending || late {
			// The signal waits behind a reload that was under way already, or
			// did until just now: what that brought forth has not read our
			// files. Where old and new overlap the master has not come to our
			// signal before that much time has passed since it forked. After a
			// longer gap between two looks it may have.
			pr.markOld()
			pr.blind = !m.pending
		}
		if pr.busy = pr.preset.Blocks && m.pending && m.blocked; pr.busy {
			pause = min(pause, attentive)
		}
		seen := pr.count()
		if seen.proved() && (m.idle() || !pr.preset.Blocks) {
			return pr.confirm(seen, m)
		}
		switch {
		case !m.idle() || !pr.preset.Blocks || seen.hopeful():
			idleSince = time.Time{}
		case idleSince.IsZero():
			idleSince = time.Now()
		case time.Since(idleSince) > settled:
			return pr.notTaken(seen, m)
		}
		switch err := ctx.Err(); {
		case errors.Is(err, context.Canceled):
			return err
		case err != nil:
			return fmt.Errorf("%w: %w", pr.notTaken(seen, m), err)
		}
		switch {
		case seen.born == 0:
			beside = time.Time{}
		case beside.IsZero() && pr.preset.Overlap > 0:
			beside, pause = since.Add(pr.preset.beside()+prompt), longest/2
		}
		wait := pause
		if !pr.busy {
			wait = max(pause, time.Until(beside))
		}
		if pr.sleep(ctx, wait) {
			pause = shortest
		}
	}
}

// beside is how long no old worker is told to end, as far as that is made use of.
func (p Preset) beside() time.Duration { return min(p.Overlap, 2*sparse) }

// confirm asks a master that is done, and has new workers, whether they are of
// its last reload.
func (pr *Proof) confirm(seen sight, m mask) error {
	failed, err := pr.preset.failed(pr.master.Pid())
	if alive := pr.master.Alive(); alive != nil {
		return alive
	}
	if failed {
		seen.failed = true
		return pr.notTaken(seen, m)
	}
	return err
}

// sleep waits for the given time, or until ctx ends or the serving old workers have: all of
// them have to (or drain, which is no event). It reports whether one has.
func (pr *Proof) sleep(ctx context.Context, d time.Duration) (ended bool) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for _, c := range pr.children {
		if !c.old || !c.server || c.role != worker {
			continue
		}
		if c.proc.Wait(ctx) != nil {
			return ended
		}
		if !ended {
			ended = true
			ctx, cancel = context.WithTimeout(ctx, together)
			defer cancel()
		}
	}
	if !ended {
		<-ctx.Done()
	}
	return ended
}

// Draining is how many old workers finished their requests still when the reload was proved.
func (pr *Proof) Draining() int {
	n := 0
	for _, c := range pr.children {
		if c.server && c.role == draining {
			n++
		}
	}
	return n
}

// markOld makes every child that is known now one of before.
func (pr *Proof) markOld() {
	for _, c := range pr.children {
		c.old = true
	}
	pr.crashed = 0
}
