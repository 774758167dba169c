package agent

import (
	"errors"
	"strings"
	"testing"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/template"
)

// TestSupported holds what is refused before anything is touched, in which state,
// and that the reason names what to look at.
func TestSupported(t *testing.T) {
	runc := daemonset.Container{Runtime: "io.containerd.runc.v2"}
	off := &template.Profile{Name: "web", Check: "off"}
	tests := map[string]struct {
		container daemonset.Container
		profile   *template.Profile
		state     daemonset.State // empty: goes through
		says      string
	}{
		"runc":         {runc, off, "", ""},
		"kata":         {daemonset.Container{Runtime: "io.containerd.kata.v2"}, off, daemonset.Unsupported, "io.containerd.kata.v2"},
		"gvisor":       {daemonset.Container{Runtime: "io.containerd.runsc.v1"}, off, daemonset.Unsupported, "io.containerd.runsc.v1"},
		"with signal":  {runc, &template.Profile{Check: "off", Resources: []*template.Resource{{Name: "a.toml", ReloadSignal: "HUP"}}}, "", ""},
		"old runc v1":  {daemonset.Container{Runtime: "io.containerd.runtime.v1.linux"}, off, "", ""},
		"unknown name": {daemonset.Container{}, off, daemonset.Unsupported, "cannot see its processes"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			job, err := NewJob(daemonset.Target{Container: tt.container}, tt.profile)
			if err != nil {
				t.Fatal(err)
			}
			err = supported(job)
			switch {
			case tt.state == "":
				if err != nil {
					t.Errorf("refused: %v", err)
				}
			case err == nil || StateOf(err) != tt.state || !strings.Contains(err.Error(), tt.says):
				t.Errorf("got %v, want %s with %q", err, tt.state, tt.says)
			}
		})
	}
}

// TestNewJob: a profile with errors, and one that this pod is not made for, come to no job.
func TestNewJob(t *testing.T) {
	bad := &template.Profile{Name: "web", Err: errors.New("line 3")}
	if _, err := NewJob(daemonset.Target{}, bad); StateOf(err) != daemonset.Invalid || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("got %v, want Invalid with the profile's own error", err)
	}
	job, err := NewJob(daemonset.Target{State: daemonset.Ambiguous, Reason: "which?"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := job.undecided(); StateOf(err) != daemonset.Ambiguous || err.Error() != "which?" {
		t.Errorf("got %v, want Ambiguous with its reason", err)
	}
}
