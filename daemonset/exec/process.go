package exec

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types/task"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/podreload/podreload/nsenter"
)

const (
	// execID names the one process of this package's in a container.
	execID = "podreload-reload"

	// processType is what containerd calls the process of an OCI spec: client.New of its client.
	processType = "types.containerd.io/opencontainers/runtime-spec/1/Process"

	// startTimeout bounds the start of a process, and, besides the removal of one that was left, the making.
	// Neither is part of the command's own limit. An agent that ends may have to wait for it.
	startTimeout = 10 * time.Second

	// The wait for a containerd that is away.
	minRetry = 50 * time.Millisecond
	maxRetry = time.Second
)

// process is one command, from its name to its deletion.
type process struct {
	*Client
	id      string           // the container's
	init    *nsenter.Process // the container's
	command Command
	stuck   uint64 // since when the runtime was at starting it and did not get there; 0 if it did
}

// run takes a command from its making to its end. Started is called when it runs.
func (p *process) run(ctx context.Context, started func()) (_ Result, err error) {
	out, err := openOutput(p.dir, p.id)
	if err != nil {
		return Result{}, fmt.Errorf("catch its output: %w", err)
	}
	defer out.close() // after the deletion: until then the shim may have something to say
	err = within(ctx, removeTimeout+startTimeout, "it may take to be made", func(ctx context.Context) error {
		spec, err := p.spec(ctx)
		if err != nil {
			return err
		}
		return p.create(ctx, spec, out.path)
	})
	if err != nil {
		return Result{}, err
	}
	defer func() {
		// It stays for the next command if containerd is away; else that it could not be
		// deleted is worth an error.
		if left := p.remove(ctx); left != nil && !errors.Is(left, ErrAway) {
			err = errors.Join(err, left)
		}
		if p.stuck != 0 { // the shim has given up on it, too
			err = errors.Join(err, p.endStarting(ctx, p.stuck))
		}
	}()
	begun := time.Now()
	pid, err := p.start(ctx)
	if err != nil {
		return Result{}, err
	}
	started()
	out.started()
	var code uint32
	err = within(ctx, p.command.Timeout, "its limit is", func(ctx context.Context) (err error) {
		code, err = p.await(ctx, pid)
		return err
	})
	if err != nil {
		out.await()
		if said := out.String(); said != "" {
			err = &CutShortError{Err: err, Output: said}
		}
		return Result{}, err
	}
	took := time.Since(begun)
	out.await()
	if code != 0 {
		return Result{}, exitError(code, out.String())
	}
	return Result{Output: out.String(), Took: took}, nil
}

// within gives a step so much time, and says so if that was not enough.
func within(ctx context.Context, limit time.Duration, what string, step func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := step(limited)
	if err != nil && limited.Err() != nil && ctx.Err() == nil && !errors.Is(err, ErrAway) {
		return fmt.Errorf("%w (%s %s): %w", ErrDeadline, what, limit, err)
	}
	return err
}

// create makes the process, which runs nothing yet. One that was left is removed first.
func (p *process) create(ctx context.Context, spec []byte, output string) error {
	request := &tasks.ExecProcessRequest{
		ContainerID: p.id, ExecID: execID, Stdout: output, Stderr: output,
		Spec: &anypb.Any{TypeUrl: processType, Value: spec},
	}
	_, err := p.tasks.Exec(ctx, request)
	if status.Code(err) == codes.AlreadyExists {
		if err := p.remove(ctx); err != nil {
			return fmt.Errorf("remove the command that was left in it: %w", err)
		}
		_, err = p.tasks.Exec(ctx, request)
	}
	if err == nil {
		return nil
	}
	if late(ctx) { // it may be there
		return errors.Join(ctx.Err(), p.remove(ctx))
	}
	return refused(err, p.command)
}

// start starts it, in its own time: a shim hears of deadlines alone, and goes on with what was
// cancelled; and what a deadline cuts off may be a command that runs by then. When containerd goes away
// over it the shim may have gone on, too, which shows once there is a containerd again; if there is none
// in time, what was started runs until the next command removes it.
func (p *process) start(ctx context.Context) (pid int, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTimeout)
	defer cancel()
	since := uptime()
	started, err := p.tasks.Start(ctx, &tasks.StartRequest{ContainerID: p.id, ExecID: execID})
	if err == nil {
		return int(started.Pid), nil
	}
	for delay := minRetry; status.Code(err) == codes.Unavailable && ctx.Err() == nil; delay = min(2*delay, maxRetry) {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
		}
		got, lost := p.tasks.Get(ctx, &tasks.GetRequest{ContainerID: p.id, ExecID: execID})
		switch s := got.GetProcess().GetStatus(); {
		case status.Code(lost) == codes.Unavailable:
		case lost == nil && (s == task.Status_RUNNING || s == task.Status_STOPPED):
			return int(got.Process.Pid), nil
		default:
			return 0, explain(err)
		}
	}
	if late(ctx) && status.Code(err) != codes.Unavailable {
		p.stuck = since
		return 0, fmt.Errorf("%w (%s to be started): %w", ErrDeadline, startTimeout, ctx.Err())
	}
	return 0, refused(err, p.command)
}

// late says whether the context has ended. containerd and its shim count the same time, and can be a
// moment ahead with the news, in words of their own.
func late(ctx context.Context) bool {
	if end, ok := ctx.Deadline(); ok && time.Until(end) < time.Second/4 {
		<-ctx.Done()
	}
	return ctx.Err() != nil
}

// await waits for the exit code. When the context ends first, the process and all that
// descends from it are killed. A containerd that is away meanwhile may come back: its shims
// live on and know the exit code.
func (p *process) await(ctx context.Context, pid int) (uint32, error) {
	leader, err := nsenter.Pin(pid)
	if err == nil {
		defer leader.Close()
	} else if !errors.Is(err, nsenter.ErrGone) {
		return 0, err
	}
	code, err := p.wait(ctx)
	if err == nil || ctx.Err() == nil || leader == nil {
		return code, err
	}
	if killed := p.end(ctx, leader); killed != nil {
		err = errors.Join(err, killed)
	}
	return 0, err
}

// wait asks for the exit code, again and again if containerd goes away over it.
func (p *process) wait(ctx context.Context) (uint32, error) {
	for delay := minRetry; ; delay = min(2*delay, maxRetry) {
		got, err := p.tasks.Wait(ctx, &tasks.WaitRequest{ContainerID: p.id, ExecID: execID})
		if err == nil {
			return got.ExitStatus, nil
		}
		code := status.Code(err)
		if code == codes.NotFound || p.init.Alive() != nil {
			return 0, fmt.Errorf("its exit code is not known: %w", err)
		}
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			if code == codes.Unavailable {
				return 0, explain(err)
			}
			return 0, ctx.Err()
		}
	}
}
