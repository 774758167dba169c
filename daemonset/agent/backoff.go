package agent

import (
	"math/rand/v2"
	"time"
)

// backoff is how long to wait after so many failures in a row: first doubling
// up to longest, plus up to a fifth at random so that targets which failed
// together do not come back together.
func backoff(failures int, first, longest time.Duration) time.Duration {
	d := first
	for i := 1; i < failures && d < longest; i++ {
		d *= 2
	}
	return jitter(min(d, longest))
}

// jitter adds up to a fifth at random.
func jitter(d time.Duration) time.Duration {
	if d < 5 {
		return d
	}
	return d + rand.N(d/5)
}
