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
	return n.apart(func() error {
		if err := n.enter(); err != nil {
			return err
		}
		return f()
	})
}

// apart runs f on a thread of its own, which ends with it: one that has been elsewhere is
// of no use to others.
func (n node) apart(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked
		if unix.Gettid() == unix.Getpid() {
			// The main thread does not end, and /proc/self is what it is: it is held
			// here while another goes.
			defer runtime.UnlockOSThread()
			done <- n.apart(f)
			return
		}
		done <- f()
	}()
	return <-done
}

// enter joins the node's mount namespace, if this process is in another.
func (n node) enter() error {
	// Threads share root and working directory; setns(2) refuses until they do not.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if n.ns == nil {
		return nil
	}
	if err := unix.Setns(int(n.ns.Fd()), unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("join the node's mount namespace: %w", err)
	}
	return nil
}

func (n node) close() error {
	if n.ns == nil {
		return nil
	}
	return n.ns.Close()
}
