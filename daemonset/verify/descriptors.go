package verify

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
)

const (
	maxFDs    = 512 << 10 // of all processes in one look
	fdsAtOnce = 256
)

// descriptors looks at what processes have open, and counts how much that was.
type descriptors struct{ seen int }

// each calls f with what each descriptor of the process links to, until f says
// that this is enough.
func (d *descriptors) each(pid int, f func(link string) (enough bool)) error {
	dir, err := os.Open(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return gone(pid, err)
	}
	defer dir.Close()
	for {
		names, err := dir.Readdirnames(fdsAtOnce)
		for _, name := range names {
			link, _ := os.Readlink(dir.Name() + "/" + name) // it may be closed by now
			if f(link) {
				return nil
			}
		}
		switch d.seen += len(names); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return gone(pid, err)
		case d.seen > maxFDs:
			return fmt.Errorf("%w: its processes have more than %d descriptors, too many to tell who listens", ErrUnprovable, maxFDs)
		}
	}
}

// listens says on what the process listens: as soon as that is among what is
// wanted the rest is not looked at. Servers open their listening sockets early,
// so that those are among the first descriptors.
func (d *descriptors) listens(pid int, l listeners, want sockets) (held sockets, err error) {
	err = d.each(pid, func(link string) bool {
		held |= l[inode(link, "socket")]
		return held&want != 0
	})
	return held, err
}

// pipes are the pipes that a process has open, by inode, but for its standard
// streams: those are the runtime's, and all processes of a container have them.
func (d *descriptors) pipes(pid int) (map[uint64]bool, error) {
	all := map[uint64]bool{}
	err := d.each(pid, func(link string) bool {
		if n := inode(link, "pipe"); n != 0 {
			all[n] = true
		}
		return false
	})
	for fd := range 3 {
		link, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, fd))
		delete(all, inode(link, "pipe"))
	}
	return all, err
}

// has says whether the process has one of those pipes open.
func (d *descriptors) has(pid int, pipes map[uint64]bool) (found bool, err error) {
	err = d.each(pid, func(link string) bool {
		found = pipes[inode(link, "pipe")]
		return found
	})
	return found, err
}

// inode takes the inode out of "socket:[123]"; 0: it is not of that kind.
func inode(link, kind string) uint64 {
	number, ok := strings.CutPrefix(link, kind+":[")
	if !ok {
		return 0
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// gone gives an error of /proc its name, where all it says is that a process has
// ended.
func gone(pid int, err error) error {
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("process %d: %w", pid, ErrGone)
	}
	return err
}
