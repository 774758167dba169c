package daemonset

// Pod is what the sandbox's metadata says of a pod. Its labels and annotations
// are as the pod was created: the kubelet hands them to containerd once, so a
// later `kubectl label` never shows here.
type Pod struct {
	UID         string            `json:"uid"`
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace"`
	SandboxID   string            `json:"sandboxID"`
	Node        string            `json:"node,omitempty"` // as the agent was told
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Container is one running container of a pod, as the runtime describes it.
// It is a snapshot: Pid may be gone by the time it is read, and be another
// container's, which is why nothing is done to a container before its process is
// pinned, by Pid and StartTime (package nsenter).
type Container struct {
	ID   string `json:"id"`   // containerd's full id
	Name string `json:"name"` // the container's name in its pod
	Pod  Pod    `json:"pod"`

	Pid       int    `json:"pid"`       // the init process, as the node numbers it
	StartTime uint64 `json:"startTime"` // of that process, in clock ticks since boot, when Pid was learnt; 0: it had ended
	Runtime   string `json:"runtime"`   // containerd's runtime name, such as io.containerd.runc.v2

	Image    string   `json:"image,omitempty"` // its digest, as the runtime has it
	Args     []string `json:"args,omitempty"`  // what the init process was started as, from the OCI spec
	Env      []string `json:"env,omitempty"`   // KEY=value, from the OCI spec
	UID      uint32   `json:"uid"`             // the user of the init process, as the container numbers it
	GID      uint32   `json:"gid"`
	Hostname string   `json:"hostname,omitempty"` // from the OCI spec, else from the sandbox or HOSTNAME

	ReadonlyRoot bool    `json:"readonlyRoot,omitempty"`
	HostPID      bool    `json:"hostPID,omitempty"`   // shares the node's PID namespace
	SharedPID    bool    `json:"sharedPID,omitempty"` // shares the pod's PID namespace (shareProcessNamespace)
	UserNS       bool    `json:"userNS,omitempty"`    // has a user namespace of its own (hostUsers: false)
	UIDMap       []IDMap `json:"uidMap,omitempty"`    // that namespace's; empty without one
	GIDMap       []IDMap `json:"gidMap,omitempty"`
	Mounts       []Mount `json:"mounts,omitempty"` // from the OCI spec
}

// SameInit says whether both have the same init process.
func (c Container) SameInit(other Container) bool {
	return c.Pid == other.Pid && c.StartTime == other.StartTime
}

// IDMap is one range of a user namespace's map: where the ids inside are on the
// node.
type IDMap struct {
	Inside  uint32 `json:"inside"`
	Outside uint32 `json:"outside"`
	Size    uint32 `json:"size"`
}

// Mount is one mount of the OCI spec, as far as advice to a person needs it.
type Mount struct {
	Destination string `json:"destination"`
	Type        string `json:"type"`
	ReadOnly    bool   `json:"readOnly,omitempty"`
}

// ShortID is how tables show an id: its first 13 characters, as crictl does.
func ShortID(id string) string {
	const length = 13
	if len(id) <= length {
		return id
	}
	return id[:length]
}

// String names the container as commands take it: namespace/pod/container.
func (c Container) String() string {
	return c.Pod.Namespace + "/" + c.Pod.Name + "/" + c.Name
}
