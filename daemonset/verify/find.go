package verify

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/podreload/podreload/nsenter"
)

// Bounds on the search. The processes of a container are its own to make.
const (
	maxDepth   = 16
	maxVisited = 4096
	maxMatches = 64 // processes of the executable that are not below another
	maxTries   = 3  // the one found may end before it is pinned
)

// MaxChildren is how many children one master may have that is proved to reload: each costs a
// descriptor while it is watched.
const MaxChildren = 1024

// Find returns the master of the preset in the container whose init process is
// given, pinned. The caller closes it, and init stays the caller's.
//
// The master is the process of that container, by cgroup, that runs the
// preset's executable, whose parent does not, and that catches the preset's
// signal. Init and its descendants are looked at first. Where none is found
// there all of /proc is, since with a shared PID namespace a server that went to
// the background is the child of another container's process.
//
// The error wraps [ErrNoServer] when there is none yet (or only one that has no
// handler for its signal, as while it starts or runs `nginx -t`), [ErrAmbiguous]
// when there are several, and [ErrGone] when init has ended.
func (p Preset) Find(ctx context.Context, init *nsenter.Process) (*nsenter.Process, error) {
	container, err := init.Info()
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", p.Name, err)
	}
	for range maxTries {
		master, err := p.find(ctx, container)
		if err == nil {
			return master, nil
		}
		if alive := init.Alive(); alive != nil {
			return nil, fmt.Errorf("find %s: %w", p.Name, alive)
		}
		if !errors.Is(err, ErrGone) {
			return nil, fmt.Errorf("find %s: %w", p.Name, err)
		}
	}
	return nil, fmt.Errorf("find %s: %w: it keeps being replaced; see the container's log", p.Name, ErrNoServer)
}

func (p Preset) find(ctx context.Context, container nsenter.Info) (*nsenter.Process, error) {
	found, err := p.descendants(ctx, container)
	if err != nil {
		return nil, err
	}
	chosen, err := p.choose(found)
	if errors.Is(err, ErrNoServer) {
		if found, err = p.everywhere(ctx, container); err != nil {
			return nil, err
		}
		chosen, err = p.choose(found)
	}
	if err != nil {
		return nil, err
	}
	return p.pin(chosen)
}

// choose picks the master among the container's processes of the executable.
func (p Preset) choose(found []nsenter.Info) (nsenter.Info, error) {
	known := make(map[int]bool, len(found))
	for _, info := range found {
		known[info.Pid] = true
	}
	var ready, starting []nsenter.Info
	for _, info := range found {
		switch {
		case known[info.PPid]:
		case info.Catches(p.Signal):
			ready = append(ready, info)
		default:
			starting = append(starting, info)
		}
	}
	switch {
	case len(ready) == 1:
		return ready[0], nil
	case len(ready) > 1:
		return nsenter.Info{}, fmt.Errorf("%w: %s all run %s in this container: stop all but one, or give each a container of its own",
			ErrAmbiguous, list(ready), p.Name)
	case len(starting) > 0:
		return nsenter.Info{}, fmt.Errorf("%w: %s is still starting, or is run so that it cannot reload (%s): no handler for %s, which would end it",
			ErrNoServer, list(starting), p.Alone, SignalName(p.Signal))
	}
	return nsenter.Info{}, fmt.Errorf("%w: no process of the container runs %s", ErrNoServer, strings.Join(p.Exe, " or "))
}

// descendants are the processes of the executable among the container's init
// and what is below it. It does not look below a match: there are its workers.
func (p Preset) descendants(ctx context.Context, container nsenter.Info) ([]nsenter.Info, error) {
	var found []nsenter.Info
	level := []int{container.Pid}
	visited := 0
	for depth := 0; depth < maxDepth && len(level) > 0; depth++ {
		var below []int
		for _, pid := range level {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if visited++; visited > maxVisited || len(found) == maxMatches {
				return found, nil
			}
			if info, ok := p.look(pid, container); ok {
				found = append(found, info)
				continue
			}
			children, err := nsenter.Children(pid)
			if err != nil && !errors.Is(err, ErrGone) {
				return nil, err
			}
			below = append(below, children...)
		}
		level = below
	}
	return found, nil
}

// everywhere are the processes of the executable that belong to the container,
// wherever they hang in the tree. One readlink each is what the others cost.
func (p Preset) everywhere(ctx context.Context, container nsenter.Info) ([]nsenter.Info, error) {
	pids, err := nsenter.Pids()
	if err != nil {
		return nil, err
	}
	var found []nsenter.Info
	for _, pid := range pids {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if info, ok := p.look(pid, container); ok {
			found = append(found, info)
		}
	}
	return found, nil
}

// look reports whether the process that has the pid now runs the executable in
// the container.
func (p Preset) look(pid int, container nsenter.Info) (nsenter.Info, bool) {
	if !p.runs(pid) {
		return nsenter.Info{}, false
	}
	if pid == container.Pid { // as mostly
		return container, p.belongs(container, container)
	}
	info, err := nsenter.ReadInfo(pid)
	return info, err == nil && p.belongs(info, container)
}

// runs reports whether the process that has the pid now runs the executable.
func (p Preset) runs(pid int) bool {
	// The link is the kernel's, and it is absent for a zombie.
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return err == nil && p.Matches(exe)
}

func (p Preset) belongs(info, container nsenter.Info) bool {
	return p.Matches(info.Exe) && info.State != 'Z' && info.State != 'X' && container.SameContainer(info)
}

// pin pins the chosen process, if it is still the one that was looked at.
func (p Preset) pin(chosen nsenter.Info) (*nsenter.Process, error) {
	return nsenter.PinStarted(chosen.Pid, chosen.StartTime)
}

// list names processes for a person, by the node's number and the container's.
func list(infos []nsenter.Info) string {
	words := make([]string, len(infos))
	for i, info := range infos {
		words[i] = fmt.Sprintf("process %d (%d inside)", info.Pid, info.NSPid)
	}
	return strings.Join(words, ", ")
}
