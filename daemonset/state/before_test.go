package state

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/podreload/podreload/daemonset"
)

// TestReadsWhatWasWritten: what earlier versions wrote is read by this one. testdata/before has a
// file of each format as it was first released; they never change, a new format adds others.
func TestReadsWhatWasWritten(t *testing.T) {
	s, err := Open(t.TempDir(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{
		"record-1.json":  filepath.Join(s.dir, "targets/c1.json"),
		"record-2.json":  filepath.Join(s.dir, "targets/c2.json"),
		"pauses-1.json":  filepath.Join(s.kept.dir, "pauses.json"),
		"history-1.json": filepath.Join(s.kept.dir, historyName(web)),
		"history-2.json": filepath.Join(s.kept.dir, historyName(web+"/2")),
	} {
		text, err := os.ReadFile(filepath.Join("testdata/before", from))
		if err == nil {
			err = os.WriteFile(to, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}

	want := example("c1")
	want.Next, want.Rejected, want.Why = nil, "", ""
	for _, id := range []string{"c1", "c2"} {
		if id == "c2" {
			want = example("c2")
		}
		got, err := s.Load(id)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("record %s (-want +got):\n%s", id, diff)
		}
	}
	pauses, err := s.Pauses()
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 24, 9, 40, 54, 0, time.UTC)
	if diff := cmp.Diff([]Pause{
		{Target: web, By: "rollback by user 0", Since: at, Pin: "d7", Revision: 7}, {Profile: "web", By: "pause by user 0", Since: at}, {By: "pause by user 0", Since: at},
	}, pauses); diff != "" {
		t.Errorf("pauses (-want +got):\n%s", diff)
	}
	first := Entry{
		Event: daemonset.Event{
			Time: at, Kind: daemonset.Change, By: "daemon", ContainerID: "c1", Name: "nginx", Pod: "web-0", Namespace: "prod", Profile: "web",
			State: daemonset.Live, Revision: 7, Digest: "d7", Wrote: []string{"/a"}, Signal: "HUP", Ran: []string{"true"},
		},
		Files: []Saved{{Resource: "a.toml", Path: "/a", Content: "c"}},
	}
	second := Entry{Event: daemonset.Event{
		Time: at, Kind: daemonset.Change, By: "daemon", ContainerID: "c1", Name: "nginx", Pod: "web-0", Namespace: "prod", Profile: "web",
		State: daemonset.Live, Revision: 8, Digest: "d8",
	}}
	for target, want := range map[string][]Entry{web: {first}, web + "/2": {first, second}} {
		entries, err := s.History(target)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, entries); diff != "" {
			t.Errorf("history of %s (-want +got):\n%s", target, diff)
		}
	}
}
