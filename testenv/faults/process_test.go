package faults

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// process is a child that ends with us at the latest.
type process struct {
	cmd    *exec.Cmd
	exited <-chan struct{} // closed when it has been collected
}

// own are the children that have somebody who waits for them. Names do not tell: a child that
// an agent forked, and that was killed with it before its exec, is called podreload too.
var own = struct {
	sync.Mutex
	pids map[int]bool
}{pids: map[int]bool{}}

// startProcess starts a child. The thread that started it lives as long as it does: PDEATHSIG is
// sent when that thread ends, not when the process does, see prctl(2).
func startProcess(cmd *exec.Cmd) (*process, error) {
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL}
	cmd.WaitDelay = time.Second
	started, exited := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(exited)
		own.Lock()
		err := cmd.Start()
		if err == nil {
			own.pids[cmd.Process.Pid] = true
		}
		own.Unlock()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in cmd.ProcessState
			own.Lock()
			delete(own.pids, cmd.Process.Pid)
			own.Unlock()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return &process{cmd, exited}, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// ended answers whether the child has ended by itself.
func (p *process) ended() error {
	select {
	case <-p.exited:
		return fmt.Errorf("%s has ended by itself: %v", p.cmd.Path, p.cmd.ProcessState)
	default:
		return nil
	}
}

// kill ends the child without a chance to do anything.
func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.exited
	return nil
}

// stop asks the child to end, and says how that went.
func (p *process) stop(patience time.Duration) error {
	if err := p.cmd.Process.Signal(unix.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.exited:
	case <-time.After(patience):
		return errors.Join(fmt.Errorf("%s does not end on SIGTERM", p.cmd.Path), p.kill())
	}
	if !p.cmd.ProcessState.Success() {
		return fmt.Errorf("%s ended with %v", p.cmd.Path, p.cmd.ProcessState)
	}
	return nil
}
