package main

import (
	"context"
	"io"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v3"
)

// newApp is the command line: the global flags, which stand before the
// command, and the commands.
func newApp(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:      "podreload",
		Usage:     "reloads servers in pods when their keys in etcd change",
		ArgsUsage: "COMMAND",
		Version:   version,
		Writer:    stdout,
		ErrWriter: stderr,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "config", Aliases: []string{"c"}, Value: "/etc/podreload/podreload.toml", Sources: cli.EnvVars("PODRELOAD_CONFIG"),
				Usage: "`FILE` with defaults for these flags, by their long names; a missing default file is no error"},
			&cli.StringFlag{Name: "runtime-endpoint", Aliases: []string{"r"}, Value: "unix:///run/containerd/containerd.sock", Sources: cli.EnvVars("CONTAINER_RUNTIME_ENDPOINT"),
				Usage: "containerd's `SOCKET`"},
			&cli.StringFlag{Name: "containerd-namespace", Value: "k8s.io", Sources: cli.EnvVars("CONTAINERD_NAMESPACE"),
				Usage: "containerd `NAMESPACE` that holds the pods"},
			&cli.StringSliceFlag{Name: "endpoints", Value: []string{"127.0.0.1:2379"}, Sources: cli.EnvVars("ETCDCTL_ENDPOINTS"),
				Usage: "etcd's `ADDRESSES`, separated by commas"},
			&cli.StringFlag{Name: "cacert", Sources: cli.EnvVars("ETCDCTL_CACERT"), Usage: "`FILE` with the CA that etcd's certificate is checked with"},
			&cli.StringFlag{Name: "cert", Sources: cli.EnvVars("ETCDCTL_CERT"), Usage: "`FILE` with the client certificate for etcd"},
			&cli.StringFlag{Name: "key", Sources: cli.EnvVars("ETCDCTL_KEY"), Usage: "`FILE` with the key of the client certificate"},
			&cli.StringFlag{Name: "user", Sources: cli.EnvVars("ETCDCTL_USER"), Usage: "etcd `USER[:PASSWORD]`; the password better by --password-file or ETCDCTL_PASSWORD"},
			&cli.StringFlag{Name: "password-file", Usage: "`FILE` whose first line is etcd's password"},
			&cli.StringFlag{Name: "confdir", Value: "/etc/podreload", Usage: "`DIR` with conf.d and templates"},
			&cli.StringFlag{Name: "state", Value: "/run/podreload", Usage: "`DIR` with locks and records"},
			&cli.DurationFlag{Name: "timeout", Aliases: []string{"t"}, Value: 10 * time.Second, Usage: "longest `TIME` for each single wait: connect, lock, crossing, proof"},
			&cli.BoolFlag{Name: "debug", Aliases: []string{"D"}, Usage: "log what is done in detail"},
			&cli.StringFlag{Name: "log-format", Value: "text", Usage: "`FORMAT` of the log on stderr: text or json"},
		},
		Commands: []*cli.Command{
			daemonCommand, psCommand, podsCommand, profilesCommand, inspectCommand, renderCommand, diffCommand,
			applyCommand, signalCommand, infoCommand, versionCommand,
		},
		Suggest:               true,
		EnableShellCompletion: true,
		ConfigureShellCompletionCommand: func(c *cli.Command) {
			c.Hidden = false
			c.Usage = "print the completion script of bash, zsh, fish or pwsh"
		},
		UseShortOptionHandling: true,
		HideHelpCommand:        true,
		Before:                 before,
		Action: func(_ context.Context, c *cli.Command) error {
			if c.Args().Present() {
				return usagef("no command %q; see podreload --help", c.Args().First())
			}
			return cli.ShowRootCommandHelp(c)
		},
		OnUsageError: func(_ context.Context, _ *cli.Command, err error, _ bool) error {
			return usagef("%w; see podreload --help", err)
		},
		ExitErrHandler: func(context.Context, *cli.Command, error) {}, // exitCode says it, once
	}
}

// before completes the flags from the file and sets up the log.
func before(ctx context.Context, c *cli.Command) (context.Context, error) {
	if err := completeFlags(c); err != nil {
		return ctx, &codeError{code: exitUsage, err: err}
	}
	logrus.SetOutput(c.ErrWriter)
	if c.Bool("debug") {
		logrus.SetLevel(logrus.DebugLevel)
	}
	switch f := c.String("log-format"); f {
	case "text":
		logrus.SetFormatter(&logrus.TextFormatter{DisableColors: true, FullTimestamp: true})
	case "json":
		logrus.SetFormatter(&logrus.JSONFormatter{})
	default:
		return ctx, usagef("--log-format %q: it is text or json", f)
	}
	if c.Duration("timeout") <= 0 {
		return ctx, usagef("--timeout %s: it must be more than zero, such as 10s", c.Duration("timeout"))
	}
	return ctx, nil
}

// noArgs and someArgs say it when a command is called with the wrong number of
// arguments.
func noArgs(c *cli.Command) error {
	if c.Args().Present() {
		return usagef("podreload %s takes no arguments, but got %q", c.Name, c.Args().First())
	}
	return nil
}
