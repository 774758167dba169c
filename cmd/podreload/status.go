package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/state"
	"github.com/podreload/podreload/daemonset/status"
)

var statusCommand = &cli.Command{
	Name:  "status",
	Usage: "the node at a glance, as its daemon sees it",
	Description: "What the daemon follows and whether that answers, the targets of each profile by state, what is paused, and each\n" +
		"target that needs attention. Exits with 1 if no daemon runs; podreload ps and podreload info work without one.",
	Flags: formatFlags("table"),
	Action: func(ctx context.Context, c *cli.Command) error {
		if err := noArgs(c); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, c.Duration("timeout"))
		defer cancel()
		report, err := openStatus(c).Status(ctx)
		if err != nil {
			return noDaemon(c, err)
		}
		pauses, err := readPauses(c)
		if err != nil {
			return err
		}
		g := glance{Report: report, Pauses: pauseRows(pauses, placesOf(report.Targets))}
		return print(c, g, g.table(time.Now()))
	},
}

// glance is what the daemon says, and what people have said.
type glance struct {
	status.Report
	Pauses []pauseRow `json:"pauses"`
}

func placesOf(targets []daemonset.TargetView) []place {
	var all []place
	for _, t := range targets {
		all = append(all, place{t.Profile, nameOf(t.Namespace, t.Pod, t.Name)})
	}
	return all
}

func openStatus(c *cli.Command) *status.Client { return status.NewClient(c.Root().String("state")) }

// noDaemon says what to do where nobody answers.
func noDaemon(c *cli.Command, err error) error {
	dir := c.Root().String("state")
	nobody, late := errors.Is(err, status.ErrNoDaemon), errors.Is(err, context.DeadlineExceeded)
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w; run as root", err)
	}
	if !nobody && !late {
		return err
	}
	switch daemon, runs := running(c); {
	case runs && nobody:
		return fmt.Errorf("process %d is the daemon of %s, but nobody listens at %s there: restart it", daemon.Pid, dir, status.SocketName)
	case runs:
		return fmt.Errorf("%w; it is process %d: its log may say why", err, daemon.Pid)
	case nobody:
		return fmt.Errorf("%w (%s): start podreload daemon, or name the --state that it has; podreload ps shows how targets stood last", err, dir)
	}
	return err
}

// running is the daemon as it has noted itself, where that can be read.
func running(c *cli.Command) (state.Claim, bool) {
	store, err := openFolders(c)
	if err != nil {
		return state.Claim{}, false
	}
	defer store.Close()
	return store.Running()
}

func (r glance) table(now time.Time) table {
	t := table{header: []string{"WHAT", "STATE", "DETAIL"}}
	add := func(what, state, detail string) { t.rows = append(t.rows, []string{what, state, detail}) }
	add("daemon", "runs", fmt.Sprintf("%s, process %d, since %s", r.Version, r.Pid, ago(r.Since, now)))
	answers := func(what, where, away string) {
		if away != "" {
			add(what, "away", away)
			return
		}
		add(what, "answers", where)
	}
	answers("containerd", r.RuntimeEndpoint, r.RuntimeAway)
	if len(r.Feeds) == 0 {
		add("etcd", "unused", strings.Join(r.Endpoints, ",")+"; no target reads from it")
	} else {
		answers("etcd", strings.Join(r.Endpoints, ","), r.EtcdAway)
	}
	add("targets", strconv.Itoa(len(r.Targets)), counted(r.Targets))
	for _, problem := range r.Problems {
		add("conf.d", string(daemonset.Invalid), problem)
	}
	for _, p := range r.Profiles {
		of := slices.DeleteFunc(slices.Clone(r.Targets), func(t daemonset.TargetView) bool { return t.Profile != p.Name })
		detail := p.Reason
		for _, f := range r.Feeds {
			if f.Profile == p.Name && f.Reason != "" && detail == "" {
				detail = f.Reason
			}
		}
		state := counted(of)
		if p.Reason != "" && state == "" {
			state = string(daemonset.Invalid) // whom its select means cannot be told
		}
		add("profile "+p.Name, state, detail)
	}
	for _, p := range r.Pauses {
		detail := "by " + p.By + ", " + ago(p.Since, now)
		if p.Pin != "" {
			detail += ", to stay at revision " + revision(p.Revision)
		}
		add("paused: "+p.String(), "holds "+howMany(p.Targets), detail+"; "+p.resume()+" takes it back")
	}
	for _, one := range r.Targets {
		if !needsAttention(one) {
			continue
		}
		detail := one.Reason
		if !one.Behind.IsZero() {
			detail = "behind since " + ago(one.Behind, now) + ": " + detail
		}
		add(nameOf(one.Namespace, one.Pod, one.Name), string(one.State), detail)
	}
	return t
}

// needsAttention also has what a person has paused: it is easily forgotten.
func needsAttention(t daemonset.TargetView) bool {
	return t.State != daemonset.Live && t.State != daemonset.Applied
}

// counted is how many targets are in each state.
func counted(targets []daemonset.TargetView) string {
	count := map[daemonset.State]int{}
	for _, t := range targets {
		count[t.State]++
	}
	var words []string
	for state, n := range count {
		words = append(words, fmt.Sprintf("%s %d", state, n))
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}

// nameOf names a target as commands take it.
func nameOf(namespace, pod, container string) string {
	return strings.TrimSuffix(namespace+"/"+pod+"/"+container, "/")
}
