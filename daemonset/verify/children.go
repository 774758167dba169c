package verify

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/podreload/podreload/nsenter"
)

// child is one child of the master, pinned so that one that gets the same pid
// later is never taken for it.
type child struct {
	proc   *nsenter.Process
	server bool // runs the executable
	met    int  // the look in which it was first seen
	role   role // as of the last look

	old      bool // runs what was before the reload
	current  bool // has a pipe that the master did not have before
	waited   bool // has been seen to sleep; asked of presets with Pipes alone
	served   int  // looks in which it was a worker
	relieved bool // was seen alive beside a worker that is newer
}

// look reads the list of the master's children and what each is for by now.
// Children that have exited are let go.
//
// The kernel does not make that list in one piece: a child may be absent from
// it while others exit (proc_pid_task(5), children). That one has gone is
// therefore told by its pidfd alone, never by its absence.
func (pr *Proof) look() error {
	if err := pr.master.Alive(); err != nil {
		return err
	}
	for pid, c := range pr.children {
		if c.proc.Alive() != nil {
			pr.drop(pid, c, time.Since(pr.looked) >= pr.preset.Overlap)
		}
	}
	pr.looked = time.Now() // before the list is read: what it lacks began later
	if err := pr.meet(); err != nil {
		return err
	}
	roles, err := pr.preset.roles(pr.master)
	if err != nil {
		return err
	}
	if pr.looks == 0 {
		pr.began, pr.pipes = pr.looked, maps.Clone(roles.pipes)
	} else {
		maps.DeleteFunc(roles.pipes, func(pipe uint64, _ bool) bool { return pr.pipes[pipe] })
	}
	for pid, c := range pr.children {
		if !c.server || c.old && c.role == worker && pr.looked.Sub(pr.began) < pr.preset.beside() {
			continue // the second is what it was
		}
		if pr.preset.Pipes && !c.waited { // before it is seen to listen: a helper closes that and then sleeps
			c.waited, _ = hasWaited(pid)
		}
		role, err := roles.of(pid)
		if role == worker && pr.preset.Pipes && !c.waited {
			role = helper
		}
		if err == nil && role == worker && len(roles.pipes) > 0 {
			c.current, err = roles.fds.has(pid, roles.pipes)
		}
		if errors.Is(err, ErrUnprovable) {
			return err
		}
		if err != nil || c.proc.Alive() != nil {
			continue // it is ending: the next look lets it go
		}
		if c.role = role; role == worker {
			c.served++
		}
	}
	pr.relieve()
	pr.looks++
	return nil
}

// relieve notes which children have a newer one beside them: one that was met in
// a later look or started in a later clock tick (10 ms). A reload starts the new
// before it ends the old; a respawn comes after a crash. That the newer one is a
// worker its title may not say yet, where the processor is busy.
func (pr *Proof) relieve() {
	var met int
	var started uint64
	for _, c := range pr.children {
		if c.server {
			met, started = max(met, c.met), max(started, c.proc.StartTime())
		}
	}
	for _, c := range pr.children {
		c.relieved = c.relieved || c.met < met || c.proc.StartTime() < started
	}
}

// meet pins the children that were not seen before.
func (pr *Proof) meet() error {
	pids, err := nsenter.Children(pr.master.Pid())
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if pr.children[pid] != nil {
			continue
		}
		if len(pr.children) == MaxChildren {
			return fmt.Errorf("%w: process %d has more than %d children", ErrUnprovable, pr.master.Pid(), MaxChildren)
		}
		c, err := pr.pin(pid)
		if errors.Is(err, ErrGone) {
			continue
		}
		if err != nil {
			return err
		}
		pr.children[pid] = c
	}
	return nil
}

// pin pins a child. What a master of one container has for a child is of that container: it
// is not asked for its cgroup.
func (pr *Proof) pin(pid int) (*child, error) {
	proc, err := nsenter.Pin(pid)
	if err != nil {
		return nil, err
	}
	exe, err := proc.Exe()
	if err == nil && proc.Parent() != pr.master.Pid() {
		err = fmt.Errorf("process %d: %w", pid, ErrGone)
	}
	if err != nil {
		proc.Close()
		return nil, err
	}
	return &child{proc: proc, server: pr.preset.Matches(exe), met: pr.looks}, nil
}

// drop lets go of a child that has exited. If that is seen so late that a whole
// overlap of old and new fits in since the list was read, as on a node without
// processor time to spare, then not having seen a newer worker means nothing; nor
// does it where they need not overlap.
func (pr *Proof) drop(pid int, c *child, late bool) {
	c.proc.Close()
	delete(pr.children, pid)
	if c.old && c.role == worker && !c.relieved && !late {
		pr.crashed++
	}
}

// stale reports whether a child runs what was before the reload.
func (pr *Proof) stale(c *child) bool {
	return c.old || pr.preset.Pipes && c.role == worker && !c.current
}
