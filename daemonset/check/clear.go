package check

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// clearTimeout bounds the clearing away of one twin.
const clearTimeout = 10 * time.Second

// clear takes away all that there is of a twin. What cannot be removed stays for the
// next Sweep.
func (t *twin) clear(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, clearTimeout)
	defer cancel()
	var errs []error
	if t.init != nil {
		errs = append(errs, t.kill(ctx), t.init.Close())
	}
	if t.said != nil {
		t.said.finish()
	}
	errs = append(errs, t.c.removeMade(ctx, t.binary, t.cgroup, t.delete()))
	errs = append(errs, t.c.node.do(func() error {
		for _, m := range slices.Backward(t.mounts) {
			if err := unix.Unmount(m, unix.MNT_DETACH); err != nil {
				return fmt.Errorf("unmount %s: %w", m, err)
			}
		}
		// Not its contents: if anything is in it something is mounted still.
		if err := os.Remove(t.dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	}))
	_, err := collect()
	if err := errors.Join(append(errs, err)...); err != nil {
		return fmt.Errorf("clear the twin %s away: %w", t.id, err)
	}
	return nil
}

// kill ends the init, and with it all of its PID namespace.
func (t *twin) kill(ctx context.Context) error {
	if t.ended {
		return nil
	}
	if err := t.init.Signal(unix.SIGKILL); err != nil {
		return err
	}
	if err := t.init.Wait(ctx); err != nil {
		disown(t.init.Pid()) // to whoever collects
		return fmt.Errorf("the twin's process %d does not end: %w", t.init.Pid(), err)
	}
	_, err := t.reap()
	return err
}

// delete are the arguments that have the runtime delete the twin; nil where there is no
// need of it: what a cgroup and a tmpfs hold goes with them.
func (t *twin) delete() []string {
	if !t.systemd {
		return nil
	}
	return append(t.global(), "delete", "--force", t.id)
}

// removeMade removes what a runtime has made of a twin besides mounts. With systemd it is
// asked to, since it is systemd that keeps a unit for the cgroup.
func (c *Checker) removeMade(ctx context.Context, binary, path string, remove []string) error {
	if path == "" {
		return nil
	}
	var errs []error
	if remove != nil {
		null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer null.Close()
		if err := c.run(ctx, binary, call{args: remove, output: null}); err != nil && !errors.Is(err, errExit) {
			errs = append(errs, err)
		}
	}
	errs = append(errs, c.node.do(func() error { return findCgroup(path).remove(ctx) }))
	return errors.Join(errs...)
}
