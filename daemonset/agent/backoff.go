package agent

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/check"
)

// How soon a failed apply is tried again. Waiting has its own, shorter steps: a
// container that has just started has its server within milliseconds, and no
// event says when.
const (
	retryFirst, retryLongest = time.Second, time.Minute
	waitFirst, waitLongest   = 20 * time.Millisecond, 5 * time.Second
)

// fail puts the target into a state that is to be left, and says when to try.
// RolledBack is left by other contents, or at a time where the server was slow only; Paused by a
// person's word.
// Failures in a row are those of one kind: a long wait for etcd does not slow
// down the wait for a server that comes after it.
func fail(s *daemonset.Status, state daemonset.State, err error) {
	if s.State != state {
		s.Failures = 0
	}
	s.State, s.Reason, s.RetryAt = state, err.Error(), time.Time{}
	if state != daemonset.RolledBack && state != daemonset.Paused {
		s.Failures++
		first, longest := retryFirst, retryLongest
		if state == daemonset.Waiting {
			first, longest = waitFirst, waitLongest
		}
		s.RetryAt = time.Now().Add(backoff(s.Failures, first, longest))
	}
	if later, ok := errors.AsType[*laterError](err); ok {
		s.RetryAt = later.at
	}
	if refusal, ok := errors.AsType[*check.Refusal](err); ok && !refusal.RetryAt.IsZero() {
		s.RetryAt = refusal.RetryAt // one for all that were refused the same
	}
}

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
