package turns

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestRotation: groups take turns, whatever they have waiting, each in its own order.
func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := New(1, time.Hour)
		first, err := turns.Take(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		var order []string
		var all sync.WaitGroup
		wait := func(group, name string) {
			all.Go(func() {
				done, err := turns.Take(t.Context(), group)
				if err != nil {
					t.Error(err)
					return
				}
				order = append(order, name) // one at once
				done()
			})
			synctest.Wait() // so that the next comes after it
		}
		for i := range 4 {
			wait("a", fmt.Sprint("a", i))
		}
		wait("b", "b0")
		wait("c", "c0")
		wait("b", "b1")
		first()
		first() // gives back one
		all.Wait()
		if diff := cmp.Diff([]string{"a0", "b0", "c0", "a1", "b1", "a2", "a3"}, order); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
		if turns.free != 1 || len(turns.groups) != 0 {
			t.Errorf("left: %+v", turns)
		}
	})
}

// TestBound: never more at once than may be, none lost, though many give up.
func TestBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 3
		turns := New(most, time.Hour)
		var now atomic.Int32
		var all sync.WaitGroup
		for i := range 300 {
			all.Go(func() {
				time.Sleep(rand.N(time.Second))
				ctx, cancel := context.WithTimeout(t.Context(), rand.N(2*time.Second))
				defer cancel()
				done, err := turns.Take(ctx, fmt.Sprint(i%7))
				if err != nil {
					if !errors.Is(err, context.DeadlineExceeded) {
						t.Error(err)
					}
					return
				}
				if n := now.Add(1); n > most {
					t.Errorf("%d at once, want %d at most", n, most)
				}
				time.Sleep(rand.N(50 * time.Millisecond))
				now.Add(-1)
				done()
			})
		}
		all.Wait()
		if turns.free != most || len(turns.groups) != 0 {
			t.Errorf("left: %+v", turns)
		}
	})
}

// TestNoTurnAfterTheEnd: who was told to stop gets none, though there is room.
func TestNoTurnAfterTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		if _, err := New(1, time.Hour).Take(ctx, "a"); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
}

// TestHung: what does not end delays others for one turn's time, and counts once when it ends.
func TestHung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := New(1, time.Second)
		begun := time.Now()
		hung, err := turns.Take(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		for range 3 { // of the same group, and of another
			if _, err := turns.Take(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
		}
		done, err := turns.Take(t.Context(), "b")
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took != 4*time.Second {
			t.Errorf("the fifth turn came after %v, want one second for each that hangs", took)
		}
		hung()
		done()
		time.Sleep(time.Minute)
		if turns.free != 1 {
			t.Errorf("%d are free, want 1", turns.free)
		}
	})
}
