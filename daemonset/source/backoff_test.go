package source

import (
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	var b backoff
	for _, most := range []time.Duration{100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000} {
		most *= time.Millisecond
		if d := b.next(); d > most || d < most/2 {
			t.Errorf("next is %v, want at most %v and at least half of it", d, most)
		}
	}
	b.reset()
	if d := b.next(); d > minDelay {
		t.Errorf("after a reset next is %v, want at most %v", d, minDelay)
	}
}
