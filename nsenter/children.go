package nsenter

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// How much of a process tree is looked at. pid_max is at most 2^22; a node
// with more processes than this has other problems.
const (
	maxPids  = 1 << 20
	maxTasks = 1 << 14
)

// Children are the pids of the process's children, unordered. One that comes or
// goes meanwhile may be missed. The error is ErrGone when the process is.
func Children(pid int) ([]int, error) {
	read := childrenByScan
	if haveChildren() {
		read = children
	}
	pids, err := read(pid)
	if err != nil {
		return nil, fmt.Errorf("read the children of process %d: %w", pid, err)
	}
	return pids, nil
}

// haveChildren says whether the kernel has /proc/PID/task/TID/children: it is
// there with CONFIG_PROC_CHILDREN.
var haveChildren = sync.OnceValue(func() bool {
	_, err := os.Stat("/proc/thread-self/children")
	return err == nil
})

func children(pid int) ([]int, error) {
	task, err := openDir("/proc/" + strconv.Itoa(pid) + "/task")
	if err != nil {
		return nil, sentinel(err)
	}
	defer unix.Close(task)
	tids, err := numbers(task, maxTasks)
	if err != nil {
		return nil, err
	}
	var all []int
	for _, tid := range tids {
		b, err := readAt(task, strconv.Itoa(tid)+"/children", 8*maxPids)
		if errors.Is(err, ErrGone) {
			continue // the thread ended: its children are another thread's now
		}
		if err != nil {
			return nil, err
		}
		pids, err := parsePids(b)
		if err != nil {
			return nil, err
		}
		if all = append(all, pids...); len(all) > maxPids {
			return nil, fmt.Errorf("more than %d children", maxPids)
		}
	}
	return all, nil
}

func childrenByScan(pid int) ([]int, error) {
	if _, err := readStat(pid); err != nil {
		return nil, err
	}
	pids, err := Pids()
	return slices.DeleteFunc(pids, func(child int) bool {
		st, err := readStat(child)
		return err != nil || st.ppid != pid
	}), err
}

// Pids are the pids of all processes of the node.
func Pids() ([]int, error) {
	proc, err := openDir("/proc")
	if err != nil {
		return nil, err
	}
	defer unix.Close(proc)
	return numbers(proc, maxPids)
}

// openDir opens a directory of /proc to list it, as read opens a file, for the same reason.
func openDir(path string) (int, error) {
	return unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

// numbers are the entries of a directory of /proc that are numbers.
func numbers(dir, limit int) ([]int, error) {
	var all []int
	var entries [8 << 10]byte
	for {
		n, err := unix.ReadDirent(dir, entries[:])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return nil, sentinel(err)
		case n == 0:
			return all, nil
		}
		_, _, names := unix.ParseDirent(entries[:n], -1, nil)
		for _, name := range names {
			if n, err := strconv.Atoi(name); err == nil && n > 0 {
				all = append(all, n)
			}
		}
		if len(all) > limit {
			return nil, fmt.Errorf("more than %d entries", limit)
		}
	}
}
