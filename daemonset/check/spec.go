package check

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/nsenter"
)

// Bounds of a twin. The first is what the kernel goes by when memory runs out: the
// twin dies first. The second keeps a fork bomb from the node.
const (
	oomScoreAdj = 1000
	maxPids     = 512
)

// object is a JSON object whose members are kept as they came: a member that this
// version does not know, a new kind of privilege for one, is the target's still.
type object map[string]json.RawMessage

// change is what makes a target's spec a twin's.
type change struct {
	args   []string
	env    []string // takes the place of the target's own of that name
	id     string   // the last element of its cgroup
	pid    int      // the target's init, whose namespaces are joined
	mounts []specs.Mount
	files  *unix.Rlimit // RLIMIT_NOFILE, where the spec has none; nil: what it is by itself
}

// twinSpec edits a target's spec.
func twinSpec(spec []byte, c change) ([]byte, error) {
	var top, process, linux, resources object
	for _, o := range []struct {
		to   *object
		in   *object
		name string
	}{{&top, nil, ""}, {&process, &top, "process"}, {&linux, &top, "linux"}, {&resources, &linux, "resources"}} {
		b := spec
		if o.in != nil {
			b = (*o.in)[o.name]
		}
		if len(b) == 0 {
			b = []byte("{}")
		}
		if err := json.Unmarshal(b, o.to); err != nil || *o.to == nil {
			return nil, fmt.Errorf("the container's OCI spec: %q is no object: %v", o.name, err)
		}
	}
	var cgroup string
	var env []string
	var namespaces []specs.LinuxNamespace
	var pids specs.LinuxPids
	var rlimits []specs.POSIXRlimit
	for name, to := range map[string]any{"cgroupsPath": &cgroup, "namespaces": &namespaces} {
		if err := linux.get(name, to); err != nil {
			return nil, err
		}
	}
	if err := resources.get("pids", &pids); err != nil {
		return nil, err
	}
	for name, to := range map[string]any{"env": &env, "rlimits": &rlimits} {
		if err := process.get(name, to); err != nil {
			return nil, err
		}
	}
	if c.files != nil && !slices.ContainsFunc(rlimits, func(r specs.POSIXRlimit) bool { return r.Type == "RLIMIT_NOFILE" }) {
		rlimits = append(rlimits, specs.POSIXRlimit{Type: "RLIMIT_NOFILE", Soft: c.files.Cur, Hard: c.files.Max})
	}
	cgroup, err := twinCgroup(cgroup, c.id)
	if err != nil {
		return nil, err
	}
	if pids.Limit == nil || *pids.Limit <= 0 || *pids.Limit > maxPids {
		limit := int64(maxPids)
		pids.Limit = &limit
	}

	process.set("args", c.args)
	process.set("env", amend(env, c.env))
	if rlimits != nil {
		process.set("rlimits", rlimits)
	}
	process.set("oomScoreAdj", oomScoreAdj)
	process.drop("terminal", "consoleSize") // or a socket would have to take the terminal
	resources.set("pids", pids)
	linux.set("resources", resources)
	linux.set("cgroupsPath", cgroup)
	linux.set("namespaces", twinNamespaces(namespaces, c.pid))
	linux.set("rootfsPropagation", "rprivate")
	// The target's own group would be deleted with the twin, and what is set in namespaces that are joined would be set
	// in the target's anew.
	linux.drop("intelRdt", "sysctl", "netDevices")
	top.set("process", process)
	top.set("linux", linux)
	top.set("mounts", c.mounts)
	top.set("root", object{"path": json.RawMessage(`"rootfs"`), "readonly": readonly(top["root"])})
	top.drop("hooks", "annotations") // programs that would run on the node
	top.drop("hostname", "domainname")
	return json.Marshal(top)
}

// openFiles is how many files a target may have open, as far as this process may give that. A container
// of Kubernetes has what its containerd has, and a twin would have what we have: a thousand, started
// from a shell, where a server that opens a log for each of its sites needs more. In a pod with a user
// namespace of its own the runtime could set it with CAP_SYS_RESOURCE alone, which an agent may lack.
func openFiles(pid int, spec specs.Spec) (*unix.Rlimit, error) {
	if hasUserNamespace(spec) {
		return nil, nil
	}
	var ours unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &ours); err != nil {
		return nil, fmt.Errorf("read how many files may be open: %w", err)
	}
	// prlimit(2) of another user's process takes CAP_SYS_RESOURCE, this takes nothing.
	b, err := nsenter.ReadProc(pid, "limits", 16<<10)
	if err != nil {
		return nil, err
	}
	theirs, err := parseOpenFiles(b)
	if err != nil {
		return nil, fmt.Errorf("read /proc/%d/limits: %w", pid, err)
	}
	return &unix.Rlimit{Cur: min(theirs.Cur, ours.Max), Max: min(theirs.Max, ours.Max)}, nil
}

