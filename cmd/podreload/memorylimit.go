package main

import (
	"bufio"
	"bytes"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/sirupsen/logrus"
)

// keepBelowMemoryLimit has Go collect garbage the more eagerly the nearer it comes to the
// limit of the cgroup. Go knows nothing of it, and would let the garbage of large reads grow
// until the kernel kills the daemon. A fifth is left to what Go does not count, runc of a try
// among it. GOMEMLIMIT goes before.
func keepBelowMemoryLimit() {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	if limit := memoryLimit(os.DirFS("/")); limit > 0 {
		debug.SetMemoryLimit(limit / 5 * 4)
		logrus.Debugf("memory limit %d MiB: garbage is kept below four fifths of it", limit>>20)
	}
}

// memoryLimit is the limit of this process's cgroup in bytes, or 0 where there is none.
//
// With a cgroup namespace of the container's own its cgroup is the root of what is seen in
// /sys/fs/cgroup and in /proc/self/cgroup (cgroup_namespaces(7)). Privileged containers
// have none (containerd, internal/cri/server/container_create.go): there /sys/fs/cgroup is the node's,
// whose root has no limit, and /proc/self/cgroup says where below it. With cgroups v1
// /proc/self/cgroup names the node's path, too, but of /sys/fs/cgroup only the container's part is mounted.
func memoryLimit(root fs.FS) int64 {
	text, err := readHead(root, "proc/self/cgroup")
	if err != nil {
		return 0
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		// hierarchy:controllers:path; see cgroups(7).
		parts := strings.SplitN(lines.Text(), ":", 3)
		if len(parts) < 3 {
			continue
		}
		var dir, file string
		switch {
		case parts[0] == "0":
			dir, file = "sys/fs/cgroup", "memory.max"
		case parts[1] == "memory":
			dir, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		// Cleaned as an absolute path, so that .. does not lead out.
		for _, below := range []string{path.Clean("/" + parts[2]), "/"} {
			if text, err := readHead(root, path.Join(dir, below, file)); err == nil {
				if limit := parseMemoryLimit(string(text)); limit > 0 {
					return limit
				}
			}
		}
	}
	return 0
}

// parseMemoryLimit is the number in text; 0 where that is none, or so large that it means none:
// "max" in v2, and nearly 1<<63 in v1.
func parseMemoryLimit(text string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n <= 0 || n >= 1<<50 {
		return 0
	}
	return n
}

// readHead reads what a file of the kernel's has, which is little.
func readHead(root fs.FS, name string) ([]byte, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 16<<10))
}
