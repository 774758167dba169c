package testenv

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// sweep ends and unmounts whatever a node in dir has left: containers and shims
// that outlived containerd, their mounts, sockets and cgroups. It kills only what
// is in dir's own cgroup or was started for dir's own socket.
func sweep(dir string) error {
	if err := killAll(dir); err != nil {
		return err
	}
	return errors.Join(unlinkSockets(dir), unmountBelow(dir), removeCgroups(nodeCgroup(dir)))
}

// nodeCgroup is the parent of all cgroups of the node in dir.
func nodeCgroup(dir string) string {
	h := sha256.Sum256([]byte(dir))
	return fmt.Sprintf("/podreload-%x", h[:6])
}

// podCgroup is named as the kubelet's cgroupfs driver does for a besteffort pod.
func podCgroup(dir, uid string) string {
	return nodeCgroup(dir) + "/kubepods/besteffort/pod" + uid
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

// unlinkSockets removes the sockets of shims that were killed: they lie in a folder
// that all containerds of the machine share, named in each bundle.
func unlinkSockets(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "state/io.containerd.runtime.v2.task/*/*/address"))
	if err != nil {
		return err
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		if sock, ok := strings.CutPrefix(string(b), "unix://"); ok {
			if err := os.Remove(sock); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

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

// removeCgroups removes a cgroup and those below it in every hierarchy, v1 or v2.
func removeCgroups(cgroup string) error {
	roots, err := filepath.Glob("/sys/fs/cgroup/*" + cgroup)
	if err != nil {
		return err
	}
	var errs []error
	for _, root := range append(roots, "/sys/fs/cgroup"+cgroup) {
		var dirs []string
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		})
		errs = append(errs, err)
		for _, d := range slices.Backward(dirs) {
			errs = append(errs, removeCgroup(d))
		}
	}
	return errors.Join(errs...)
}

// removeCgroup removes one cgroup; the kernel says EBUSY until its last zombie is collected.
func removeCgroup(dir string) error {
	deadline := time.Now().Add(5 * time.Second)
	for {
		err := unix.Rmdir(dir)
		if err == nil || errors.Is(err, unix.ENOENT) {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			return fmt.Errorf("remove cgroup %s: %w", dir, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
