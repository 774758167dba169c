package source

import "sync"

// Subscription is one reader of a feed. Its methods are safe for concurrent
// use.
type Subscription struct {
	feed    *feed
	id      string
	changed chan struct{}
	close   sync.Once
}

// Changed receives when Current may answer something new: another snapshot, or
// another error. Its capacity is 1: changes coalesce while nobody looks. It is
// never closed.
func (s *Subscription) Changed() <-chan struct{} { return s.changed }

// Current returns the newest snapshot, nil before the first, and why the feed
// is not fresh at present, nil if it is. With both, the snapshot is the last
// good one.
func (s *Subscription) Current() (*Snapshot, error) {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	return s.feed.snapshot, s.feed.err
}

// Close ends the subscription. It does not wait for the feed, which ends with
// its last subscription.
func (s *Subscription) Close() {
	s.close.Do(func() { s.feed.client.drop(s) })
}
