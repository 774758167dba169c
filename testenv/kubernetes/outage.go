package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/testenv"
)

const apiServer, kubelet = "kube-apiserver", "kubelet"

// StopAPI ends the API server alone.
func (c *Cluster) StopAPI() error { return c.stop(apiServer, 10*time.Second) }

// StartAPI starts a stopped API server and waits until it is ready.
func (c *Cluster) StartAPI(ctx context.Context) error { return c.run(ctx, c.control()[0]) }

// RestartKubelet ends the kubelet, starts it again and waits until its node is ready; pods live on.
func (c *Cluster) RestartKubelet(ctx context.Context) error {
	if err := c.stop(kubelet, 10*time.Second); err != nil {
		return err
	}
	return c.startKubelet(ctx)
}

// PowerOff is what a cut of its power is to the node's machine: kubelet, containerd and all pods are
// killed at once, and what was mounted or in memory is gone. The control plane is on another
// machine, so to speak, and goes on. What is not as after a real boot: the kernel has not been
// started, so the boot id and the numbers of processes go on.
func (c *Cluster) PowerOff() error {
	errs := []error{c.stop(kubelet, 0), c.node.PowerOff(), testenv.UnmountBelow(c.path("kubelet"))}
	if err := unix.Unmount(c.Run(), unix.MNT_DETACH); err != nil {
		errs = append(errs, fmt.Errorf("unmount %s: %w", c.Run(), err))
	}
	return errors.Join(append(errs, c.mountRun())...)
}

// Boot starts a node that was powered off, and waits until it is ready; its pods come later.
func (c *Cluster) Boot(ctx context.Context) error {
	if err := c.node.StartContainerd(ctx); err != nil {
		return err
	}
	if err := c.makeCgroups(); err != nil {
		return err
	}
	return c.startKubelet(ctx)
}

func (c *Cluster) startKubelet(ctx context.Context) error {
	if err := c.run(ctx, c.kubelet()); err != nil {
		return err
	}
	return c.nodeReady(ctx)
}

// stop ends a part, and kills it after the grace period.
func (c *Cluster) stop(name string, grace time.Duration) error {
	i := slices.IndexFunc(c.parts, func(p *part) bool { return p.name == name })
	if i < 0 {
		return fmt.Errorf("stop %s: it does not run", name)
	}
	p := c.parts[i]
	if err := testenv.Stop(p.cmd, p.exited, grace); err != nil {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	c.parts = slices.Delete(c.parts, i, i+1)
	return nil
}
