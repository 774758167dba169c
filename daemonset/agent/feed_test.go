package agent

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/podreload/podreload/daemonset/state"
	"github.com/podreload/podreload/daemonset/template"
)

// TestSettle holds `wait` to what it promises: a true quiet period with a
// ceiling.
func TestSettle(t *testing.T) {
	tests := map[string]struct {
		quiet, longest time.Duration
		changes        []time.Duration // when more changes come, from the first
		want           time.Duration
	}{
		"none":                    {0, 0, []time.Duration{time.Millisecond}, 0},
		"quiet at once":           {2 * time.Second, 10 * time.Second, nil, 2 * time.Second},
		"each change starts anew": {2 * time.Second, 10 * time.Second, []time.Duration{time.Second, 2500 * time.Millisecond}, 4500 * time.Millisecond},
		"never quiet": {2 * time.Second, 5 * time.Second,
			[]time.Duration{time.Second, 2 * time.Second, 3 * time.Second, 4 * time.Second}, 5 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				changed := make(chan struct{}, 1)
				var changing sync.WaitGroup
				defer changing.Wait()
				changing.Go(func() {
					var at time.Duration
					for _, c := range tt.changes {
						time.Sleep(c - at)
						at = c
						changed <- struct{}{}
					}
				})
				noted := 0
				began := time.Now()
				if !settle(t.Context(), changed, tt.quiet, tt.longest, func() { noted++ }) {
					t.Fatal("settle says that the context has ended")
				}
				if got := time.Since(began); got != tt.want {
					t.Errorf("settled after %v, want %v", got, tt.want)
				}
				if tt.quiet > 0 && noted != len(tt.changes) {
					t.Errorf("%d changes were noted, want %d", noted, len(tt.changes))
				}
			})
		})
	}
}

func TestSettleEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if settle(ctx, nil, time.Hour, time.Hour, nil) {
		t.Error("settle went on after its context had ended")
	}
}

func TestBackoff(t *testing.T) {
	for failures, want := range map[int]time.Duration{0: time.Second, 1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 1000: time.Minute} {
		for range 100 {
			got := backoff(failures, time.Second, time.Minute)
			if got < want || got > want+want/5 {
				t.Fatalf("after %d failures: %v, want %v and up to a fifth", failures, got, want)
			}
		}
	}
}

// TestClockSetBack: a reload that seems to be of the future does not hold back the next.
func TestClockSetBack(t *testing.T) {
	job := Job{Bound: &template.Bound{Profile: &template.Profile{MinReloadInterval: time.Minute}}}
	now := time.Now()
	for told, held := range map[time.Duration]bool{-2 * time.Minute: false, -time.Second: true, time.Hour: false} {
		rec := state.Record{Told: now.Add(told)}
		if err := tooSoon(job, &rec, now); (err != nil) != held {
			t.Errorf("told %v from now: %v, want it held: %v", told, err, held)
		}
	}
}
