package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/podreload/podreload/daemonset/template"
)

// completeTimeout bounds the wait of somebody who pressed the tab key.
const completeTimeout = 2 * time.Second

// complete offers the values that a command can take: profiles behind
// --profile, else targets where the command takes IDs, beside flags. What
// cannot be read is not offered; this is no place for errors.
func complete(ctx context.Context, c *cli.Command) {
	cli.DefaultCompleteWithFlags(ctx, c)
	switch {
	case len(os.Args) > 2 && os.Args[len(os.Args)-2] == "--profile": // the last argument asks for this
		config, err := template.Load(c.String("confdir"))
		if err != nil {
			return
		}
		for _, p := range config.Profiles {
			fmt.Fprintln(c.Root().Writer, p.Name)
		}
	case c.ArgsUsage != "":
		ctx, cancel := context.WithTimeout(ctx, completeTimeout)
		defer cancel()
		v, err := look(ctx, c)
		if err != nil {
			return
		}
		for _, t := range v.targets {
			if t.Container.ID != "" {
				fmt.Fprintf(c.Root().Writer, "%s:%s\n", t.Container, t.Profile)
			}
		}
	}
}
