package source

import (
	"math/rand/v2"
	"time"
)

const (
	minDelay = 100 * time.Millisecond
	maxDelay = 5 * time.Second
	// tooMuchDelay is for reads that end in errTooMuch: each is long work for etcd, and garbage
	// of maxBytes here.
	tooMuchDelay = 5 * time.Minute
)

// backoff counts failures in a row and says how long to wait after each.
type backoff struct{ failures int }

func (b *backoff) reset() { b.failures = 0 }

// next doubles from minDelay up to maxDelay, then takes off up to a half, so
// that the agents of many nodes do not come back to etcd all at once: at first
// they spread over 50 ms, and the longer etcd is away the wider.
func (b *backoff) next() time.Duration {
	d := maxDelay
	if b.failures < 6 { // 100 ms << 6 is above maxDelay
		d = min(minDelay<<b.failures, maxDelay)
		b.failures++
	}
	return d - rand.N(d/2+1)
}

// jitter shortens d by a random part of up to a quarter.
func jitter(d time.Duration) time.Duration {
	return d - rand.N(d/4+1)
}
