package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v3"

	"github.com/podreload/podreload/daemonset/pods"
)

// newApp is the command line: the global flags, which stand before the
// command, and the commands.
func newApp(stdout, stderr io.Writer) *cli.Command {
	app := &cli.Command{
		Name:      "podreload",
		Usage:     "reloads servers in pods when their keys in etcd change",
		UsageText: "podreload [global flags] COMMAND [flags] [ID...]",
		Version:   version,
		Writer:    stdout,
		ErrWriter: stderr,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "config", Local: true, Aliases: []string{"c"}, Value: "/etc/podreload/podreload.toml", Sources: cli.EnvVars("PODRELOAD_CONFIG"),
				Usage: "`FILE` with defaults for these flags, by their long names; a missing default file is no error"},
			&cli.StringFlag{Name: "runtime-endpoint", Local: true, Aliases: []string{"r"}, Value: "unix:///run/containerd/containerd.sock", Sources: cli.EnvVars("CONTAINER_RUNTIME_ENDPOINT"),
				Usage: "containerd's `SOCKET`"},
			&cli.StringFlag{Name: "containerd-namespace", Local: true, Value: "k8s.io", Sources: cli.EnvVars("CONTAINERD_NAMESPACE"),
				Usage: "containerd `NAMESPACE` that holds the pods"},
			&cli.StringFlag{Name: "nri-socket", Local: true, Value: pods.DefaultNRISocket,
				Usage: "`SOCKET` of containerd's NRI, over which the daemon hears of containers before they start; empty: not asked"},
			&cli.StringSliceFlag{Name: "endpoints", Local: true, Value: []string{"127.0.0.1:2379"}, Sources: cli.EnvVars("ETCDCTL_ENDPOINTS"),
				Usage: "etcd's `ADDRESSES`, separated by commas"},
			&cli.StringFlag{Name: "cacert", Local: true, Sources: cli.EnvVars("ETCDCTL_CACERT"), Usage: "`FILE` with the CA that etcd's certificate is checked with; read for each connection, as --cert and --key"},
			&cli.StringFlag{Name: "cert", Local: true, Sources: cli.EnvVars("ETCDCTL_CERT"), Usage: "`FILE` with the client certificate for etcd"},
			&cli.StringFlag{Name: "key", Local: true, Sources: cli.EnvVars("ETCDCTL_KEY"), Usage: "`FILE` with the key of the client certificate"},
			&cli.StringFlag{Name: "user", Local: true, Sources: cli.EnvVars("ETCDCTL_USER"), Usage: "etcd `USER[:PASSWORD]`; the password better by --password-file or ETCDCTL_PASSWORD"},
			&cli.StringFlag{Name: "password-file", Local: true, Usage: "`FILE` whose first line is etcd's password; read again when etcd no longer takes it"},
			&cli.StringFlag{Name: "node-name", Local: true, Sources: cli.EnvVars("NODE_NAME"), Usage: "this node's `NAME` for templates; default: its host name"},
			&cli.StringFlag{Name: "confdir", Local: true, Value: "/etc/podreload", Usage: "`DIR` with conf.d and templates"},
			&cli.StringFlag{Name: "state", Local: true, Value: "/run/podreload", Usage: "`DIR` with locks, records and the twins of checks; not on an overlay filesystem"},
			&cli.StringFlag{Name: "root", Local: true, Value: "/var/lib/podreload", Usage: "`DIR` with what is kept over the node's boots: pauses, histories, what was last good"},
			&cli.DurationFlag{Name: "timeout", Local: true, Aliases: []string{"t"}, Value: 10 * time.Second, Validator: validTimeout,
				Usage: "longest `TIME` for each single wait: connect, lock, crossing, proof"},
			&cli.BoolFlag{Name: "debug", Local: true, Aliases: []string{"D"}, Usage: "log what is done in detail"},
			&cli.StringFlag{Name: "log-format", Local: true, Value: "text", Validator: validLogFormat,
				Usage: "`FORMAT` of the log on stderr: text or json"},
		},
		Commands: []*cli.Command{
			daemonCommand, psCommand, podsCommand, profilesCommand, inspectCommand, renderCommand, diffCommand,
			checkCommand, checkConfigCommand, applyCommand, signalCommand, pauseCommand, resumeCommand, pausesCommand, historyCommand, rollbackCommand,
			statusCommand, eventsCommand, infoCommand, versionCommand,
		},
		Suggest:                true,
		EnableShellCompletion:  true,
		UseShortOptionHandling: true,
		ConfigureShellCompletionCommand: func(c *cli.Command) {
			c.Hidden = false
			c.Usage = "print the completion script of bash, zsh, fish or pwsh"
			c.ArgsUsage = "SHELL"
			c.Action = func(_ context.Context, c *cli.Command) error {
				return usagef("completion of which shell? bash, zsh, fish or pwsh, not %q", c.Args().First())
			}
			c.OnUsageError = usageError
		},
		Before: before,
		Action: func(_ context.Context, c *cli.Command) error {
			if c.Args().Present() {
				return usagef("no command %q; see podreload --help", c.Args().First())
			}
			return cli.ShowRootCommandHelp(c)
		},
		OnUsageError:   usageError,
		ExitErrHandler: func(context.Context, *cli.Command, error) {}, // exitCode says it, once
	}
	for _, c := range app.Commands {
		if strings.HasPrefix(c.ArgsUsage, "ID") {
			c.Description = strings.TrimSpace(c.Description + "\n\n" + idUsage)
		}
		c.UsageText = strings.TrimSpace("podreload [global flags] " + c.Name + " [flags] " + c.ArgsUsage)
		c.OnUsageError, c.Before, c.ShellComplete = usageError, checkOutput, complete
	}
	return app
}

