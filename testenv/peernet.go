package testenv

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"sync"
)

// peerNet stands between the members of an etcd: a listener for each, which hands connections on
// to it. Members have connections both ways and all come from one address; but each says in its
// first request who it is (the header X-Server-From), so that a cut can be of one member only.
type peerNet struct {
	wg sync.WaitGroup

	mu        sync.Mutex
	listeners []net.Listener
	ids       map[string]int // members by their id, as the header has it
	isolated  map[int]bool
	conns     map[net.Conn]crossing
	closed    bool
}

// crossing is a connection from one member to another; from is -1 where that is not known.
type crossing struct{ from, to int }

func newPeerNet() *peerNet {
	return &peerNet{ids: map[string]int{}, isolated: map[int]bool{}, conns: map[net.Conn]crossing{}}
}

// listen takes a member's address, and returns the one that the others are to use.
func (p *peerNet) listen(target string) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	to := len(p.listeners)
	p.listeners = append(p.listeners, l)
	p.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.serve(conn, target, to) })
		}
	})
	return l.Addr().String(), nil
}

// name tells who speaks with this id.
func (p *peerNet) name(member int, id uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ids[fmt.Sprintf("%x", id)] = member
}

func (p *peerNet) serve(conn net.Conn, target string, to int) {
	defer conn.Close()
	// Held before its first word, so that close ends the read below.
	if !p.hold(conn, crossing{-1, to}) {
		return
	}
	defer p.release(conn)
	head := make([]byte, 0, 16<<10)
	for !bytes.Contains(head, []byte("\r\n\r\n")) {
		n, err := conn.Read(head[len(head):cap(head)])
		if err != nil || n == 0 {
			return
		}
		head = head[:len(head)+n]
	}
	c := crossing{p.sender(head), to}
	up, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer up.Close()
	if !p.hold(conn, c) || !p.hold(up, c) {
		return
	}
	defer p.release(up)
	if _, err := up.Write(head); err != nil {
		return
	}
	var both sync.WaitGroup
	pipe := func(dst, src net.Conn) {
		_, _ = io.Copy(dst, src)
		dst.Close()
		src.Close()
	}
	both.Go(func() { pipe(up, conn) })
	both.Go(func() { pipe(conn, up) })
	both.Wait()
}

// sender is the member that a request's head names, -1 if none.
func (p *peerNet) sender(head []byte) int {
	_, after, _ := bytes.Cut(head, []byte("X-Server-From: "))
	id, _, _ := bytes.Cut(after, []byte("\r\n"))
	p.mu.Lock()
	defer p.mu.Unlock()
	if member, ok := p.ids[string(id)]; ok {
		return member
	}
	return -1
}

// hold registers a connection, or reports that there must be none.
func (p *peerNet) hold(conn net.Conn, c crossing) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.isolated[c.from] || p.isolated[c.to] {
		return false
	}
	p.conns[conn] = c
	return true
}

func (p *peerNet) release(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, conn)
}

func (p *peerNet) isolate(member int, yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.isolated[member] = yes
	for conn, c := range p.conns {
		// A connection whose sender was not known yet when it came is the isolated one's perhaps.
		if p.isolated[c.from] || p.isolated[c.to] || yes && c.from < 0 {
			conn.Close()
		}
	}
}

func (p *peerNet) close() {
	p.mu.Lock()
	p.closed = true
	for _, l := range p.listeners {
		l.Close()
	}
	for conn := range p.conns {
		conn.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}