// parseOpenFiles finds the soft and the hard limit: proc_pid_limits(5).
func parseOpenFiles(limits []byte) (l unix.Rlimit, err error) {
	_, after, _ := bytes.Cut(limits, []byte("\nMax open files"))
	line, _, _ := bytes.Cut(after, []byte("\n"))
	fields := strings.Fields(string(line))
	if len(fields) < 2 {
		return l, errors.New("no line of open files in it")
	}
	for i, to := range []*uint64{&l.Cur, &l.Max} {
		if *to, err = strconv.ParseUint(fields[i], 10, 64); err != nil {
			return l, err
		}
	}
	return l, nil
}

// amend gives each name one value, since of two it is open which one counts.
func amend(env, by []string) []string {
	for _, kv := range by {
		name, _, _ := strings.Cut(kv, "=")
		env = slices.DeleteFunc(env, func(have string) bool { return strings.HasPrefix(have, name+"=") })
	}
	return append(env, by...)
}

func (o object) get(name string, to any) error {
	b, ok := o[name]
	if !ok {
		return nil
	}
	if err := json.Unmarshal(b, to); err != nil {
		return fmt.Errorf("the container's OCI spec: %s: %w", name, err)
	}
	return nil
}

// set never fails: what is set here are strings, numbers, and what was JSON before.
func (o object) set(name string, value any) {
	b, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	o[name] = b
}

func (o object) drop(names ...string) {
	for _, n := range names {
		delete(o, n)
	}
}

func readonly(root json.RawMessage) json.RawMessage {
	var r specs.Root
	if json.Unmarshal(root, &r) == nil && r.Readonly {
		return json.RawMessage("true")
	}
	return json.RawMessage("false")
}

// twinNamespaces joins the target where a pod shares, and makes the others anew. A
// namespace that the spec does not list is the node's, and the target's as well.
// The target's own links are used, not those of the spec, which name the pause
// process by a pid that can be another's by now: the target is pinned.
func twinNamespaces(target []specs.LinuxNamespace, pid int) []specs.LinuxNamespace {
	links := map[specs.LinuxNamespaceType]string{
		specs.NetworkNamespace: "net", specs.IPCNamespace: "ipc", specs.UTSNamespace: "uts",
		specs.UserNamespace: "user", specs.TimeNamespace: "time",
	}
	// Also where the target shares its pod's or the node's, or it would be seen there.
	twin := []specs.LinuxNamespace{{Type: specs.PIDNamespace}}
	for _, ns := range target {
		if ns.Type == specs.PIDNamespace {
			continue
		}
		ns.Path = ""
		if link, ok := links[ns.Type]; ok {
			ns.Path = "/proc/" + strconv.Itoa(pid) + "/ns/" + link
		}
		twin = append(twin, ns)
	}
	return twin
}

// twinCgroup puts the twin beside the target, below the pod: what it uses is the
// pod's, and it goes with the pod.
func twinCgroup(path, id string) (string, error) {
	if slice, prefix, _, ok := systemdForm(path); ok {
		return slice + ":" + prefix + ":" + id, nil
	}
	i := strings.LastIndexByte(path, '/')
	if i < 0 || !strings.HasPrefix(path, "/") {
		return "", fmt.Errorf("%w: the container's cgroup %q has no parent to put the twin in", ErrUnsupported, path)
	}
	return path[:i+1] + id, nil
}

// systemdForm takes apart "slice:prefix:id", as the systemd cgroup driver has it.
func systemdForm(path string) (slice, prefix, id string, ok bool) {
	parts := strings.Split(path, ":")
	if len(parts) != 3 || strings.Contains(path, "/") {
		return "", "", "", false
	}
	return parts[0], parts[1], parts[2], true
}

// parseSpec reads what is decided by; what is written is made from the bytes.
func parseSpec(spec []byte) (specs.Spec, error) {
	var s specs.Spec
	if err := json.Unmarshal(spec, &s); err != nil {
		return s, fmt.Errorf("the container's OCI spec: %w", err)
	}
	if s.Process == nil || s.Linux == nil {
		return s, fmt.Errorf("%w: its OCI spec is not one for Linux", ErrUnsupported)
	}
	return s, nil
}

// hasUserNamespace answers for a pod with hostUsers: false.
func hasUserNamespace(s specs.Spec) bool {
	return slices.ContainsFunc(s.Linux.Namespaces, func(ns specs.LinuxNamespace) bool { return ns.Type == specs.UserNamespace })
}

// rootOf are the user and the group that root is in the container, as the node numbers them.
func rootOf(s specs.Spec) (ids [2]int) {
	if !hasUserNamespace(s) {
		return ids
	}
	for i, mappings := range [][]specs.LinuxIDMapping{s.Linux.UIDMappings, s.Linux.GIDMappings} {
		for _, m := range mappings {
			if m.ContainerID == 0 {
				ids[i] = int(m.HostID)
			}
		}
	}
	return ids
}
