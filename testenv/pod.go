package testenv

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// PodConfig is a pod as a manifest would describe it.
type PodConfig struct {
	Name        string
	Namespace   string // "default" if empty
	UID         string // random if empty
	Labels      map[string]string
	Annotations map[string]string

	HostPID     bool
	SharePID    bool // shareProcessNamespace
	HostNetwork bool
	UserNS      bool // hostUsers: false; needs [V2]

	Containers []ContainerConfig
}

// Pod is a running pod. It is safe for concurrent use.
type Pod struct {
	ID     string // of the sandbox
	Config PodConfig

	node    *Node
	sandbox *cri.PodSandboxConfig
	netns   *os.File

	mu         sync.Mutex
	containers map[string]*Container // by name: the newest
	attempts   map[string]uint32
}

// RunPod makes a pod and starts its containers in order, with the calls, labels
// and annotations that the kubelet uses. On an error nothing of the pod remains.
func (n *Node) RunPod(ctx context.Context, cfg PodConfig) (*Pod, error) {
	p, err := n.runPod(ctx, cfg)
	if err != nil {
		err = fmt.Errorf("run pod %s: %w", cfg.Name, err)
		if p != nil {
			err = errors.Join(err, p.Remove(context.WithoutCancel(ctx)))
		}
		return nil, err
	}
	return p, nil
}

func (n *Node) runPod(ctx context.Context, cfg PodConfig) (*Pod, error) {
	if cfg.Namespace == "" {
		cfg.Namespace = "default"
	}
	if cfg.UID == "" {
		cfg.UID = newUID()
	}
	p := &Pod{
		Config: cfg, node: n, sandbox: n.sandboxConfig(cfg),
		containers: map[string]*Container{}, attempts: map[string]uint32{},
	}
	if err := os.MkdirAll(p.sandbox.LogDirectory, 0o755); err != nil {
		return nil, err
	}
	r, err := n.runtime.RunPodSandbox(ctx, &cri.RunPodSandboxRequest{Config: p.sandbox})
	if err != nil {
		return nil, err
	}
	p.ID = r.PodSandboxId
	n.mu.Lock()
	n.pods[p.ID] = p
	n.mu.Unlock()
	if p.netns, err = p.openNetns(ctx); err != nil {
		return p, err
	}
	for _, c := range cfg.Containers {
		if _, err := p.StartContainer(ctx, c); err != nil {
			return p, err
		}
	}
	return p, nil
}

// sandboxConfig is what the kubelet's generatePodSandboxConfig makes of a
// besteffort pod.
func (n *Node) sandboxConfig(cfg PodConfig) *cri.PodSandboxConfig {
	labels := podLabels(cfg)
	maps.Copy(labels, cfg.Labels)
	annotations := map[string]string{
		"kubernetes.io/config.seen":   "2026-01-01T00:00:00.000000000Z",
		"kubernetes.io/config.source": "api",
	}
	maps.Copy(annotations, cfg.Annotations)
	sandbox := &cri.PodSandboxConfig{
		Metadata:     &cri.PodSandboxMetadata{Name: cfg.Name, Namespace: cfg.Namespace, Uid: cfg.UID},
		LogDirectory: filepath.Join(n.dir, "logs", cfg.Namespace+"_"+cfg.Name+"_"+cfg.UID),
		Labels:       labels,
		Annotations:  annotations,
		Linux: &cri.LinuxPodSandboxConfig{
			CgroupParent: podCgroup(n.dir, cfg.UID),
			SecurityContext: &cri.LinuxSandboxSecurityContext{
				NamespaceOptions: cfg.namespaces(),
				Privileged:       cfg.privileged(),
			},
		},
	}
	if !cfg.HostNetwork {
		sandbox.Hostname = cfg.Name
	}
	return sandbox
}

func (cfg PodConfig) namespaces() *cri.NamespaceOption {
	o := &cri.NamespaceOption{Network: cri.NamespaceMode_POD, Ipc: cri.NamespaceMode_POD, Pid: cri.NamespaceMode_CONTAINER}
	if cfg.HostNetwork {
		o.Network = cri.NamespaceMode_NODE
	}
	switch {
	case cfg.HostPID:
		o.Pid = cri.NamespaceMode_NODE
	case cfg.SharePID:
		o.Pid = cri.NamespaceMode_POD
	}
	if cfg.UserNS {
		o.UsernsOptions = &cri.UserNamespace{
			Mode: cri.NamespaceMode_POD,
			Uids: []*cri.IDMapping{{HostId: UserNSBase, Length: userNSLength}},
			Gids: []*cri.IDMapping{{HostId: UserNSBase, Length: userNSLength}},
		}
	}
	return o
}

// The ids of a pod with a user namespace: root inside is UserNSBase on the node. The kubelet
// gives every pod a range of its own; here all have the same.
const (
	UserNSBase   = 1 << 20
	userNSLength = 1 << 16
)

func (cfg PodConfig) privileged() bool {
	for _, c := range cfg.Containers {
		if c.Privileged {
			return true
		}
	}
	return false
}

// podLabels are the labels that the kubelet puts on sandboxes and containers alike.
func podLabels(cfg PodConfig) map[string]string {
	return map[string]string{
		"io.kubernetes.pod.name":      cfg.Name,
		"io.kubernetes.pod.namespace": cfg.Namespace,
		"io.kubernetes.pod.uid":       cfg.UID,
	}
}

// Container is the newest container of that name, nil if there is none.
func (p *Pod) Container(name string) *Container {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.containers[name]
}

// Remove stops and removes the pod and its containers. A pod that is gone already
// is no error.
func (p *Pod) Remove(ctx context.Context) error {
	p.node.mu.Lock()
	delete(p.node.pods, p.ID)
	p.node.mu.Unlock()
	defer p.closeNetns()
	if err := p.stop(ctx); err != nil {
		return fmt.Errorf("stop pod %s: %w", p.Config.Name, err)
	}
	if _, err := p.node.runtime.RemovePodSandbox(ctx, &cri.RemovePodSandboxRequest{PodSandboxId: p.ID}); err != nil {
		return fmt.Errorf("remove pod %s: %w", p.Config.Name, err)
	}
	return removeCgroups(podCgroup(p.node.dir, p.Config.UID))
}

// stop tries again, as the kubelet does: where a container ends by itself at that moment
// containerd finds its shim closed.
func (p *Pod) stop(ctx context.Context) (err error) {
	const tries = 3
	for range tries {
		if _, err = p.node.runtime.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: p.ID}); err == nil || ctx.Err() != nil {
			return err
		}
	}
	return err
}

func newUID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
