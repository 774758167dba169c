package testenv

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// PowerOff is to the node what a cut of its machine's power is: containerd and all that runs in pods is
// killed at once, and what is in memory on a machine (mounts, cgroups, the state of containerd and
// of the OCI runtime) is gone. What is on disk stays: images, snapshots, containerd's metadata.
// [Node.StartContainerd] boots it. It is for pods that somebody else looks after, as the kubelet
// does; those of [Node.RunPod] are lost.
func (n *Node) PowerOff() error {
	var errs []error
	if n.cmd != nil {
		errs = append(errs, n.KillContainerd())
	}
	// The sockets are named in containerd's state, which goes last. What the network's plugins
	// have noted is on disk: containerd returns those addresses itself.
	errs = append(errs, killAll(n.dir), unlinkSockets(n.dir), unmountBelow(n.dir), removeCgroups(n.Cgroup()))
	for _, dir := range []string{"state", "runc"} {
		errs = append(errs, os.RemoveAll(filepath.Join(n.dir, dir)))
	}
	if err := os.Remove(n.Socket()); err != nil && !errors.Is(err, unix.ENOENT) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
