package inside

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/nsenter/frame"
)

// cross joins the namespaces on the main thread and has the request handled.
// The error is a frame.Fault.
func (in request) cross(handle Handler) ([]byte, error) {
	// setns(2) into a mount namespace wants filesystem attributes that are not
	// shared with other threads; the descriptors are for the child's sake.
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_FILES); err != nil {
		return nil, fault("separate the main thread", err)
	}
	unix.Close(socket)
	unix.Umask(0)
	// This is the node's procfs, and this thread's table: the main thread's id
	// is the process's.
	self, err := unix.Open("/proc/self/fd", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fault("open /proc/self/fd", err)
	}
	if err := unix.Setns(in.into, unix.CLONE_NEWNS|unix.CLONE_NEWPID); err != nil {
		return nil, fault(frame.StepJoin, err)
	}
	unix.Close(in.into)
	root, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fault("open the container's root", err)
	}
	return handle(root, self, in.body, in.send), nil
}

func fault(step string, err error) error {
	var errno syscall.Errno
	errors.As(err, &errno)
	return frame.Fault{Step: step, Errno: errno}
}
