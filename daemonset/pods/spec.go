package pods

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/podreload/podreload/daemonset"
)

const maxSpec = 8 << 20 // bytes; a large one has some tens of KiB

// spec is the part of an OCI runtime spec that matters here; the rest of it,
// such as seccomp's long lists, is not kept.
type spec struct {
	Process struct {
		User struct {
			UID uint32 `json:"uid"`
			GID uint32 `json:"gid"`
		} `json:"user"`
		Args []string `json:"args"`
		Env  []string `json:"env"`
	} `json:"process"`
	Root struct {
		Readonly bool `json:"readonly"`
	} `json:"root"`
	Hostname string        `json:"hostname"`
	Mounts   []specs.Mount `json:"mounts"`
	Linux    struct {
		Namespaces  []specs.LinuxNamespace `json:"namespaces"`
		UIDMappings []specs.LinuxIDMapping `json:"uidMappings"`
		GIDMappings []specs.LinuxIDMapping `json:"gidMappings"`
	} `json:"linux"`
}

func decodeSpec(data []byte) (spec, error) {
	var s spec
	if len(data) > maxSpec {
		return s, fmt.Errorf("OCI spec of %d bytes: more than %d", len(data), maxSpec)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("OCI spec: %w", err)
	}
	return s, nil
}

// namespace finds a namespace by its type. Not found means: the node's own.
func (s spec) namespace(kind specs.LinuxNamespaceType) (path string, found bool) {
	for _, n := range s.Linux.Namespaces {
		if n.Type == kind {
			return n.Path, true
		}
	}
	return "", false
}

func (s spec) mounts() []daemonset.Mount {
	mounts := make([]daemonset.Mount, 0, len(s.Mounts))
	for _, m := range s.Mounts {
		mounts = append(mounts, daemonset.Mount{
			Destination: m.Destination,
			Type:        m.Type,
			ReadOnly:    readOnly(m.Options),
		})
	}
	return mounts
}

func idMap(mappings []specs.LinuxIDMapping) []daemonset.IDMap {
	var ranges []daemonset.IDMap
	for _, m := range mappings {
		ranges = append(ranges, daemonset.IDMap{Inside: m.ContainerID, Outside: m.HostID, Size: m.Size})
	}
	return ranges
}

// readOnly reads mount options as mount(8) does: the last one counts.
func readOnly(options []string) (ro bool) {
	for _, option := range options {
		switch option {
		case "ro", "rro":
			ro = true
		case "rw", "rrw":
			ro = false
		}
	}
	return ro
}

// container puts together what is known of a container, but for its pid.
func (s spec) container(id, runtime string, m metadata, box podSandbox) daemonset.Container {
	pidPath, ownPID := s.namespace(specs.PIDNamespace)
	_, userNS := s.namespace(specs.UserNamespace)
	c := daemonset.Container{
		ID:           id,
		Name:         m.Config.Metadata.Name,
		Pod:          box.pod,
		Runtime:      runtime,
		Image:        m.ImageRef,
		Args:         s.Process.Args,
		Env:          s.Process.Env,
		UID:          s.Process.User.UID,
		GID:          s.Process.User.GID,
		Hostname:     s.Hostname,
		ReadonlyRoot: s.Root.Readonly,
		HostPID:      !ownPID || m.hostPID() || pidPath != "" && box.hostPID,
		UserNS:       userNS,
		Mounts:       s.mounts(),
	}
	if userNS {
		c.UIDMap, c.GIDMap = idMap(s.Linux.UIDMappings), idMap(s.Linux.GIDMappings)
	}
	c.SharedPID = pidPath != "" && !c.HostPID
	c.Hostname = cmp.Or(c.Hostname, box.hostname)
	for _, entry := range c.Env { // in the node's network neither has it; containerd says it here
		if name, ok := strings.CutPrefix(entry, "HOSTNAME="); ok && c.Hostname == "" {
			c.Hostname = name
		}
	}
	return c
}
