package verify

import (
	"errors"
	"fmt"
	"strings"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/nsenter"
)

// role is what a child of the master is for.
type role int

const (
	helper   role = iota // a cache manager, or a child that is not ready yet
	worker               // serves requests
	draining             // finishes its requests and ends
)

// roles tells the roles of the children at one moment.
type roles struct {
	preset    Preset
	listeners listeners       // nil where titles tell
	pipes     map[uint64]bool // the master's
	fds       descriptors
}

// roles begins a look at the master's children.
func (p Preset) roles(master *nsenter.Process) (r *roles, err error) {
	r = &roles{preset: p}
	if p.Listens != 0 {
		r.listeners, err = readListeners(master.Pid())
	}
	if p.Pipes && err == nil {
		r.pipes, err = r.fds.pipes(master.Pid())
	}
	return r, err
}

// of is the role of the process that has the pid now. An error that wraps
// [ErrUnprovable] is with the whole look; any other says that the process ends.
func (r *roles) of(pid int) (role, error) {
	if r.listeners == nil {
		if r.preset.Worker == "" {
			return worker, nil
		}
		title, err := readTitle(pid)
		return r.preset.titled(title), err
	}
	held, err := r.fds.listens(pid, r.listeners, r.preset.Listens)
	switch {
	case err != nil:
		return helper, err
	case held&r.preset.Listens != 0:
		return worker, nil
	case held != 0:
		return helper, nil
	}
	return draining, nil
}

// titled is the role that a title tells.
func (p Preset) titled(title string) role {
	switch {
	case p.Draining != "" && strings.HasPrefix(title, p.Draining):
		return draining
	case strings.HasPrefix(title, p.Worker):
		return worker
	}
	return helper
}

// Census counts the workers of a master that serve and those that drain, which
// finish their requests before they end. Reloads in quick succession pile up the
// latter where requests are long. It is one look: cheap, and past already.
func (p Preset) Census(master *nsenter.Process) (serving, draining int, err error) {
	serving, draining, err = p.census(master)
	if gone := master.Alive(); gone != nil {
		err = gone
	}
	if err != nil {
		return 0, 0, fmt.Errorf("count the workers of %s: %w", p.Name, err)
	}
	return serving, draining, nil
}

func (p Preset) census(master *nsenter.Process) (serving, drains int, err error) {
	if p.Success != daemonset.SuccessChildren {
		return 0, 0, nil
	}
	pids, err := nsenter.Children(master.Pid())
	if err != nil {
		return 0, 0, err
	}
	if len(pids) > MaxChildren {
		return 0, 0, fmt.Errorf("%w: process %d has more than %d children", ErrUnprovable, master.Pid(), MaxChildren)
	}
	roles, err := p.roles(master)
	if err != nil {
		return 0, 0, err
	}
	for _, pid := range pids {
		if !p.runs(pid) { // what container it is of need not be asked: see Proof.pin
			continue
		}
		role, err := roles.of(pid)
		switch {
		case errors.Is(err, ErrUnprovable):
			return 0, 0, err
		case err != nil: // it ends
		case role == worker:
			serving++
		case role == draining:
			drains++
		}
	}
	return serving, drains, nil
}
