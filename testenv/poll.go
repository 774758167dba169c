package testenv

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// finalError ends a Poll.
type finalError struct{ error }

func (f finalError) Unwrap() error { return f.error }

// Final is an error after which [Poll] does not try again.
func Final(err error) error { return finalError{err} }

// Poll calls try until it returns nil. It is for what sends no event that could be
// waited for instead.
func Poll(ctx context.Context, try func() error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		var final finalError
		if err == nil || errors.As(err, &final) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w; last: %w", context.Cause(ctx), err)
		}
	}
}

// Await is Poll for a test, which fails if it is not so after a minute.
func Await(t testing.TB, so func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := Poll(ctx, func() error {
		if !so() {
			return errors.New("it never was")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
