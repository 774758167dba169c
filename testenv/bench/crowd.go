package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/podreload/podreload/daemonset/verify"
	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/testenv"
)

// member is one pod of many: nginx alone.
type member struct {
	*testenv.Container
	pid    int // of its init on the node
	shim   int // of containerd's, which is its parent
	master *nsenter.Process
}

// crowd are many pods of nginx on one node. It grows and never shrinks; Close lets go of their
// processes, and the node ends them.
type crowd struct {
	node    *testenv.Node
	members []member
}

// makers is how many pods are made at once.
const makers = 4

// grow makes pods until there are so many.
func (c *crowd) grow(ctx context.Context, size int) error {
	preset, err := verify.Lookup("nginx")
	if err != nil {
		return err
	}
	first := len(c.members)
	made := make([]member, max(0, size-first))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(makers)
	for i := range made {
		group.Go(func() error { return made[i].start(ctx, c.node, preset, fmt.Sprintf("many-%d", first+i)) })
	}
	err = group.Wait()
	for _, m := range made {
		if m.master != nil {
			c.members = append(c.members, m)
		}
	}
	return err
}

func (m *member) start(ctx context.Context, n *testenv.Node, preset verify.Preset, name string) error {
	pod, err := n.RunPod(ctx, testenv.PodConfig{
		Name: name, Labels: map[string]string{"podreload.io/profile": manyProfile},
		Containers: []testenv.ContainerConfig{{Name: "nginx"}},
	})
	if err != nil {
		return err
	}
	m.Container = pod.Container("nginx")
	if m.pid, err = m.Pid(ctx); err != nil {
		return err
	}
	init, err := nsenter.Pin(m.pid)
	if err != nil {
		return err
	}
	defer init.Close()
	info, err := init.Info()
	if err != nil {
		return err
	}
	m.shim = info.PPid
	for deadline := time.Now().Add(patience); ; time.Sleep(rest) {
		master, err := preset.Find(ctx, init)
		if err == nil {
			m.master = master
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("pod %s: %w", name, err)
		}
	}
}

// workers pins all that the masters run now. The caller closes them.
func (c *crowd) workers() (generation, error) {
	var g generation
	for _, m := range c.members {
		pids, err := nsenter.Children(m.master.Pid())
		if err == nil && len(pids) == 0 {
			err = errors.New("it has no worker")
		}
		for _, pid := range pids {
			var p *nsenter.Process
			if p, err = nsenter.Pin(pid); err != nil {
				break
			}
			g = append(g, p)
		}
		if err != nil {
			g.close()
			return nil, fmt.Errorf("nginx of process %d: %w", m.master.Pid(), err)
		}
	}
	return g, nil
}

// generation are workers.
type generation []*nsenter.Process

// ended waits until all of them have ended, by their pidfds alone: that costs nobody's
// processor anything.
func (g generation) ended(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*patience)
	defer cancel()
	for _, p := range g {
		if err := p.Wait(ctx); err != nil {
			return fmt.Errorf("worker %d does not end: %w", p.Pid(), err)
		}
	}
	return nil
}

func (g generation) close() {
	for _, p := range g {
		p.Close()
	}
}

// Close lets go of the masters.
func (c *crowd) Close() error {
	var errs []error
	for _, m := range c.members {
		errs = append(errs, m.master.Close())
	}
	return errors.Join(errs...)
}
