package testenv

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// ContainerConfig is a container as a manifest would describe it. It runs
// [Image]; without Command and Args that is nginx in the foreground.
type ContainerConfig struct {
	Name    string
	Command []string // replaces the image's entrypoint
	Args    []string // replaces the image's command
	Env     []string // KEY=value

	ReadonlyRoot bool
	Privileged   bool
	Capabilities []string // added to the default ones, without CAP_
	User         *int64   // root if nil
	Mounts       []Mount
}

// Mount is a bind mount from the node.
type Mount struct {
	HostPath, ContainerPath string
	ReadOnly                bool
}

// Container is one container, running or ended.
type Container struct {
	ID   string
	Name string

	pod *Pod
	log string // path of its log on the node
	cfg ContainerConfig
}

// StartContainer creates a container in the pod and starts it.
func (p *Pod) StartContainer(ctx context.Context, cfg ContainerConfig) (*Container, error) {
	c, err := p.startContainer(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("start container %s/%s: %w", p.Config.Name, cfg.Name, err)
	}
	return c, nil
}

func (p *Pod) startContainer(ctx context.Context, cfg ContainerConfig) (*Container, error) {
	p.mu.Lock()
	attempt := p.attempts[cfg.Name]
	p.attempts[cfg.Name]++
	p.mu.Unlock()

	config := p.containerConfig(cfg, attempt)
	log := filepath.Join(p.sandbox.LogDirectory, config.LogPath)
	if err := os.MkdirAll(filepath.Dir(log), 0o755); err != nil {
		return nil, err
	}
	r, err := p.node.runtime.CreateContainer(ctx, &cri.CreateContainerRequest{
		PodSandboxId: p.ID, Config: config, SandboxConfig: p.sandbox,
	})
	if err != nil {
		return nil, err
	}
	if _, err := p.node.runtime.StartContainer(ctx, &cri.StartContainerRequest{ContainerId: r.ContainerId}); err != nil {
		return nil, err
	}
	c := &Container{ID: r.ContainerId, Name: cfg.Name, pod: p, log: log, cfg: cfg}
	p.mu.Lock()
	p.containers[cfg.Name] = c
	p.mu.Unlock()
	return c, nil
}

// Restart does what the kubelet does when a container ends: it makes another one of the
// next attempt in the same sandbox. The old record stays in containerd.
func (p *Pod) Restart(ctx context.Context, name string) (*Container, error) {
	c := p.Container(name)
	if c == nil {
		return nil, fmt.Errorf("restart container %s/%s: there is none", p.Config.Name, name)
	}
	if err := c.Stop(ctx); err != nil {
		return nil, err
	}
	return p.StartContainer(ctx, c.cfg)
}

// containerConfig is what the kubelet's generateContainerConfig makes of a container
// without resources.
func (p *Pod) containerConfig(cfg ContainerConfig, attempt uint32) *cri.ContainerConfig {
	labels := podLabels(p.Config)
	labels["io.kubernetes.container.name"] = cfg.Name
	config := &cri.ContainerConfig{
		Metadata: &cri.ContainerMetadata{Name: cfg.Name, Attempt: attempt},
		Image:    &cri.ImageSpec{Image: Image},
		Command:  cfg.Command,
		Args:     cfg.Args,
		Labels:   labels,
		Annotations: map[string]string{
			"io.kubernetes.container.hash":                     "0",
			"io.kubernetes.container.restartCount":             strconv.Itoa(int(attempt)),
			"io.kubernetes.container.terminationMessagePath":   "/dev/termination-log",
			"io.kubernetes.container.terminationMessagePolicy": "File",
			"io.kubernetes.pod.terminationGracePeriod":         "30",
		},
		LogPath: filepath.Join(cfg.Name, fmt.Sprintf("%d.log", attempt)),
		Linux: &cri.LinuxContainerConfig{
			Resources:       &cri.LinuxContainerResources{CpuShares: 2, OomScoreAdj: 1000},
			SecurityContext: p.securityContext(cfg),
		},
	}
	for _, e := range cfg.Env {
		key, value, _ := strings.Cut(e, "=")
		config.Envs = append(config.Envs, &cri.KeyValue{Key: key, Value: []byte(value)})
	}
	for _, m := range cfg.Mounts {
		users := p.sandbox.Linux.SecurityContext.NamespaceOptions.GetUsernsOptions()
		config.Mounts = append(config.Mounts, &cri.Mount{
			HostPath: m.HostPath, ContainerPath: m.ContainerPath, Readonly: m.ReadOnly,
			UidMappings: users.GetUids(), GidMappings: users.GetGids(),
		})
	}
	return config
}

