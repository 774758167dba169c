package nsenter

import (
	"strings"
)

// SameContainer says whether the other process belongs to the container of
// which i is a process, best its init. It goes by the cgroup, which a process
// in a container cannot choose, and which tells containers apart also where
// they share a PID namespace with each other or with the node.
//
// The container's cgroup is i's, up to the component that holds a container id
// (64 hex digits) if there is one: systemd as a container's init puts itself
// one further down. The other has to be in it or below it, in every hierarchy
// in which i is not in the root. An i that is in the root everywhere (no
// container is) is only the same as another such.
func (i Info) SameContainer(other Info) bool {
	if i.Cgroup == other.Cgroup { // as mostly
		return i.Cgroup != ""
	}
	mine, others := parseCgroup(i.Cgroup), parseCgroup(other.Cgroup)
	told := false
	for hierarchy, path := range mine {
		if path == "/" {
			continue
		}
		told = true
		if !within(others[hierarchy], containerPath(path)) {
			return false
		}
	}
	return told
}

// parseCgroup reads /proc/PID/cgroup (cgroups(7)), lines of
// "hierarchy:controllers:path": v1 has one for each hierarchy, v2 has "0::path",
// a hybrid node has both. The key is the part before the path.
func parseCgroup(s string) map[string]string {
	paths := make(map[string]string)
	for line := range strings.Lines(s) {
		id, rest, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		controllers, path, found := strings.Cut(rest, ":")
		if ok && found && strings.HasPrefix(path, "/") {
			paths[id+":"+controllers] = strings.TrimSuffix(path, " (deleted)")
		}
	}
	return paths
}

// within says whether a path is the directory or below it.
func within(path, dir string) bool {
	rest, ok := strings.CutPrefix(path, dir)
	return ok && (rest == "" || rest[0] == '/')
}

// containerPath cuts a path after its last component with a container id.
func containerPath(path string) string {
	for end := len(path); end > 0; end = strings.LastIndexByte(path[:end], '/') {
		if holdsID(path[strings.LastIndexByte(path[:end], '/')+1 : end]) {
			return path[:end]
		}
	}
	return path
}

// holdsID says whether a name holds 64 hex digits in a row, as
// "cri-containerd-<id>.scope" does.
func holdsID(name string) bool {
	run := 0
	for _, c := range name {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'f' {
			if run++; run == 64 {
				return true
			}
			continue
		}
		run = 0
	}
	return false
}
