package agent

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/podreload/podreload/daemonset"
)

// TestStand plays what a worker and its feed tell, and wants what is shown of it.
func TestStand(t *testing.T) {
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	at := func(s int) time.Time { return noon.Add(time.Duration(s) * time.Second) }
	heard := func(s *stand, revision int64, second int) { s.heard(revision, at(second)) }
	note := func(s *stand, state daemonset.State, revision int64, reloads, second int) {
		s.note(daemonset.Status{State: state, Reason: string(state), Revision: revision, Reloads: reloads, Digest: "d", Updated: at(second)})
	}
	yes, no := true, false
	results := func(pairs ...any) map[daemonset.State]int {
		m := map[daemonset.State]int{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i].(daemonset.State)] = pairs[i+1].(int)
		}
		return m
	}
	for name, tt := range map[string]struct {
		do   func(*stand)
		want daemonset.TargetView // but for its Status
	}{
		"nothing": {func(*stand) {}, daemonset.TargetView{}},
		"first reload": {func(s *stand) {
			heard(s, 5, 0)
			note(s, daemonset.Live, 5, 1, 1)
		}, daemonset.TargetView{Results: results(daemonset.Live, 1), Took: &yes, TookAt: at(1)}},
		"an earlier agent's are not counted": {func(s *stand) {
			s.begin(daemonset.Status{State: daemonset.Live, Reason: "Live", Revision: 5, Reloads: 7, Digest: "d", Reloaded: at(1)})
			heard(s, 5, 2)
			note(s, daemonset.Live, 5, 7, 3)
		}, daemonset.TargetView{Took: &yes, TookAt: at(1)}},
		"refused, and again": {func(s *stand) {
			heard(s, 5, 0)
			note(s, daemonset.Live, 5, 1, 1)
			heard(s, 6, 2)
			note(s, daemonset.Refused, 5, 1, 3)
			note(s, daemonset.Refused, 5, 1, 4)
		}, daemonset.TargetView{Results: results(daemonset.Live, 1, daemonset.Refused, 1), Took: &no, TookAt: at(1), Behind: at(2)}},
		"more changes make it no younger": {func(s *stand) {
			heard(s, 5, 0)
			note(s, daemonset.Live, 5, 1, 1)
			for i := range 9 {
				heard(s, int64(6+i), 2+i)
				note(s, daemonset.Refused, 5, 1, 2+i)
			}
		}, daemonset.TargetView{Results: results(daemonset.Live, 1, daemonset.Refused, 1), Took: &no, TookAt: at(1), Behind: at(2)}},
		"mended": {func(s *stand) {
			heard(s, 5, 0)
			note(s, daemonset.Refused, 0, 0, 1)
			heard(s, 6, 2)
			note(s, daemonset.Live, 6, 1, 3)
		}, daemonset.TargetView{Results: results(daemonset.Refused, 1, daemonset.Live, 1), Took: &yes, TookAt: at(3)}},
		// The reload of the way back is proved as well, and is none that took.
		"rolled back": {func(s *stand) {
			heard(s, 5, 0)
			note(s, daemonset.Live, 5, 1, 1)
			heard(s, 6, 2)
			note(s, daemonset.RolledBack, 5, 2, 3)
			note(s, daemonset.RolledBack, 5, 2, 4)
		}, daemonset.TargetView{Results: results(daemonset.Live, 1, daemonset.RolledBack, 1), Took: &no, TookAt: at(1), Behind: at(2)}},
		"hangs": {func(s *stand) {
			heard(s, 5, 0)
			note(s, daemonset.Live, 5, 1, 1)
			heard(s, 6, 2)
			heard(s, 7, 3)
		}, daemonset.TargetView{Results: results(daemonset.Live, 1), Took: &yes, TookAt: at(1), Behind: at(2)}},
		// A pause is no apply, nor is its end.
		"rolled back, paused and resumed": {func(s *stand) {
			heard(s, 5, 0)
			note(s, daemonset.Live, 5, 1, 1)
			heard(s, 6, 2)
			note(s, daemonset.RolledBack, 5, 2, 3)
			for i := range 3 {
				note(s, daemonset.Paused, 5, 2, 4+2*i)
				note(s, daemonset.RolledBack, 5, 2, 5+2*i)
			}
		}, daemonset.TargetView{Results: results(daemonset.Live, 1, daemonset.RolledBack, 1), Took: &no, TookAt: at(1), Behind: at(2)}},
		"refused, with etcd away in between": {func(s *stand) {
			heard(s, 6, 0)
			note(s, daemonset.Refused, 0, 0, 1)
			note(s, daemonset.Stale, 0, 0, 2)
			note(s, daemonset.Refused, 0, 0, 3)
		}, daemonset.TargetView{Results: results(daemonset.Refused, 1), Took: &no, Behind: at(0)}},
		"taken back to others by hand, and resumed": {func(s *stand) {
			heard(s, 6, 0)
			note(s, daemonset.RolledBack, 5, 2, 1)
			note(s, daemonset.Paused, 4, 3, 2)
			note(s, daemonset.RolledBack, 4, 3, 3)
		}, daemonset.TargetView{Results: results(daemonset.RolledBack, 1, daemonset.Live, 1), Took: &yes, TookAt: at(2), Behind: at(0)}},
		"refused, mended without a reload, and refused again": {func(s *stand) {
			heard(s, 6, 0)
			note(s, daemonset.Refused, 5, 1, 1)
			note(s, daemonset.Live, 6, 1, 2)
			heard(s, 7, 3)
			note(s, daemonset.Refused, 6, 1, 4)
		}, daemonset.TargetView{Results: results(daemonset.Refused, 2), Took: &no, Behind: at(3)}},
		"an earlier agent's failure goes on": {func(s *stand) {
			s.begin(daemonset.Status{State: daemonset.RolledBack, Reason: "RolledBack", Revision: 5, Reloads: 2, Digest: "d"})
			heard(s, 6, 0)
			note(s, daemonset.Paused, 5, 2, 1)
			note(s, daemonset.RolledBack, 5, 2, 2)
		}, daemonset.TargetView{Took: &no, Behind: at(0)}},
		"etcd away": {func(s *stand) {
			heard(s, 5, 0)
			note(s, daemonset.Live, 5, 1, 1)
			note(s, daemonset.Stale, 5, 1, 2)
			note(s, daemonset.Live, 5, 1, 3)
		}, daemonset.TargetView{Results: results(daemonset.Live, 1), Took: &yes, TookAt: at(1)}},
		"etcd restored from a backup": {func(s *stand) {
			heard(s, 5, 0)
			note(s, daemonset.Live, 5, 1, 1)
			heard(s, 3, 2)
		}, daemonset.TargetView{Results: results(daemonset.Live, 1), Took: &yes, TookAt: at(1), Behind: at(2)}},
		"waits for its server": {func(s *stand) {
			heard(s, 5, 0)
			note(s, daemonset.Waiting, 0, 0, 1)
		}, daemonset.TargetView{Behind: at(0)}},
		"paused, and in place": {func(s *stand) {
			heard(s, 5, 0)
			note(s, daemonset.Live, 5, 1, 1)
			note(s, daemonset.Paused, 5, 1, 2)
		}, daemonset.TargetView{Results: results(daemonset.Live, 1), Took: &yes, TookAt: at(1)}},
		"paused, and behind": {func(s *stand) {
			heard(s, 5, 0)
			note(s, daemonset.Live, 5, 1, 1)
			note(s, daemonset.Paused, 5, 1, 2)
			heard(s, 6, 3)
		}, daemonset.TargetView{Results: results(daemonset.Live, 1), Took: &yes, TookAt: at(1), Behind: at(3)}},
		"nothing proves it": {func(s *stand) {
			heard(s, 5, 0)
			note(s, daemonset.Applied, 5, 0, 1)
			note(s, daemonset.Applied, 5, 0, 2)
		}, daemonset.TargetView{Results: results(daemonset.Applied, 1), Took: &yes, TookAt: at(1)}},
	} {
		t.Run(name, func(t *testing.T) {
			var s stand
			tt.do(&s)
			got := s.view()
			got.Status = daemonset.Status{}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestPingWithoutLoop: before Run and after it nobody answers, and nothing blocks.
func TestPingWithoutLoop(t *testing.T) {
	var a Agent
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Ping(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("ping: %v", err)
	}
	a.Wake()
	a.Wake()
	if v := a.View(); v.Listed || len(v.Targets) != 0 {
		t.Errorf("view: %+v", v)
	}
}
