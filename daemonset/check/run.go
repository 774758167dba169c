package check

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/nsenter"
)

// run takes a twin from its folders to its verdict: what was said, or why not.
func (t *twin) run(ctx context.Context, trial Trial, target *nsenter.Process, command Command) (string, error) {
	if err := t.create(ctx); err != nil {
		return "", t.notMade(ctx, err, command)
	}
	// The twin has joined namespaces by the target's pid: whose they are is known only
	// if it has not ended by now.
	if err := target.Alive(); err != nil {
		return "", err
	}
	for _, step := range []func(context.Context, *nsenter.Process) error{trial.Write, trial.Verify} {
		if err := step(ctx, t.init); err != nil {
			if t.init.Alive() != nil && target.Alive() == nil {
				return "", t.late(ctx, fmt.Errorf("%w: the twin ended before %s was run in it", ErrKilled, command))
			}
			return "", callersError{err}
		}
	}
	t.said.forget() // what the runtime had to say is not the command's
	begun := time.Now()
	fifo, err := t.start(ctx)
	if err != nil {
		return "", fmt.Errorf("start the twin: %w", t.late(ctx, err))
	}
	defer fifo.Close()
	limited := ctx
	if command.Timeout > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, command.Timeout)
		defer cancel()
	}
	if err := t.init.Wait(limited); err != nil {
		return "", t.late(limited, fmt.Errorf("%s has not ended after %s", command, time.Since(begun).Round(time.Millisecond)))
	}
	status, err := t.reap()
	if err != nil {
		return "", fmt.Errorf("the exit status of %s is not known: %w", command, err)
	}
	said := t.said.finish()
	if status.Exited() && status.ExitStatus() == 0 {
		return shown(trial, said), nil
	}
	return "", t.judge(trial, command, status, said)
}

// judge says what it means that a command did not pass.
func (t *twin) judge(trial Trial, command Command, status unix.WaitStatus, said string) error {
	exit := status.ExitStatus()
	if status.Signaled() {
		exit = 128 + int(status.Signal())
	}
	var memory, pids, full bool
	err := t.c.node.do(func() error {
		group := findCgroup(t.cgroup)
		memory, pids = group.outOfMemory(), group.outOfPids()
		full = t.full()
		return nil
	})
	switch {
	case err != nil:
		return err
	case memory:
		return fmt.Errorf("%w: %s ran out of memory, within the limits of the container and its pod (exit code %d)", ErrKilled, command, exit)
	case pids:
		return fmt.Errorf("%w: %s started more processes than the container, or a check (%d), may have", ErrKilled, command, maxPids)
	case full && !t.scarce:
		return fmt.Errorf("%w: %s changed more than %d MiB of the container's files; a large file that it opens to append to is copied whole",
			ErrUnsupported, command, overhead>>20)
	case full, strings.Contains(strings.ToLower(said), unix.ENOSPC.Error()): // what does not fit, overlayfs takes away again
		return t.noRoom(command, shown(trial, said))
	case status.Signaled() && status.Signal() == unix.SIGKILL: // by who looks for memory in a way of their own, as earlyoom
		return fmt.Errorf("%w: somebody killed %s (SIGKILL)", ErrKilled, command)
	case status.Signaled() && said == "":
		said = fmt.Sprintf("killed by signal %d (%s)", status.Signal(), status.Signal())
	}
	return &Refusal{Command: command, Exit: exit, Output: shown(trial, said)}
}

// noRoom is no verdict, and none on the container either: there may be more another time.
func (t *twin) noRoom(command Command, said string) error {
	var why string
	if t.scarce {
		why = ", half of what the container and its pod leave it below their memory limits"
	}
	return fmt.Errorf("there is no room for a trial: %s may take %d MiB%s; a large file that it opens to append to is copied whole: %s",
		command, t.size>>20, why, daemonset.OneLine(said))
}

// full says whether the twin's tmpfs is.
func (t *twin) full() bool {
	var fs unix.Statfs_t
	return unix.Statfs(t.dir, &fs) == nil && (fs.Bavail == 0 || fs.Ffree == 0)
}

// notMade says why the runtime could not make the twin.
func (t *twin) notMade(ctx context.Context, err error, command Command) error {
	if !errors.Is(err, errExit) {
		return fmt.Errorf("make a twin: %w", t.late(ctx, err))
	}
	// In every version of runc these words stand in its message, if with backslashes.
	said := strings.ReplaceAll(daemonset.OneLine(t.said.finish()), `\"`, `"`)
	if i := strings.Index(said, fmt.Sprintf("exec: %q", command.Args[0])); i >= 0 {
		return &Refusal{Command: command, Exit: 127, Output: "not run in the container: " + strings.TrimSuffix(said[i:], `"`)}
	}
	if volume, ok := overlaid(said); ok {
		return fmt.Errorf("make a twin: %w: the kernel puts no overlay over the volume at %s: %s", ErrUnsupported, volume, said)
	}
	return fmt.Errorf("make a twin: %w: %s", err, said)
}

// overlaid finds in runc's message the volume over which it could not mount an overlay, since its
// filesystem takes none, or the kernel has none.
func overlaid(said string) (volume string, ok bool) {
	_, after, found := strings.Cut(said, `error mounting "overlay" to rootfs at "`)
	volume, why, _ := strings.Cut(after, `"`)
	for _, errno := range []error{unix.EINVAL, unix.ENODEV, unix.EOPNOTSUPP} {
		ok = ok || strings.Contains(why, ": "+errno.Error())
	}
	return volume, found && ok
}

// late gives an error the reason for which the context ended, if it has.
func (t *twin) late(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", ErrDeadline, err)
	}
	return ctx.Err()
}
