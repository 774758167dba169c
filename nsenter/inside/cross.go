package inside

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/nsenter/frame"
)

// cross joins the namespaces with this thread, which has to be locked, and has the request
// handled. The error is a frame.Fault.
func (in request) cross(handle Handler, m messenger) ([]byte, error) {
	// setns(2) into a mount namespace wants filesystem attributes that are not
	// shared with other threads.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return nil, fault("separate the thread", err)
	}
	unix.Umask(0)
	// That of the process is its main thread's alone, and this need not be that one.
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return nil, fault("separate the thread", err)
	}
	// This is the node's procfs, and the main thread's table, which is that of all.
	self, err := unix.Open("/proc/self/fd", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fault("open /proc/self/fd", err)
	}
	// The PID namespace is for the messenger's child. It is joined here too, so that
	// whether the kernel allows it is known before a file is touched.
	if err := unix.Setns(in.into, unix.CLONE_NEWNS|unix.CLONE_NEWPID); err != nil {
		return nil, fault(frame.StepJoin, err)
	}
	root, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fault("open the container's root", err)
	}
	return handle(root, self, in.body, func(sig int) error { return m.send(in, sig) }), nil
}

func fault(step string, err error) error {
	var errno syscall.Errno
	errors.As(err, &errno)
	return frame.Fault{Step: step, Errno: errno}
}
