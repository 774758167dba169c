package state

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestPin: a pause adds nothing to a pin, and one that came to nothing leaves what was before it.
func TestPin(t *testing.T) {
	const web = "default/web-0/nginx"
	at := func(n int) time.Time { return time.Date(2026, 1, 2, 12, 0, n, 0, time.UTC) }
	paused := Pause{Target: web, By: "pause", Since: at(1)}
	second := Pause{Target: web, By: "rollback", Since: at(2), Pin: "b", Revision: 20}
	first := Pause{Target: web, By: "rollback", Since: at(3), Pin: "a", Revision: 10}
	later := Pause{Target: web, By: "pause", Since: at(4)}
	for name, tt := range map[string]struct {
		given []Pause // the last is taken back where unpin says so
		unpin bool
		want  []Pause
	}{
		"a pause on a pin":           {given: []Pause{second, later}, want: []Pause{second}},
		"a pin on a pause":           {given: []Pause{paused, second}, want: []Pause{second}},
		"a pin on a pin":             {given: []Pause{second, first}, want: []Pause{first}},
		"a pin that came to nothing": {given: []Pause{second}, unpin: true, want: nil},
		"the same on a pause":        {given: []Pause{paused, second}, unpin: true, want: []Pause{paused}},
		"the same on a pin":          {given: []Pause{second, first}, unpin: true, want: []Pause{second}},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir())
			var before *Pause
			var err error
			for _, p := range tt.given {
				if before, err = s.Pause(t.Context(), p); err != nil {
					t.Fatal(err)
				}
			}
			if tt.unpin {
				if err := s.Unpin(t.Context(), tt.given[len(tt.given)-1], before); err != nil {
					t.Fatal(err)
				}
			}
			got, err := s.Pauses()
			if err != nil {
				t.Fatal(err)
			}
			if len(got) == 0 {
				got = nil
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestUnpinLeavesOthers: who pins it meanwhile to something else has the last word.
func TestUnpinLeavesOthers(t *testing.T) {
	s := open(t, t.TempDir())
	mine, other := Pause{Target: "a/b/c", Pin: "x", Since: time.Unix(1, 0).UTC()}, Pause{Target: "a/b/c", Pin: "y", Since: time.Unix(2, 0).UTC()}
	for _, p := range []Pause{mine, other} {
		if _, err := s.Pause(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Unpin(t.Context(), mine, nil); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Pauses(); err != nil || !cmp.Equal(got, []Pause{other}) {
		t.Errorf("got %v, %v, want %v", got, err, other)
	}
}
