package check

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// node is where mounts are made and runtimes are started: the node's own mount
// namespace, since that is where the target's root, its volumes and its runtime
// are. An agent in a pod has another.
type node struct {
	ns *os.File // nil: this process is in it already
}

func openNode() (node, error) {
	own, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return node{}, fmt.Errorf("read this process's mount namespace: %w", err)
	}
	// Some nodes let nobody look at pid 1; 2 is the kernel's own then.
	var errs []error
	for _, link := range []string{"/proc/1/ns/mnt", "/proc/2/ns/mnt"} {
		theirs, err := os.Readlink(link)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if own == theirs {
			return node{}, nil
		}
		ns, err := os.Open(link)
		if err != nil {
			return node{}, fmt.Errorf("open the node's mount namespace: %w", err)
		}
		return node{ns: ns}, nil
	}
	return node{}, fmt.Errorf("find the node's mount namespace: %w", errors.Join(errs...))
}

// do runs f where every path means the node's, and whatever it starts is in the
// node's mount namespace too. f must stay in its goroutine.
func (n node) do(f func() error) error {
	if n.ns == nil {
		return f()
	}
	done := make(chan error, 1)
	go func() {
		// Never unlocked: a thread that has been elsewhere is of no use to
		// others, and ends with the goroutine.
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// The main thread does not end, and /proc/self is what it is: it is held
			// here while another goes.
			defer runtime.UnlockOSThread()
			done <- n.do(f)
			return
		}
		done <- n.enter(f)
	}()
	return <-done
}

func (n node) enter(f func() error) error {
	// Threads share root and working directory; setns(2) refuses until they do not.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Setns(int(n.ns.Fd()), unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("join the node's mount namespace: %w", err)
	}
	return f()
}

func (n node) close() error {
	if n.ns == nil {
		return nil
	}
	return n.ns.Close()
}
