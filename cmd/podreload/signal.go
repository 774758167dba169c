package main

import (
	"context"
	"fmt"
	"syscall"

	"github.com/urfave/cli/v3"

	"github.com/podreload/podreload/daemonset/agent"
	"github.com/podreload/podreload/daemonset/verify"
)

var signalCommand = &cli.Command{
	Name:      "signal",
	Usage:     "signal the server of targets; write nothing",
	ArgsUsage: "ID...",
	Description: "The signal is sent inside the container's PID namespace, to the process that the profile means.\n" +
		"A reload is proved as apply proves it. A signal that the server does not catch is never sent.",
	Flags: []cli.Flag{
		&cli.StringFlag{Name: "signal", Aliases: []string{"s"}, Usage: "`SIGNAL`, such as HUP; unset: the one that reloads"},
		&cli.BoolFlag{Name: "force", Usage: "send a signal that neither the preset nor the profile's signals list"},
	},
	Action: func(ctx context.Context, c *cli.Command) error {
		if !c.Args().Present() {
			return needsID(c)
		}
		var signal syscall.Signal
		if name := c.String("signal"); name != "" {
			var err error
			if signal, err = verify.Signal(name); err != nil {
				return usagef("%w", err)
			}
		}
		if err := confdForbids(c); err != nil {
			return err
		}
		v, err := look(ctx, c)
		if err != nil {
			return err
		}
		targets, err := pickAll(v.targets, c.Args().Slice())
		if err != nil {
			return err
		}
		applier, err := openApplier(ctx, c)
		if err != nil {
			return err
		}
		defer applier.Close()
		var jobs []agent.Job
		var errs []error
		for _, t := range targets {
			p, _ := v.config.Profile(t.Profile)
			job, err := agent.NewJob(t, p)
			if err != nil {
				return err
			}
			process, err := applier.Signal(ctx, job, signal, c.Bool("force"))
			if process != nil {
				fmt.Fprintf(c.Root().Writer, "%s %s pid %d (%d inside)\n", id(c, t.Container.ID), t.Container, process.Pid, process.NSPid)
			}
			jobs, errs = append(jobs, job), append(errs, err)
		}
		return worst(jobs, errs)
	},
}
