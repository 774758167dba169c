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

	"github.com/podreload/podreload/nsenter"
)

const (
	// removeTimeout bounds the deletion of a process, and deleteTimeout one try of it: a shim waits
	// 2 s (1.6) to 10 s (2.x) for output that somebody holds open, or until it is told to be quick.
	removeTimeout = 15 * time.Second
	deleteTimeout = time.Second
)

// remove deletes the process, whatever became of it, in its own time. It is no error that there is
// none.
func (p *process) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
	defer cancel()
	var err error
	for _, timeout := range []time.Duration{deleteTimeout, deleteTimeout, removeTimeout} {
		if err = p.delete(ctx, timeout); err == nil || errors.Is(err, ErrAway) {
			return err
		}
		if ended := p.endLeft(ctx); ended != nil {
			return fmt.Errorf("%w: %w", ended, err)
		}
	}
	return err
}

func (p *process) delete(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, err := p.tasks.DeleteProcess(ctx, &tasks.DeleteProcessRequest{ContainerID: p.id, ExecID: execID})
	switch status.Code(err) {
	case codes.OK, codes.NotFound:
		return nil
	}
	return fmt.Errorf("delete the process %s: %w", execID, explain(err))
}

// endLeft kills the process if it runs, and waits until its shim has noticed, which would not
// delete it before.
func (p *process) endLeft(ctx context.Context) error {
	got, err := p.tasks.Get(ctx, &tasks.GetRequest{ContainerID: p.id, ExecID: execID})
	if status.Code(err) == codes.NotFound {
		return nil
	}
	if err != nil {
		return explain(err)
	}
	if s := got.Process.GetStatus(); s == task.Status_CREATED || s == task.Status_STOPPED {
		return nil
	}
	leader, err := nsenter.Pin(int(got.Process.GetPid()))
	if err == nil {
		defer leader.Close()
		err = p.end(ctx, leader)
	}
	if err != nil && !errors.Is(err, nsenter.ErrGone) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	if _, err := p.tasks.Wait(ctx, &tasks.WaitRequest{ContainerID: p.id, ExecID: execID}); err != nil && status.Code(err) != codes.NotFound {
		return explain(err)
	}
	return nil
}