// securityContext masks what the kubelet masks, since containerd masks nothing by itself.
func (p *Pod) securityContext(cfg ContainerConfig) *cri.LinuxContainerSecurityContext {
	s := &cri.LinuxContainerSecurityContext{
		Privileged:       cfg.Privileged,
		ReadonlyRootfs:   cfg.ReadonlyRoot,
		NamespaceOptions: p.Config.namespaces(),
		Capabilities:     &cri.Capability{AddCapabilities: cfg.Capabilities},
		Seccomp:          &cri.SecurityProfile{ProfileType: cri.SecurityProfile_Unconfined},
	}
	if cfg.User != nil {
		s.RunAsUser = &cri.Int64Value{Value: *cfg.User}
	}
	if !cfg.Privileged {
		s.MaskedPaths = []string{
			"/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
			"/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi",
			"/sys/devices/system/cpu", "/sys/devices/virtual/powercap", "/sys/firmware",
		}
		s.ReadonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
	}
	return s
}

// Pid is the init process of the container as the node numbers it.
func (c *Container) Pid(ctx context.Context) (int, error) {
	r, err := c.pod.node.runtime.ContainerStatus(ctx, &cri.ContainerStatusRequest{ContainerId: c.ID, Verbose: true})
	if err != nil {
		return 0, fmt.Errorf("pid of container %s: %w", c.Name, err)
	}
	return infoPid(r.Info)
}

// infoPid reads the pid out of containerd's verbose status, where it is JSON under "info".
func infoPid(info map[string]string) (int, error) {
	var v struct{ Pid int }
	if err := json.Unmarshal([]byte(info["info"]), &v); err != nil {
		return 0, fmt.Errorf("read containerd's verbose status: %w", err)
	}
	if v.Pid <= 0 {
		return 0, fmt.Errorf("pid %d: the container does not run", v.Pid)
	}
	return v.Pid, nil
}

// Exec runs a command inside, as `kubectl exec` and exec probes do, and returns its
// standard output. An exit code other than 0 is an error with what it said.
func (c *Container) Exec(ctx context.Context, cmd ...string) (string, error) {
	out, err := c.pod.node.Exec(ctx, c.ID, cmd...)
	if err != nil {
		err = fmt.Errorf("container %s: %w", c.Name, err)
	}
	return out, err
}

// Exec is [Container.Exec] by the container's id, whoever has made it.
func (n *Node) Exec(ctx context.Context, id string, cmd ...string) (string, error) {
	timeout := int64(30)
	if deadline, ok := ctx.Deadline(); ok {
		timeout = int64(math.Ceil(max(time.Until(deadline).Seconds(), 1)))
	}
	r, err := n.runtime.ExecSync(ctx, &cri.ExecSyncRequest{ContainerId: id, Cmd: cmd, Timeout: timeout})
	if err != nil {
		return "", fmt.Errorf("exec %q: %w", cmd, err)
	}
	if r.ExitCode != 0 {
		return string(r.Stdout), fmt.Errorf("exec %q: exit code %d: %s", cmd, r.ExitCode, r.Stderr)
	}
	return string(r.Stdout), nil
}

// Logs is what the container has written so far, in CRI's format: time, stream, tag, line.
func (c *Container) Logs() (string, error) {
	b, err := os.ReadFile(c.log)
	return string(b), err
}

// Stop ends the container: its stop signal, and SIGKILL 5 s later.
func (c *Container) Stop(ctx context.Context) error {
	_, err := c.pod.node.runtime.StopContainer(ctx, &cri.StopContainerRequest{ContainerId: c.ID, Timeout: 5})
	if err != nil {
		return fmt.Errorf("stop container %s: %w", c.Name, err)
	}
	return nil
}

// Remove deletes the record of a container that has ended, and its files.
func (c *Container) Remove(ctx context.Context) error {
	if _, err := c.pod.node.runtime.RemoveContainer(ctx, &cri.RemoveContainerRequest{ContainerId: c.ID}); err != nil {
		return fmt.Errorf("remove container %s: %w", c.Name, err)
	}
	return nil
}
