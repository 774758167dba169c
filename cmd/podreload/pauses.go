package main

import (
	"context"
	"strconv"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v3"

	"github.com/podreload/podreload/daemonset/state"
)

// pauseRow is a pause as commands print it.
type pauseRow struct {
	state.Pause
	Targets []string `json:"targets"` // that it holds now; null: not known
}

var pausesCommand = &cli.Command{
	Name:  "pauses",
	Usage: "list what is paused, by whom and since when",
	Description: "The oldest first, also what holds nothing that runs now: a pod that has gone, a profile without one. Each is taken\n" +
		"back as it was given: podreload resume WHAT, --profile NAME or --all. REVISION is that to which a rollback has pinned it.",
	Flags: formatFlags("table"),
	Action: func(ctx context.Context, c *cli.Command) error {
		if err := noArgs(c); err != nil {
			return err
		}
		pauses, err := readPauses(c)
		if err != nil {
			return err
		}
		var running []place
		known := len(pauses) == 0
		if !known {
			v, err := look(ctx, c)
			if known = err == nil; known {
				running = v.places()
			} else {
				logrus.WithError(err).Warn("which targets these hold is not known")
			}
		}
		rows := pauseRows(pauses, running)
		if !known {
			for i := range rows {
				rows[i].Targets = nil
			}
		}
		return print(c, rows, pausesTable(rows, time.Now()))
	},
}

func pausesTable(rows []pauseRow, now time.Time) table {
	t := table{header: []string{"WHAT", "SINCE", "BY", "REVISION", "TARGETS"}}
	for _, r := range rows {
		t.rows = append(t.rows, []string{r.String(), ago(r.Since, now), r.By, revision(r.Revision), howMany(r.Targets)})
	}
	return t
}

// readPauses asks the store itself: what it says counts, whether a daemon runs or not.
func readPauses(c *cli.Command) ([]state.Pause, error) {
	store, err := openStore(c)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	return store.Pauses()
}

// place is a target by what pauses know of it.
type place struct{ profile, name string }

func (v *view) places() []place {
	var all []place
	for _, t := range v.targets {
		all = append(all, place{t.Profile, nameOf(t.Container.Pod.Namespace, t.Container.Pod.Name, t.Container.Name)})
	}
	return all
}

func pauseRows(pauses []state.Pause, running []place) []pauseRow {
	rows := []pauseRow{} // [] in JSON, not null
	for _, p := range pauses {
		row := pauseRow{Pause: p, Targets: []string{}}
		for _, t := range running {
			if p.Covers(t.profile, t.name) {
				row.Targets = append(row.Targets, t.name)
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// howMany is a dash where it is not known.
func howMany(targets []string) string {
	switch {
	case targets == nil:
		return "-"
	case len(targets) == 0:
		return "none"
	}
	return strconv.Itoa(len(targets))
}

// resume is the command that takes it back.
func (r pauseRow) resume() string {
	switch {
	case r.Target != "":
		return "podreload resume " + r.Target
	case r.Profile != "":
		return "podreload resume --profile " + r.Profile
	}
	return "podreload resume --all"
}