// The library's word for `help` of what is no command is a bare name that may be far off.
func init() {
	cli.SuggestCommand = func([]*cli.Command, string) string { return "podreload --help lists the commands" }
}

// before completes the flags from the file and sets up the log.
func before(ctx context.Context, c *cli.Command) (context.Context, error) {
	if err := completeFlags(c); err != nil {
		return ctx, &codeError{code: exitUsage, err: err}
	}
	completeFromConfd(c)
	logrus.SetOutput(c.ErrWriter)
	if c.Bool("debug") {
		logrus.SetLevel(logrus.DebugLevel)
	}
	logrus.SetFormatter(&logrus.TextFormatter{DisableColors: true, FullTimestamp: true})
	if c.String("log-format") == "json" {
		logrus.SetFormatter(&logrus.JSONFormatter{})
	}
	return ctx, nil
}

func validTimeout(d time.Duration) error {
	if d <= 0 {
		return errors.New("it must be more than zero, such as 10s")
	}
	return nil
}

func validLogFormat(s string) error {
	if s != "text" && s != "json" {
		return errors.New("it is text or json")
	}
	return nil
}

// usageError is what the flag parser found, with the way to help. That a global
// flag stands behind the command is what people coming from kubectl get wrong.
func usageError(_ context.Context, c *cli.Command, err error, _ bool) error {
	_, name, unknown := strings.Cut(err.Error(), "not defined: -")
	global := slices.ContainsFunc(c.Root().Flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), name) })
	switch {
	case unknown && global:
		return usagef("--%s is a global flag: it stands before the command, as in podreload --%s … %s", name, name, c.Name)
	case unknown:
		return usagef("no flag --%s; see %s --help", strings.TrimLeft(name, "-"), c.FullName())
	}
	return usagef("%w; see %s --help", err, c.FullName())
}

// noArgs says it when a command that takes no arguments gets some.
func noArgs(c *cli.Command) error {
	if c.Args().Present() {
		return usagef("podreload %s takes no arguments, but got %q", c.Name, c.Args().First())
	}
	return nil
}
