package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v3"
	"sigs.k8s.io/yaml"

	"github.com/podreload/podreload/daemonset"
)

var eventsCommand = &cli.Command{
	Name:  "events",
	Usage: "what happened on the node, as its daemon saw it",
	Description: "KIND is Change, Turn (a target stands otherwise: a pause is one to Paused), Start, Config (conf.d), Etcd, Runtime\n" +
		"(containerd) or Daemon; of Etcd and Runtime STATE is Stale (it went away) or Live (it is back). The daemon keeps the last\n" +
		"1000. -o json prints one object a line. Exits with 1 if no daemon runs, or if it ends while it is followed.",
	Flags: append(formatFlags("table"),
		&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on with what happens from now on"},
		&cli.IntFlag{Name: "last", Aliases: []string{"n"}, Value: 50, Validator: validLast, Usage: "at most the last `N` of what happened"},
		&cli.StringFlag{Name: "since", Validator: validSince, Usage: "only what happened after `TIME`: 10m ago, or 2026-01-02T15:04:05Z"},
	),
	Action: func(ctx context.Context, c *cli.Command) error {
		if err := noArgs(c); err != nil {
			return err
		}
		var since time.Time
		if text := c.String("since"); text != "" {
			since, _ = parseSince(text, time.Now()) // validated
		}
		follow := c.Bool("follow")
		if !follow {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, c.Duration("timeout"))
			defer cancel()
		}
		w := c.Root().Writer
		headed := c.String("output") != "table"
		header := func() (err error) { // once it is known that somebody answers
			if !headed {
				headed = true
				_, err = fmt.Fprintf(w, eventLine, "TIME", "KIND", "STATE", "TARGET", "PROFILE", "REASON")
			}
			return err
		}
		err := openStatus(c).Events(ctx, since, c.Int("last"), follow, func(e daemonset.Event) error {
			return errors.Join(header(), printEvent(c, w, e))
		})
		if err == nil {
			err = header()
		}
		if err == nil && follow {
			return errors.New("the daemon has ended, or said no more")
		}
		return noDaemon(c, err)
	},
}

// eventLine has columns of a fixed width: what is to come is not known.
const eventLine = "%-20s   %-7s   %-10s   %-40s   %-12s   %s\n"

func printEvent(c *cli.Command, w io.Writer, e daemonset.Event) error {
	switch c.String("output") {
	case "json":
		return json.NewEncoder(w).Encode(e)
	case "yaml":
		text, err := yaml.Marshal(e)
		if err == nil {
			_, err = fmt.Fprintf(w, "---\n%s", text)
		}
		return err
	case "go-template":
		return printTemplate(w, c.String("template"), e)
	}
	target := ""
	if e.Pod != "" {
		target = nameOf(e.Namespace, e.Pod, e.Name)
	}
	_, err := fmt.Fprintf(w, eventLine, e.Time.UTC().Format(time.RFC3339), line(string(e.Kind)), line(string(e.State)), line(target), line(e.Profile), line(e.Reason))
	return err
}

func validLast(n int) error {
	if n < 0 {
		return errors.New("it must be 0 or more")
	}
	return nil
}

func validSince(text string) error {
	_, err := parseSince(text, time.Now())
	return err
}

func parseSince(text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, errors.New("it is how long ago, such as 10m, or a time, such as 2026-01-02T15:04:05Z")
	}
	return t, nil
}
