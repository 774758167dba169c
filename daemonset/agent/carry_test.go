package agent

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// TestTurns: whatever wakes all targets at once, the crossings of a node stay few.
func TestTurns(t *testing.T) { synctest.Test(t, testTurns) }

func testTurns(t *testing.T) {
	var a Applier
	var last func()
	for range maxCrossings {
		done, err := a.turn(t.Context(), "web")
		if err != nil {
			t.Fatal(err)
		}
		last = done
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.turn(ctx, "web"); !errors.Is(err, context.Canceled) {
		t.Errorf("one more: %v", err)
	}
	ended := make(chan error)
	go func() {
		_, err := a.turn(t.Context(), "web")
		ended <- err
	}()
	synctest.Wait()
	select {
	case err := <-ended:
		t.Errorf("more than %d at once: %v", maxCrossings, err)
	default:
	}
	last()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
