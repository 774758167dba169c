package agent

import (
	"context"
	"errors"
	"testing"
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
