package verify

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/podreload/podreload/nsenter"
)

const (
	// The appearance of a worker is no event, so it is polled for: often at
	// first, since nginx takes a few milliseconds, then ever less.
	shortest = 500 * time.Microsecond
	longest  = 20 * time.Millisecond

	// settled is how long a master has to be done with its signal, and have
	// changed nothing, until that is its answer. It covers the moment between
	// the kernel taking a signal off the queue and blocking it for the handler.
	settled = 250 * time.Millisecond
)

// Proof watches one reload of one master. It is made before the signal is sent,
// waited for after it, and closed. It is for one goroutine at a time.
type Proof struct {
	preset    Preset
	master    *nsenter.Process // the caller's
	container nsenter.Info     // of the master
	children  map[int]*child   // by pid
	looks     int              // so far
	looked    time.Time        // when the last look began
	crashed   int              // old workers that ended before a newer one was there
}

// Before takes down what the master runs before it is told to reload. The
// master stays the caller's and has to outlive the Proof; the caller closes the
// Proof.
//
// The error wraps [ErrNoServer] when the master has no workers yet,
// [ErrUnprovable] when it is none (`master_process off`), [ErrAmbiguous] in the
// middle of a binary upgrade, and [ErrGone] when the master has ended.
func (p Preset) Before(master *nsenter.Process) (*Proof, error) {
	info, err := master.Info()
	if err != nil {
		return nil, fmt.Errorf("look at %s: %w", p.Name, err)
	}
	pr := &Proof{preset: p, master: master, container: info, children: make(map[int]*child)}
	err = pr.look()
	if err == nil {
		err = pr.ready(info)
	}
	if err != nil {
		pr.Close()
		return nil, fmt.Errorf("look at the workers of %s: %w", p.Name, err)
	}
	pr.markOld()
	return pr, nil
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
// there beside it (as one that crashed and was respawned), and a new worker is
// there and stays.
//
// The error wraps [ErrGone] when the master ended, and [ErrNotTaken], with what
// was seen, when the reload shows not to have taken, or when ctx's deadline comes
// first; then it can still take later. A cancelled ctx gives its own error, which
// says nothing about the reload.
func (pr *Proof) Wait(ctx context.Context) error {
	if err := pr.wait(ctx); err != nil {
		return fmt.Errorf("verify the reload of %s: %w", pr.preset.Name, err)
	}
	return nil
}

func (pr *Proof) wait(ctx context.Context) error {
	var idleSince time.Time
	for pause := shortest; ; pause = min(2*pause, longest) {
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
		if m.pending {
			// The signal waits behind a reload that was under way already:
			// what that brought forth has not read our files.
			pr.markOld()
		}
		seen := pr.count()
		if seen.proved() && (m.idle() || !pr.preset.Blocks) {
			return nil
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
		if pr.sleep(ctx, pause) {
			pause = shortest
		}
	}
}

// sleep waits for the given time, or until ctx or a serving old worker ends. One
// is enough to watch, as all of them have to end (or drain, which is no event).
// It reports whether one ended.
func (pr *Proof) sleep(ctx context.Context, d time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for _, c := range pr.children {
		if c.old && c.server && c.role == worker && c.proc.Wait(ctx) == nil {
			return true
		}
	}
	<-ctx.Done()
	return false
}

// markOld makes every child that is known now one of before.
func (pr *Proof) markOld() {
	for _, c := range pr.children {
		c.old = true
	}
	pr.crashed = 0
}

// ready says whether a reload of this master would show.
func (pr *Proof) ready(master nsenter.Info) error {
	serving, next := 0, 0
	for pid, c := range pr.children {
		switch {
		case !c.server:
		case c.role == worker:
			serving++
		case c.role == helper && pr.leads(pid):
			next = pid
		}
	}
	title, err := readTitle(master.Pid)
	if gone := pr.master.Alive(); gone != nil { // so what was read is its own
		return gone
	}
	if err != nil {
		return err
	}
	titled := strings.HasPrefix(title, pr.preset.Master)
	switch {
	case next != 0 && !titled:
		return fmt.Errorf("%w: process %d gives way to process %d, which goes to the background", ErrNoServer, master.Pid, next)
	case next != 0:
		// nginx's old master starts workers on HUP then, but of its old
		// configuration (ngx_process_cycle.c, ngx_new_binary).
		return fmt.Errorf("%w: process %d is being upgraded to process %d, both serve, and the old one cannot reload: "+
			"end the old one (QUIT) or the new one (TERM)", ErrAmbiguous, master.Pid, next)
	case serving > 0:
		return nil
	case titled:
		return fmt.Errorf("%w: process %d has no worker: it starts or ends, or its workers cannot run; see the container's log",
			ErrNoServer, master.Pid)
	}
	return fmt.Errorf("%w: process %d works alone, without workers that a reload would replace (master_process off)",
		ErrUnprovable, master.Pid)
}

// leads reports whether a child is itself a master: the new binary of an upgrade
// (USR2), or the server of a process that goes to the background. A worker has
// no children that run the executable.
func (pr *Proof) leads(pid int) bool {
	children, err := nsenter.Children(pid)
	if err != nil {
		return false
	}
	for _, grandchild := range children[:min(len(children), maxMatches)] {
		if _, ok := pr.preset.look(grandchild, pr.container); ok {
			return true
		}
	}
	return false
}
