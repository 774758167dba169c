package testenv

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// Proxy is a TCP proxy that can be cut: everything that goes through it breaks,
// and whoever tries again is hung up on, until it is mended.
type Proxy struct {
	listener net.Listener
	target   string
	scheme   string

	mu     sync.Mutex
	met    func(served bool)
	cut    bool
	silent chan struct{} // nil, or closed when bytes flow again
	conns  map[net.Conn]struct{}
	wg     sync.WaitGroup
}

// NewProxy puts a proxy before the etcd at an endpoint, until the test ends.
func NewProxy(t testing.TB, endpoint string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	scheme, target, _ := strings.Cut(endpoint, "://")
	p := &Proxy{listener: l, target: target, scheme: scheme, conns: map[net.Conn]struct{}{}}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.Cut()
		p.Silence(false)
		p.wg.Wait()
	})
	return p
}

// Watch has f called when somebody has connected, never concurrently: served is false where
// they are hung up on.
func (p *Proxy) Watch(f func(served bool)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.met = f
}

func (p *Proxy) tell(served bool) {
	p.mu.Lock()
	met := p.met
	p.mu.Unlock()
	if met != nil {
		met(served)
	}
}

// Endpoint is what clients are given in place of the endpoint behind it.
func (p *Proxy) Endpoint() string { return p.scheme + "://" + p.listener.Addr().String() }

func (p *Proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		served := p.hold(conn)
		p.tell(served)
		if !served {
			conn.Close()
			continue
		}
		p.wg.Go(func() { p.serve(conn) })
	}
}

func (p *Proxy) serve(conn net.Conn) {
	defer conn.Close()
	defer p.release(conn)
	up, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", p.target)
	if err != nil {
		return
	}
	defer up.Close()
	if !p.hold(up) {
		return
	}
	defer p.release(up)
	var both sync.WaitGroup
	copyTo := func(dst, src net.Conn) {
		_, _ = io.Copy(dst, listening{src, p})
		dst.Close()
		src.Close()
	}
	both.Go(func() { copyTo(up, conn) })
	both.Go(func() { copyTo(conn, up) })
	both.Wait()
}

// listening holds back what it read while all is silent.
type listening struct {
	net.Conn
	p *Proxy
}

func (l listening) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	l.p.mu.Lock()
	silent := l.p.silent
	l.p.mu.Unlock()
	if silent != nil {
		<-silent
	}
	return n, err
}

// Silence keeps connections, but nothing comes through them until it is undone.
func (p *Proxy) Silence(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case yes && p.silent == nil:
		p.silent = make(chan struct{})
	case !yes && p.silent != nil:
		close(p.silent)
		p.silent = nil
	}
}

// hold registers a connection for Cut, or reports that all is cut.
func (p *Proxy) hold(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.cut {
		p.conns[c] = struct{}{}
	}
	return !p.cut
}

func (p *Proxy) release(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// Cut breaks all connections, and those to come.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	for c := range p.conns {
		c.Close()
	}
}

// Mend ends what Cut began.
func (p *Proxy) Mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = false
}
