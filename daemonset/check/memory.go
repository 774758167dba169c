package check

import (
	"container/list"
	"sync"
	"time"
)

const (
	// Remember is how long a verdict stands. Not everything that it depends on
	// is in the key: the contents of volumes, and what DNS says, are not.
	Remember = 10 * time.Minute

	// maxRemembered is how many verdicts are kept, the last used.
	maxRemembered = 1024

	minRetry = time.Second
	maxRetry = time.Minute
)

// key names equal trials.
type key [32]byte

// memory keeps verdicts.
type memory struct {
	mu      sync.Mutex
	entries map[key]*list.Element
	used    list.List // of *entry, the last used in front
}

type entry struct {
	key      key
	at       time.Time
	verdict  Verdict
	refusal  *Refusal // nil: a pass
	failures int      // refusals in a row
}

// find returns what stands at the time: a pass, or a refusal whose time to be tried again
// has not come.
func (m *memory) find(k key, now time.Time) (Verdict, *Refusal, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.entry(k, now)
	switch {
	case e == nil:
		return Verdict{}, nil, false
	case e.refusal == nil:
		v := e.verdict
		v.Remembered = true
		return v, nil, true
	case now.Before(e.refusal.RetryAt):
		return Verdict{}, e.refusal, true
	}
	return Verdict{}, nil, false
}

// entry is what is kept of a key and not too old.
func (m *memory) entry(k key, now time.Time) *entry {
	at := m.entries[k]
	if at == nil {
		return nil
	}
	if e := at.Value.(*entry); now.Sub(e.at) < Remember {
		m.used.MoveToFront(at)
		return e
	}
	m.forget(at)
	return nil
}

func (m *memory) forget(at *list.Element) {
	delete(m.entries, m.used.Remove(at).(*entry).key)
}

// passed keeps a pass.
func (m *memory) passed(k key, v Verdict, now time.Time) {
	m.keep(entry{key: k, at: now, verdict: v}, now)
}

// refused keeps a refusal, and returns it with the time until which it stands: twice as
// long each time, for all equal trials together.
func (m *memory) refused(k key, r Refusal, now time.Time) *Refusal {
	m.mu.Lock()
	failures := 0
	if e := m.entry(k, now); e != nil {
		failures = e.failures
	}
	m.mu.Unlock()
	r.RetryAt = now.Add(min(minRetry<<min(failures, 10), maxRetry))
	m.keep(entry{key: k, at: now, refusal: &r, failures: failures + 1}, now)
	return &r
}

func (m *memory) keep(e entry, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at := m.entries[e.key]; at != nil {
		m.forget(at)
	}
	if m.entries == nil {
		m.entries = make(map[key]*list.Element)
	}
	m.entries[e.key] = m.used.PushFront(&e)
	if m.used.Len() > maxRemembered {
		m.forget(m.used.Back())
	}
}
