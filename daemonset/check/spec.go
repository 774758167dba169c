package check

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
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
	for name, to := range map[string]any{"cgroupsPath": &cgroup, "namespaces": &namespaces} {
		if err := linux.get(name, to); err != nil {
			return nil, err
		}
	}
	if err := resources.get("pids", &pids); err != nil {
		return nil, err
	}
	if err := process.get("env", &env); err != nil {
		return nil, err
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
	process.set("oomScoreAdj", oomScoreAdj)
	process.drop("terminal", "consoleSize") // or a socket would have to take the terminal
	resources.set("pids", pids)
	linux.set("resources", resources)
	linux.set("cgroupsPath", cgroup)
	linux.set("namespaces", twinNamespaces(namespaces, c.pid))
	linux.set("rootfsPropagation", "rprivate")
	linux.drop("intelRdt") // the target's own group would be deleted with the twin
	top.set("process", process)
	top.set("linux", linux)
	top.set("mounts", c.mounts)
	top.set("root", object{"path": json.RawMessage(`"rootfs"`), "readonly": readonly(top["root"])})
	top.drop("hooks", "annotations") // programs that would run on the node
	return json.Marshal(top)
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
