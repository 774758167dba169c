package testenv

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"golang.org/x/sys/unix"
)

// etcdServer is a running server.
type etcdServer interface {
	stop()
	kill()
}

// embedded is an etcd in this process.
type embedded struct{ *embed.Etcd }

func embedEtcd(ctx context.Context, file string) (etcdServer, error) {
	config, err := embed.ConfigFromFile(file)
	if err != nil {
		return nil, err
	}
	e, err := embed.StartEtcd(config)
	if err != nil {
		return nil, err
	}
	select {
	case <-e.Server.ReadyNotify():
		return embedded{e}, nil
	case err = <-e.Err():
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	e.Close()
	return nil, err
}

func (e embedded) stop() { e.Close() }

func (e embedded) kill() {
	e.Server.HardStop()
	e.Close()
}

// process is an etcd of the parts.
type process struct {
	cmd    *exec.Cmd
	exited <-chan struct{}
}

// runEtcd does not wait until the etcd serves: its client does.
func runEtcd(file, log string) (etcdServer, error) {
	p, err := findParts()
	if err != nil {
		return nil, err
	}
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.Command(p.etcd(), "--config-file", file)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL} // with a test that is killed
	exited, err := startAndWait(cmd)
	if err != nil {
		return nil, err
	}
	return process{cmd, exited}, nil
}

func (p process) stop() {
	// Its error is that of a kill, which a process that is there cannot evade.
	_ = end(p.cmd.Process, p.exited, 20*time.Second)
}

// hang stops the process: the kernel accepts connections for it, and nobody answers.
func (p process) hang() (resume func() error, err error) {
	return func() error { return p.cmd.Process.Signal(unix.SIGCONT) }, p.cmd.Process.Signal(unix.SIGSTOP)
}

func (p process) kill() {
	if err := p.cmd.Process.Kill(); err == nil || errors.Is(err, os.ErrProcessDone) {
		<-p.exited
	}
}
