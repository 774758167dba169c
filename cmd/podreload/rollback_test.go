package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/agent"
	"github.com/podreload/podreload/daemonset/state"
)

// TestRollbackAgain gives rollback until there is nothing older. An entry is DIGEST REVISION, with ! one that did not
// take; the last that did is in place.
func TestRollbackAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		history  string
		restarts int // while it is pinned, each an entry, too
		want     string
	}{
		"each once":               {"A1 B2 C3", 1, "B2 A1"},
		"in place twice":          {"X1 A2 B3 A4 B5 C6", 1, "B5 A4 B3 A2 X1"},
		"did not take at first":   {"A1 B2 C3 !B2", 1, "B2 A1"},
		"its own entry made room": {"A1 B2 C3", 60, "B2 A1"},
	} {
		t.Run(name, func(t *testing.T) {
			store, err := state.Open(t.TempDir(), t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			c := daemonset.Container{ID: "c1", Name: "nginx", Pod: daemonset.Pod{Namespace: "default", Name: "web-0"}}
			job := agent.Job{Target: daemonset.Target{Container: c, Profile: "web"}}
			tell := func(digest string, revision int64, s daemonset.State) {
				t.Helper()
				e := state.Entry{Event: daemonset.Event{ContainerID: c.ID, Digest: digest, Revision: revision, State: s}}
				if s != daemonset.RolledBack {
					e.Files = []state.Saved{{Path: "/f", Absent: true}}
					if err := store.Save(state.Record{Status: daemonset.Status{ContainerID: c.ID, Digest: digest}}); err != nil {
						t.Fatal(err)
					}
				}
				if err := store.Tell(c.String(), e); err != nil {
					t.Fatal(err)
				}
			}
			for _, e := range strings.Fields(tt.history) {
				s, e := daemonset.Live, e
				if rest, not := strings.CutPrefix(e, "!"); not {
					s, e = daemonset.RolledBack, rest
				}
				tell(e[:1], int64(e[1]-'0'), s)
			}
			var went []string
			for range 10 {
				e, err := backTo(store, job, 0)
				if err != nil {
					break
				}
				went = append(went, fmt.Sprint(e.Digest, e.Revision))
				if _, err := store.Pause(t.Context(), state.Pause{Target: c.String(), Pin: e.Digest, Revision: e.Revision}); err != nil {
					t.Fatal(err)
				}
				for range tt.restarts {
					tell(e.Digest, e.Revision, daemonset.Paused)
				}
			}
			if got := strings.Join(went, " "); got != tt.want {
				t.Errorf("went back to %s, want %s", got, tt.want)
			}
		})
	}
}
