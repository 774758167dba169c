package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v3"

	"github.com/podreload/podreload/daemonset/state"
	"github.com/podreload/podreload/daemonset/status"
)

func pauseFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "profile", Usage: "all targets of profile `NAME`"},
		&cli.BoolFlag{Name: "all", Usage: "everything on this node"},
	}
}

var pauseCommand = &cli.Command{
	Name:      "pause",
	Usage:     "change nothing more in targets until they are resumed",
	ArgsUsage: "ID... | --profile NAME | --all",
	Description: "What is in place stays, and a container that starts meanwhile has what its image has. An apply that is under way\n" +
		"comes to its end. A pause holds over restarts of podreload and of the node, and for a target it is kept by the names of\n" +
		"pod and container, so also over the container's restarts. What is paused are the daemon and `apply`; `signal` wants\n" +
		"--force. podreload pauses lists what is paused.",
	Flags: pauseFlags(),
	Action: func(ctx context.Context, c *cli.Command) error {
		return eachPause(ctx, c, func(store *state.Store, p state.Pause, _ string) error {
			p.By, p.Since = by(c), time.Now()
			before, err := store.Pause(ctx, p)
			if err != nil {
				return err
			}
			what := p.String()
			if before != nil && before.Pin != "" {
				what += fmt.Sprintf(" stays pinned to revision %d, as it is since %s by %s", before.Revision, before.Since.Format(time.RFC3339), before.By)
			}
			fmt.Fprintf(c.Root().Writer, "paused: %s\n", what)
			return nil
		})
	},
}

var resumeCommand = &cli.Command{
	Name:      "resume",
	Usage:     "take a pause or a rollback back: targets get what etcd says now",
	ArgsUsage: "ID... | --profile NAME | --all",
	Description: "Each pause is taken back as it was given: that of the node by --all, that of a profile by --profile. It is no error\n" +
		"if there was none. ID may also be the full namespace/pod/container of what is paused and no longer runs; podreload\n" +
		"pauses lists it.",
	Flags: pauseFlags(),
	Action: func(ctx context.Context, c *cli.Command) error {
		return eachPause(ctx, c, func(store *state.Store, p state.Pause, profile string) error {
			was, err := store.Resume(ctx, p)
			if err != nil {
				return err
			}
			if was {
				fmt.Fprintf(c.Root().Writer, "resumed: %s\n", p)
			} else {
				logrus.Warnf("%s was not paused", p)
			}
			if p.Target == "" {
				return nil
			}
			held, is, err := store.Paused(profile, p.Target)
			if is {
				logrus.Warnf("%s is still held: %s is paused; %s takes that back", p, held, pauseRow{Pause: held}.resume())
			}
			return err
		})
	},
}

// eachPause does something with each pause that the command line names; profile is that of a target, as far as it is known.
func eachPause(ctx context.Context, c *cli.Command, do func(store *state.Store, p state.Pause, profile string) error) error {
	named := 0
	for _, is := range []bool{c.Bool("all"), c.String("profile") != "", c.Args().Present()} {
		if is {
			named++
		}
	}
	if named != 1 {
		return needsID(c)
	}
	store, err := openStore(c)
	if err != nil {
		return err
	}
	defer store.Close()
	if c.Args().Present() {
		places, err := pausable(ctx, c, store)
		if err != nil {
			return err
		}
		for _, t := range places {
			if err := do(store, state.Pause{Target: t.name}, t.profile); err != nil {
				return err
			}
		}
	} else {
		if err := knownProfile(c); err != nil {
			return err
		}
		if err := do(store, state.Pause{Profile: c.String("profile")}, ""); err != nil {
			return err
		}
	}
	wake(ctx, c)
	return nil
}

// wake has the daemon look at once; without one what was noted counts for the next.
// Also after ^C, since what was noted before it counts.
func wake(ctx context.Context, c *cli.Command) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.Duration("timeout"))
	defer cancel()
	if err := openStatus(c).Wake(ctx); err != nil && !errors.Is(err, status.ErrNoDaemon) {
		logrus.WithError(err).Warn("the daemon was not told, and takes notice of it at its next look")
	}
}

// pausable are the targets that the command line names. What is paused already is known by
// its full name, whether it runs or not: its pod may have gone, or be between two crashes.
func pausable(ctx context.Context, c *cli.Command, store *state.Store) (places []place, err error) {
	before, err := store.Pauses()
	if err != nil {
		return nil, err
	}
	var rest []string
	for _, ref := range c.Args().Slice() {
		if slices.ContainsFunc(before, func(p state.Pause) bool { return p.Target != "" && p.Target == ref }) {
			places = append(places, place{lastProfile(store, ref), ref})
		} else {
			rest = append(rest, ref)
		}
	}
	if len(rest) == 0 {
		return places, nil
	}
	v, err := look(ctx, c)
	if err != nil {
		return nil, err
	}
	targets, err := pickAll(v.targets, rest)
	if err != nil {
		return nil, fmt.Errorf("%w, and podreload pauses what is paused", err)
	}
	for _, t := range targets {
		if t.Container.ID == "" {
			return nil, notFoundf("which container of %s/%s is meant cannot be told now (%s); pause its profile: --profile %s",
				t.Container.Pod.Namespace, t.Container.Pod.Name, t.Reason, t.Profile)
		}
		places = append(places, place{t.Profile, t.Container.String()})
	}
	return places, nil
}

// lastProfile is the profile of a target that may have gone, by its history; empty where that does not tell.
func lastProfile(store *state.Store, target string) string {
	entries, err := store.History(target)
	if err != nil || len(entries) == 0 {
		return "" // it is for what is said only
	}
	return entries[len(entries)-1].Profile
}

// knownProfile warns of a misspelt name; one whose file has just gone can be paused or resumed
// all the same.
func knownProfile(c *cli.Command) error {
	name := c.String("profile")
	if name == "" {
		return nil
	}
	config, err := loadProfiles(c)
	if err != nil {
		return err
	}
	if _, ok := config.Profile(name); !ok {
		logrus.Warnf("there is no profile %q in conf.d; podreload profiles lists them", name)
	}
	return nil
}
