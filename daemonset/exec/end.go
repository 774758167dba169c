package exec

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/podreload/podreload/nsenter"
)

// How far a tree is followed. What grows faster than it is stopped is left to the container's
// own limits: the last round kills what is known by then.
const (
	maxRounds  = 64
	maxProcess = 4096
)

// endTimeout is how long a killed process may take to end. One in a paused container (cgroup v1)
// or a dead filesystem takes longer.
const endTimeout = 5 * time.Second

// end kills a command's process with all that descends from it or is in its session (the
// runtime makes it the leader of one, setsid(2)), and waits until they have ended. It
// looks on the node's /proc, and touches no process of another container.
//
// Each is stopped first, before its children are looked for: a process that has a signal
// to take makes no more of them (fork(2) starts anew), and one that is stopped does not end, so
// that they do not become somebody else's.
func (p *process) end(ctx context.Context, leader *nsenter.Process) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	container, err := p.init.Info()
	if errors.Is(err, nsenter.ErrGone) {
		return nil // and all in it with it, or it would not have been the first
	}
	if err != nil {
		return err
	}
	t := tree{container: container, leader: leader, members: map[int]*nsenter.Process{}}
	defer t.close()
	for range maxRounds {
		found, err := t.grow()
		if err != nil {
			return fmt.Errorf("find the processes of the command: %w", err)
		}
		if found == 0 || len(t.members) > maxProcess {
			break
		}
	}
	return t.kill(ctx)
}

// endStarting kills what a runtime has left that was to become a command and did not in time: it opens
// the container's /etc/passwd, which can be a FIFO. containerd does not know its pid. It is told by
// its name or, if it has become the command, by what that is; by a parent outside of the container, and by
// having started since; what else is started inside at this very moment, where starting hangs, can be taken for it.
func (p *process) endStarting(ctx context.Context, since uint64) error {
	container, err := p.init.Info()
	if err != nil {
		return nil // gone
	}
	pids, err := nsenter.Pids()
	if err != nil {
		return err
	}
	var all error
	for _, pid := range pids {
		info, err := nsenter.ReadInfo(pid)
		if err != nil || info.StartTime < since || !container.SameContainer(info) || !strings.HasPrefix(info.Comm, "runc:[") && !p.runs(info) {
			continue
		}
		m, err := nsenter.PinStarted(pid, info.StartTime)
		if err != nil {
			continue
		}
		if fromOutside(m, container) {
			all = errors.Join(all, p.end(ctx, m))
		}
		m.Close()
	}
	return all
}

// runs says whether a process leads a session and has the arguments of the command.
func (p *process) runs(info nsenter.Info) bool {
	if info.Session != info.Pid {
		return false
	}
	got, err := nsenter.ReadProc(info.Pid, "cmdline", 2*maxArgs)
	return err == nil && string(got) == strings.Join(p.command.Args, "\x00")+"\x00"
}

// fromOutside says whether a process has a parent that is not the container's. The parent may
// end meanwhile, and another take its place.
func fromOutside(m *nsenter.Process, container nsenter.Info) bool {
	for range maxRounds {
		info, err := m.Info()
		if err != nil {
			return false
		}
		if parent, err := nsenter.ReadInfo(info.PPid); err == nil {
			return !container.SameContainer(parent)
		}
	}
	return false
}

// uptime is now, in the clock ticks that a process's start time is in: a hundred to the second, whatever
// the kernel's own (USER_HZ).
func uptime() uint64 {
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), " ")
	seconds, err := strconv.ParseFloat(first, 64)
	if err != nil || seconds < 0 {
		return 0
	}
	return uint64(seconds * 100)
}

// tree is who belongs to a command: all stopped, by their pids on the node.
type tree struct {
	container nsenter.Info
	leader    *nsenter.Process
	members   map[int]*nsenter.Process
}

// grow looks for members that are not known yet and stops them.
func (t *tree) grow() (found int, err error) {
	pids, err := nsenter.Pids()
	if err != nil {
		return 0, err
	}
	for _, pid := range pids {
		if t.members[pid] != nil {
			continue
		}
		// Most are not; whoever has just gone is not either.
		if info, err := nsenter.ReadInfo(pid); err != nil || !t.member(info) {
			continue
		}
		m, err := nsenter.Pin(pid)
		if err != nil {
			continue
		}
		if info, err := m.Info(); err != nil || !t.member(info) || m.Signal(syscall.SIGSTOP) != nil {
			m.Close()
			continue
		}
		t.members[pid] = m
		found++
	}
	return found, nil
}

func (t *tree) member(i nsenter.Info) bool {
	mine := i.Pid == t.leader.Pid() || i.Session == t.leader.Pid() || t.members[i.PPid] != nil
	return mine && i.StartTime >= t.leader.StartTime() && t.container.SameContainer(i)
}

// kill ends all members, each by its pidfd.
func (t *tree) kill(ctx context.Context) error {
	for _, m := range t.members {
		if err := m.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, nsenter.ErrGone) {
			return err
		}
	}
	for _, m := range t.members {
		if err := m.Wait(ctx); err != nil {
			return fmt.Errorf("process %d was killed and has not ended; is the container paused, or its filesystem dead? %w", m.Pid(), err)
		}
	}
	return nil
}

func (t *tree) close() {
	for _, m := range t.members {
		m.Close()
	}
}
