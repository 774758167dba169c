package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v3"

	"github.com/podreload/podreload/daemonset/agent"
	"github.com/podreload/podreload/daemonset/check"
	"github.com/podreload/podreload/daemonset/exec"
	"github.com/podreload/podreload/daemonset/pods"
	"github.com/podreload/podreload/daemonset/turns"
)

// applier is an agent.Applier with what it works with, open until Close.
type applier struct {
	*agent.Applier
	pods   *pods.Client
	opened []io.Closer
}

// openApplier opens what an apply needs. The caller closes it.
func openApplier(ctx context.Context, c *cli.Command) (_ *applier, err error) {
	a := &applier{Applier: &agent.Applier{Timeout: c.Duration("timeout"), By: by(c), Log: logrus.StandardLogger()}}
	defer func() {
		if err != nil {
			a.Close()
		}
	}()
	if a.Store, err = openStore(c); err != nil {
		return nil, err
	}
	a.opened = append(a.opened, a.Store)
	if a.Shim, err = sealShim(); err != nil {
		return nil, err
	}
	a.opened = append(a.opened, a.Shim)
	checker, err := openChecker(ctx, c)
	if err != nil {
		return nil, err
	}
	a.Checker, a.opened = checker, append(a.opened, checker)
	if a.pods, err = openPods(c); err != nil {
		return nil, err
	}
	a.opened = append(a.opened, a.pods)
	a.Exec, err = openExec(c, a.pods)
	return a, err
}

// Close closes all in turn, the last first.
func (a *applier) Close() {
	for _, part := range slices.Backward(a.opened) {
		if err := part.Close(); err != nil {
			logrus.Warn(err)
		}
	}
}

// by is who changes things, as logs and histories say it.
func by(c *cli.Command) string {
	if c.Name == "daemon" {
		return c.Name
	}
	who := fmt.Sprintf("%s by user %d", c.Name, os.Getuid())
	if name := os.Getenv("SUDO_USER"); name != "" {
		who += " (sudo by " + name + ")"
	}
	return who
}

// openExec opens what runs reload commands. Their output comes through FIFOs, which
// containerd's shims open by their paths.
func openExec(c *cli.Command, client *pods.Client) (*exec.Client, error) {
	dir, err := filepath.Abs(c.Root().String("state"))
	if err != nil {
		return nil, err
	}
	return exec.New(client.Containerd(), filepath.Join(dir, "exec"))
}

// openChecker opens the folder for twins, and clears away what a process that was
// killed has left there.
func openChecker(ctx context.Context, c *cli.Command) (*check.Checker, error) {
	dir, err := filepath.Abs(c.Root().String("state"))
	if err != nil {
		return nil, err
	}
	checker, err := check.Open(filepath.Join(dir, "twins"), turns.New(check.AtOnce(), check.Turn), func(err error) { logrus.WithError(err).Warn("a twin is not cleared away whole") })
	if err != nil {
		return nil, err
	}
	if err := checker.Sweep(ctx); err != nil {
		logrus.WithError(err).Warn("what an earlier podreload left is not cleared away whole")
	}
	return checker, nil
}
