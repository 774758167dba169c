package testenv

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// sweep ends and unmounts whatever the node in dir has left: containers and shims, which
// outlive containerd, their mounts, sockets and cgroups. It kills only what is in the node's own
// cgroup or was started for its own socket.
func sweep(dir string) error {
	if err := killAll(dir); err != nil {
		return err
	}
	return errors.Join(unlinkSockets(dir), forgetNetworks(dir), unmountBelow(dir), removeCgroups(nodeCgroup(dir)))
}

// killAll kills the node's processes until there are none; a container may fork meanwhile.
func killAll(dir string) error {
	deadline := time.Now().Add(10 * time.Second)
	for {
		pids, err := processes(dir)
		if err != nil || len(pids) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes of %s cannot be killed: %v", dir, pids)
		}
		for _, pid := range pids {
			_ = unix.Kill(pid, unix.SIGKILL) // gone already, or seen again in the next round
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// processes lists what runs in the node's cgroup, and the shims and containerd whose command
// line names its socket or configuration. Zombies, which somebody else has to collect, have
// neither.
func processes(dir string) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if len(cmdline) == 0 {
			continue // a kernel thread, a zombie, or gone
		}
		// Only containerd and its shims: an editor may have the file open too.
		args := strings.Split(string(cmdline), "\x00")
		ours := strings.HasPrefix(filepath.Base(args[0]), "containerd") &&
			(slices.Contains(args, filepath.Join(dir, "containerd.sock")) || slices.Contains(args, filepath.Join(dir, "config.toml")))
		cgroup, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
		if ours || bytes.Contains(cgroup, []byte(":"+nodeCgroup(dir)+"/")) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

var socket = regexp.MustCompile(`unix://(/[^"\s]+)`)

// shimSockets lists the sockets of the shims of the node in dir. They lie in a folder that all containerds of
// the machine share; each bundle names its shim's, in a file that 1.x and 2.x call differently.
func shimSockets(dir string) ([]string, error) {
	var sockets []string
	for _, name := range []string{"address", "bootstrap.json"} {
		files, err := filepath.Glob(filepath.Join(dir, "state/io.containerd.runtime.v2.task/*/*", name))
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				return nil, err
			}
			if m := socket.FindSubmatch(b); m != nil {
				sockets = append(sockets, string(m[1]))
			}
		}
	}
	return sockets, nil
}

// unlinkSockets removes the sockets of shims that were killed.
func unlinkSockets(dir string) error {
	sockets, err := shimSockets(dir)
	for _, s := range sockets {
		if e := os.Remove(s); !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// cniResults is where the CNI library keeps what plugins answered until the pod's network is deleted; containerd
// does not say otherwise.
const cniResults = "/var/lib/cni/results"

// forgetNetworks removes the CNI library's records of pods whose network namespace was below dir.
func forgetNetworks(dir string) error {
	files, err := filepath.Glob(cniResults + "/*")
	if err != nil {
		return err
	}
	for _, f := range files {
		b, e := os.ReadFile(f)
		if bytes.Contains(b, []byte(`"`+dir+`/`)) {
			e = os.Remove(f)
		}
		if e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// Sweep ends and unmounts whatever a node in dir, which nobody has any more, has left.
func Sweep(dir string) error { return sweep(dir) }

// UnmountBelow unmounts everything below dir.
func UnmountBelow(dir string) error { return unmountBelow(dir) }

// unmountBelow unmounts everything below dir, the newest first.
func unmountBelow(dir string) error {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	var points []string
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		// Field 5 is the mount point, see proc_pid_mountinfo(5); our paths need no unescaping.
		fields := strings.Fields(lines.Text())
		if len(fields) > 4 && strings.HasPrefix(fields[4], dir+"/") {
			points = append(points, fields[4])
		}
	}
	slices.Reverse(points)
	var errs []error
	for _, p := range points {
		if err := unix.Unmount(p, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			errs = append(errs, fmt.Errorf("unmount %s: %w", p, err))
		}
	}
	return errors.Join(errs...)
}
