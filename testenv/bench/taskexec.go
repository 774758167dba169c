package main

import (
	"context"
	"fmt"
	"strconv"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/cio"

	"github.com/podreload/podreload/testenv"
)

// runtime is a connection to a node's containerd. The caller closes it.
type runtime struct {
	*containerd.Client
	version string
}

func connect(ctx context.Context, n *testenv.Node) (*runtime, error) {
	c, err := containerd.New(n.Socket(), containerd.WithDefaultNamespace("k8s.io"))
	if err != nil {
		return nil, err
	}
	v, err := c.Version(ctx)
	if err != nil {
		c.Close()
		return nil, err
	}
	return &runtime{Client: c, version: v.Version}, nil
}

// taskExec runs a command in a container by containerd's Task.Exec. Measured is until its exit
// status is known; that containerd then has to delete the process is not.
func taskExec(ctx context.Context, c *runtime, id string, args func(text string) []string) (*way, error) {
	container, err := c.LoadContainer(ctx, id)
	if err != nil {
		return nil, err
	}
	task, err := container.Task(ctx, nil)
	if err != nil {
		return nil, err
	}
	spec, err := container.Spec(ctx)
	if err != nil {
		return nil, err
	}
	count := 0
	var last containerd.Process
	clean := func(ctx context.Context, _ string) error {
		if last == nil {
			return nil
		}
		_, err := last.Delete(ctx)
		return err
	}
	do := func(ctx context.Context, text string) error {
		count++
		process := *spec.Process
		process.Args = args(text)
		p, err := task.Exec(ctx, "bench-"+strconv.Itoa(count), &process, cio.NullIO)
		if err != nil {
			return err
		}
		last = p
		exited, err := p.Wait(ctx)
		if err != nil {
			return err
		}
		if err := p.Start(ctx); err != nil {
			return err
		}
		status := <-exited
		if code, _, err := status.Result(); err != nil || code != 0 {
			return fmt.Errorf("exit code %d: %w", code, err)
		}
		return nil
	}
	return &way{name: "containerd " + c.version + " Task.Exec sh", before: clean, do: do}, nil
}
