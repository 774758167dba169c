package status

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// limited has at most max connections open, and always room for a new one: the kubelet's probe
// is one of those, and whoever can connect could have the agent killed by keeping it out.
type limited struct {
	net.Listener
	max  int
	mu   sync.Mutex
	open map[*counted]bool
}

// counted is a connection of a limited listener.
type counted struct {
	net.Conn
	of *limited

	// Guarded by of.mu:
	served bool      // a request is answered; else it is waited for
	since  time.Time // when that began
}

// Accept is that of [net.Listener].
func (l *limited) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	n := &counted{Conn: c, of: l, since: time.Now()}
	if last := l.add(n); last != nil {
		last.Close()
	}
	return n, nil
}

// add returns the one that has to go for it, nil for none: that on which nothing is asked for the
// longest time, or, where all ask, the one that is answered the longest.
func (l *limited) add(n *counted) (last *counted) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) >= l.max {
		for c := range l.open {
			if last == nil || (c.served == last.served && c.since.Before(last.since)) || (!c.served && last.served) {
				last = c
			}
		}
		delete(l.open, last)
	}
	if l.open == nil {
		l.open = map[*counted]bool{}
	}
	l.open[n] = true
	return last
}

// turned is told by the server what a connection does now. A request that is begun and not
// whole is none yet.
func turned(c net.Conn, s http.ConnState) {
	if s != http.StateActive && s != http.StateIdle {
		return
	}
	n := c.(*counted)
	n.of.mu.Lock()
	defer n.of.mu.Unlock()
	n.served, n.since = s == http.StateActive, time.Now()
}

// Close is that of [net.Conn].
func (c *counted) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}
