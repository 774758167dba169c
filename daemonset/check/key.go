package check

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/podreload/podreload/daemonset"
)

// keyOf is what a verdict depends on: the image, the commands, the files, the pod's
// namespace, where names are looked up, and the spec of the twin less what tells one
// replica from another: who it is joined to, the sources of its volumes, its name. What an
// environment or a limit says is in it, so that trials are equal rather too seldom.
func keyOf(t Trial, e essence) key {
	h := sha256.New()
	for _, part := range [][]byte{
		[]byte(t.Image), []byte(t.Container.Pod.Namespace), []byte(daemonset.Digest(t.Files)), e.common[:],
	} {
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(part))))
		h.Write(part)
	}
	for _, command := range t.Commands {
		words, _ := json.Marshal([][]string{command.Args, command.Env}) // strings
		h.Write(append(words, '\n'))
	}
	return key(h.Sum(nil))
}

// unplaced leaves of a user namespace's map what is in it. Where that is on the node is each
// pod's own.
func unplaced(mappings []specs.LinuxIDMapping) []specs.LinuxIDMapping {
	mappings = slices.Clone(mappings)
	for i := range mappings {
		mappings[i].HostID = 0
	}
	return mappings
}

// nameless drops a twin's host name, its cgroup, which is in the pod's, the level
// of its SELinux labels, which is the pod's own, and which ids of the node it has.
func nameless(spec []byte) ([]byte, error) {
	var top, process, linux object
	var env []string
	for _, err := range []error{
		json.Unmarshal(spec, &top), json.Unmarshal(top["process"], &process), json.Unmarshal(top["linux"], &linux), process.get("env", &env),
	} {
		if err != nil {
			return nil, err
		}
	}
	env = slices.DeleteFunc(env, func(v string) bool { return strings.HasPrefix(v, "HOSTNAME=") })
	process.set("env", env)
	linux.drop("cgroupsPath")
	for _, name := range []string{"uidMappings", "gidMappings"} {
		var mappings []specs.LinuxIDMapping
		if err := linux.get(name, &mappings); err != nil {
			return nil, err
		}
		linux.set(name, unplaced(mappings))
	}
	unlevel(process, "selinuxLabel")
	unlevel(linux, "mountLabel")
	top.set("process", process)
	top.set("linux", linux)
	top.drop("hostname", "domainname")
	return json.Marshal(top)
}

// unlevel leaves user, role and type of a label.
func unlevel(o object, name string) {
	var label string
	if o.get(name, &label) == nil && label != "" {
		parts := strings.SplitN(label, ":", 4)
		o.set(name, parts[:min(3, len(parts))])
	}
}
