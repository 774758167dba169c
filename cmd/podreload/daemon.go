package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v3"

	"github.com/podreload/podreload/daemonset/agent"
	"github.com/podreload/podreload/daemonset/check"
	"github.com/podreload/podreload/daemonset/pods"
	"github.com/podreload/podreload/daemonset/status"
	"github.com/podreload/podreload/daemonset/template"
)

var daemonCommand = &cli.Command{
	Name:  "daemon",
	Usage: "run the node agent until it is told to stop",
	Description: "Follows etcd and containerd, and keeps every chosen container as its profile says. Ends on SIGTERM or ^C;\n" +
		"reloads that are owed stay noted below --state. Changes of conf.d and templates are followed.",
	Flags: []cli.Flag{
		&cli.DurationFlag{Name: "resync", Value: time.Minute,
			Usage: "`TIME` after which files inside are compared though nothing changed, to repair drift"},
		&cli.StringFlag{Name: "listen", Usage: "`ADDRESS` that serves /metrics, /healthz and /readyz, such as :10463; default: none"},
		&cli.BoolFlag{Name: "pprof", Usage: "serve Go's profiler at the socket below --state"},
	},
	Action: func(ctx context.Context, c *cli.Command) error {
		if err := noArgs(c); err != nil {
			return err
		}
		if c.Duration("resync") < time.Second {
			return usagef("--resync %s: it must be 1s or more", c.Duration("resync"))
		}
		if c.Duration("resync") >= check.Remember {
			logrus.Warnf("--resync %s: that a server is live with its files is known for %s, and then again at the next look; between them "+
				"containers start with what they have; a shorter --resync mends it", c.Duration("resync"), check.Remember)
		}
		if err := confdForbids(c); err != nil {
			return err
		}
		config, err := loadProfiles(c)
		if err != nil {
			return err
		}
		keepBelowMemoryLimit()
		// Before all else that is cleared away or begun: from here on nothing of a daemon
		// that was killed holds a lock.
		release, err := claim(ctx, c)
		if err != nil {
			return err
		}
		defer release()
		applier, err := openApplier(ctx, c)
		if err != nil {
			return err
		}
		defer applier.Close()
		applier.Shim.KeepSpare()
		etcd, err := openSource(c)
		if err != nil {
			return err
		}
		defer etcd.Close()

		logrus.WithFields(logrus.Fields{
			"version": version, "profiles": len(config.Profiles), "runtime": c.String("runtime-endpoint"), "etcd": endpoints(c),
		}).Info("podreload runs")
		node := &agent.Agent{
			Containers: applier.pods, Source: etcd, Config: config, Profiles: template.Dir(c.String("confdir")), Applier: applier.Applier,
			Starts: pods.Starts{Client: applier.pods, Socket: c.String("nri-socket")}, Resync: c.Duration("resync"), Log: logrus.StandardLogger(),
		}
		unserve, err := serveStatus(ctx, c, node)
		if err != nil {
			return err
		}
		defer unserve()
		if err := node.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
		logrus.Info("podreload ends; reloads that are owed stay noted")
		return nil
	},
}

// serveStatus lets others see what the agent does, until end is called: that is after the
// agent, so that they see its end, too.
func serveStatus(ctx context.Context, c *cli.Command, node *agent.Agent) (end func(), err error) {
	board := &status.Board{}
	metrics := status.NewMetrics(version, node, agent.Phases)
	server, err := status.Listen(status.Config{
		Build: status.Build{Version: version, RuntimeEndpoint: c.String("runtime-endpoint"), Endpoints: endpoints(c)},
		Dir:   c.Root().String("state"), Listen: c.String("listen"), Pprof: c.Bool("pprof"),
		Node: node, Board: board, Metrics: metrics, Log: logrus.StandardLogger(),
	})
	if err != nil {
		return nil, err
	}
	node.Observer, node.Applier.Tell, node.Applier.Phase = board, board.Event, metrics.Phase
	if at := server.Address(); at != nil {
		logrus.WithField("listen", at.String()).Info("metrics and probes are served")
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var serving sync.WaitGroup
	serving.Go(func() { server.Run(ctx) })
	return func() {
		cancel()
		serving.Wait()
	}, nil
}

// claimTimeout is how long the last daemon of the directories, or what it left, has to
// let go.
const claimTimeout = 3 * time.Second

// claim makes this process the daemon of --state and --root.
func claim(ctx context.Context, c *cli.Command) (release func(), err error) {
	store, err := openFolders(c)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	done, err := store.Daemon(ctx, c.String("runtime-endpoint"))
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return func() {
		done()
		if err := store.Close(); err != nil {
			logrus.Warn(err)
		}
	}, nil
}
