package exec

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types/task"
	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/nsenter"
)

// maxStarts is how many commands are started at once. An OCI runtime costs some tens of
// MiB and milliseconds to start one; that they run then costs nothing here.
const maxStarts = 4

// startTurn is how long the start of one may keep others from being started, many times what
// it takes: a container can hold it up, and is to delay its own commands alone.
const startTurn = 2 * time.Second

// Client runs commands. It is safe for concurrent use, and has nothing to close.
type Client struct {
	tasks   tasks.TasksClient
	records containers.Store
	dir     string
	starts  chan struct{}

	mu    sync.Mutex
	turns map[string]chan struct{} // by container, while a command runs in it; closed when it has ended
}

// New uses a connection to containerd that has a default namespace, and stays its owner's. dir is
// for FIFOs and made when it is needed; as containerd's shims open them by
// their paths, it has to be a folder that has the same path on the node.
func New(c *containerd.Client, dir string) (*Client, error) {
	if !filepath.IsAbs(dir) {
		return nil, fmt.Errorf("the folder for the output of commands %q: an absolute path is wanted", dir)
	}
	return &Client{
		tasks: c.TaskService(), records: c.ContainerService(), dir: dir,
		starts: make(chan struct{}, maxStarts), turns: make(map[string]chan struct{}),
	}, nil
}

// Result is a command that has ended with exit code 0.
type Result struct {
	Output string // standard output and error, cleaned, the first and the last of it
	Took   time.Duration
}

// Run runs a command in a container and waits for its end. Whatever comes of it, nothing is
// left running that this package started, but what the command itself left behind
// when it ended; and when the context or the command's time limit ends, not that either. A start
// that is under way then is waited for, some seconds at most, and is no part of the limit. The
// caller holds the lock on the target: a command that another process has running
// in the container is taken for one that was left, and ended.
//
// The error wraps one of this package's, or an [ExitError], or is the context's.
func (c *Client) Run(ctx context.Context, container daemonset.Container, command Command) (Result, error) {
	r, err := c.run(ctx, container, command)
	if err != nil {
		return Result{}, fmt.Errorf("run %q in container %s: %w", command, container, err)
	}
	return r, nil
}

func (c *Client) run(ctx context.Context, container daemonset.Container, command Command) (Result, error) {
	if err := command.validate(); err != nil {
		return Result{}, err
	}
	init, err := nsenter.PinStarted(container.Pid, container.StartTime)
	if errors.Is(err, nsenter.ErrGone) {
		err = gone(err)
	}
	if err != nil {
		return Result{}, err
	}
	defer init.Close()
	done, err := c.turn(ctx, container.ID)
	if err != nil {
		return Result{}, err
	}
	defer done()
	started, err := c.admit(ctx)
	if err != nil {
		return Result{}, err
	}
	defer started()
	late := time.AfterFunc(startTurn, started)
	defer late.Stop()

	if command.Timeout <= 0 {
		command.Timeout = DefaultTimeout
	}
	p := &process{Client: c, id: container.ID, init: init, command: command}
	r, err := p.run(ctx, started)
	switch {
	case err == nil:
		return r, nil
	case init.Alive() != nil, dying(init, err): // which can look like anything else
		return Result{}, gone(err)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return Result{}, fmt.Errorf("%w: %w: %w", ErrDeadline, ctx.Err(), err)
	case ctx.Err() != nil:
		return Result{}, fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return Result{}, err
}

// dying says whether a command was killed because the container's first process ends: the kernel
// kills all others before that has ended itself (pid_namespaces(7)).
func dying(init *nsenter.Process, err error) bool {
	const killed = 128 + int(syscall.SIGKILL)
	exit, ok := errors.AsType[*ExitError](err)
	if !ok || exit.Code != killed {
		return false
	}
	info, err := init.Info()
	return err != nil || info.Exiting
}

// turn waits until no other command of this Client runs in the container.
func (c *Client) turn(ctx context.Context, id string) (done func(), err error) {
	for {
		c.mu.Lock()
		other, taken := c.turns[id]
		if !taken {
			mine := make(chan struct{})
			c.turns[id] = mine
			c.mu.Unlock()
			return func() {
				c.mu.Lock()
				defer c.mu.Unlock()
				delete(c.turns, id)
				close(mine)
			}, nil
		}
		c.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for another command in it: %w", ctx.Err())
		}
	}
}

// admit waits until a command may be started. That is no part of its time limit. The result
// may be called twice.
func (c *Client) admit(ctx context.Context) (done func(), err error) {
	select {
	case c.starts <- struct{}{}:
		return sync.OnceFunc(func() { <-c.starts }), nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for other commands to start: %w", ctx.Err())
	}
}

// spec is what the container's own process was made from, with other arguments. It proves
// that the container is the one that was pinned.
func (p *process) spec(ctx context.Context) ([]byte, error) {
	got, err := p.tasks.Get(ctx, &tasks.GetRequest{ContainerID: p.id})
	if err != nil {
		return nil, explain(err)
	}
	switch s := got.Process.GetStatus(); {
	case int(got.Process.GetPid()) != p.init.Pid():
		return nil, gone(fmt.Errorf("its first process is %d now and was %d", got.Process.GetPid(), p.init.Pid()))
	case s == task.Status_PAUSED, s == task.Status_PAUSING:
		return nil, fmt.Errorf("%w: the container is paused", ErrNotStarted)
	case s != task.Status_RUNNING:
		return nil, gone(fmt.Errorf("it is %s", s))
	}
	record, err := p.records.Get(ctx, p.id)
	if err != nil {
		return nil, explain(err)
	}
	if record.Spec == nil {
		return nil, errors.New("the container has no OCI spec")
	}
	return processSpec(record.Spec.GetValue(), p.command.Args)
}
