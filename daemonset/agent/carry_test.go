package agent

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// TestNoTurnAfterTheEnd: who was told to stop begins no crossing, though there is room for one.
func TestNoTurnAfterTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var a Applier
	for range 100 {
		if done, err := a.turn(ctx); !errors.Is(err, context.Canceled) {
			done()
			t.Fatalf("it was its turn: %v", err)
		}
	}
}

// TestTurns: whatever wakes all targets at once, the crossings of a node stay few.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a Applier
		var done []func()
		for range maxCrossings {
			end, err := a.turn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			done = append(done, end)
		}
		next := make(chan struct{})
		go func() {
			defer close(next)
			end, err := a.turn(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			end()
		}()
		synctest.Wait()
		select {
		case <-next:
			t.Errorf("more than %d at once", maxCrossings)
		default:
		}
		done[0]()
		done[0]() // gives back one
		<-next
		for _, end := range done {
			end()
		}
		if n := len(a.turns); n != 0 {
			t.Errorf("%d turns are not given back", n)
		}
	})
}
