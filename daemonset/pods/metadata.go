package pods

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/containerd/typeurl/v2"

	"github.com/podreload/podreload/daemonset"
)

// Where containerd's CRI plugin keeps what the kubelet said, since 1.0 and
// unchanged in 2.x: extensions of the container objects, whose value is JSON.
// The plugin's own types are internal to it.
const (
	containerExtension = "io.cri-containerd.container.metadata"
	sandboxExtension   = "io.cri-containerd.sandbox.metadata"
	storeExtension     = "metadata" // of an entry in the sandbox store, 2.x only
)

const (
	metadataVersion = "v1"
	maxMetadata     = 4 << 20 // bytes; Kubernetes allows 256 KiB of annotations
	nodeNamespace   = 2       // NamespaceMode NODE of the CRI API
)

// metadata is the part of a container's or a sandbox's metadata that matters
// here. Config is the message of the CRI API that created it.
type metadata struct {
	SandboxID string // of a container
	ImageRef  string // of a container: its image's digest
	Config    struct {
		Metadata struct {
			Name      string `json:"name"`
			UID       string `json:"uid"`       // of a sandbox
			Namespace string `json:"namespace"` // of a sandbox
		} `json:"metadata"`
		Hostname    string            `json:"hostname"` // of a sandbox
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
		Linux       struct {
			SecurityContext struct {
				NamespaceOptions struct {
					PID int `json:"pid"`
				} `json:"namespace_options"`
			} `json:"security_context"`
		} `json:"linux"`
	}
}

// hostPID tells whether the node's PID namespace was asked for. The OCI spec
// does not show it: there it is a path, as with a namespace that the pod shares.
func (m metadata) hostPID() bool {
	return m.Config.Linux.SecurityContext.NamespaceOptions.PID == nodeNamespace
}

// podSandbox is a pod, and what its containers inherit of it.
type podSandbox struct {
	pod      daemonset.Pod
	hostname string
	hostPID  bool
}

func decodeMetadata(data []byte) (metadata, error) {
	if len(data) > maxMetadata {
		return metadata{}, fmt.Errorf("metadata of %d bytes: more than %d", len(data), maxMetadata)
	}
	var versioned struct {
		Version  string
		Metadata metadata
	}
	if err := json.Unmarshal(data, &versioned); err != nil {
		return metadata{}, fmt.Errorf("metadata: %w", err)
	}
	if versioned.Version != metadataVersion {
		return metadata{}, fmt.Errorf("metadata of version %q: only %s is known", versioned.Version, metadataVersion)
	}
	return versioned.Metadata, nil
}

func decodeSandbox(id string, data []byte) (podSandbox, error) {
	m, err := decodeMetadata(data)
	if err != nil {
		return podSandbox{}, fmt.Errorf("sandbox %s: %w", id, err)
	}
	name := m.Config.Metadata
	if name.Name == "" || name.Namespace == "" {
		return podSandbox{}, fmt.Errorf("sandbox %s: its metadata names no pod", id)
	}
	return podSandbox{
		pod: daemonset.Pod{
			UID:         name.UID,
			Name:        name.Name,
			Namespace:   name.Namespace,
			SandboxID:   id,
			Labels:      m.Config.Labels,
			Annotations: m.Config.Annotations,
		},
		hostname: m.Config.Hostname,
		hostPID:  m.hostPID(),
	}, nil
}

func decodeContainer(data []byte) (metadata, error) {
	m, err := decodeMetadata(data)
	switch {
	case err != nil:
		return metadata{}, err
	case m.SandboxID == "":
		return metadata{}, errors.New("its metadata names no sandbox")
	case m.Config.Metadata.Name == "":
		return metadata{}, errors.New("its metadata holds no name")
	}
	return m, nil
}

// value is the content of an extension or spec; nil when there is none.
func value(a typeurl.Any) []byte {
	if a == nil {
		return nil
	}
	return a.GetValue()
}
