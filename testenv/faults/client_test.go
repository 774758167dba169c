package faults

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"golang.org/x/sys/unix"
)

const (
	clientsPerTarget = 2                     // that close each connection; one more keeps it alive
	requestPause     = 20 * time.Millisecond // from one request's begin to the next one's
	requestTimeout   = 10 * time.Second
)

// errWrong is an answer that is no lost request, but worse.
var errWrong = errors.New("wrong answer")

// client asks one target again and again. http.Transport would not do: it tries again by
// itself where a kept connection was closed, which is what is to be counted.
type client struct {
	target *target
	writer *writer
	events *events
	keep   bool

	conn   net.Conn // nil: none is open
	in     *bufio.Reader
	served int // requests over conn
}

func (c *client) run(ctx context.Context) {
	tick := time.NewTicker(requestPause)
	defer tick.Stop()
	defer c.hangUp()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		begun := time.Now()
		answer, err := c.ask(ctx)
		if err == nil {
			err = c.judge(answer)
		}
		kept := c.served > 0 && !errors.Is(err, errWrong)
		if err != nil && ctx.Err() == nil {
			c.target.failed(failure{from: begun, to: time.Now(), kept: kept, err: err})
			c.hangUp()
		}
	}
}

// judge looks at an answer. A bad number must not be served at any time.
func (c *client) judge(answer string) error {
	var first, second int
	if _, err := fmt.Sscanf(answer, "%d %d\n", &first, &second); err != nil {
		return fmt.Errorf("%w: %q", errWrong, answer)
	}
	if c.writer.isBad(first) || c.writer.isBad(second) {
		c.events.fail("%s serves %q: that configuration is bad", c.target.name, answer)
	}
	if first != second {
		return fmt.Errorf("%w: a mixed set is live: %q", errWrong, answer)
	}
	return nil
}

// ask makes one request.
func (c *client) ask(ctx context.Context) (string, error) {
	if c.conn != nil && closed(c.conn) {
		c.hangUp() // which every client notices: nothing is lost
	}
	if c.conn == nil {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		conn, err := c.target.pod.Dial(ctx, "tcp", "127.0.0.1:80")
		if err != nil {
			return "", err
		}
		c.conn, c.in = conn, bufio.NewReader(conn)
	}
	if err := c.conn.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return "", err
	}
	header := "close"
	if c.keep {
		header = "keep-alive"
	}
	if _, err := fmt.Fprintf(c.conn, "GET / HTTP/1.1\r\nHost: faults\r\nConnection: %s\r\n\r\n", header); err != nil {
		return "", err
	}
	r, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<10))
	if err != nil {
		return "", err
	}
	c.served++
	if r.Close || !c.keep {
		c.hangUp()
	}
	if r.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%w: %s", errWrong, r.Status)
	}
	return string(body), nil
}

// closed answers whether the server has closed a connection, or says something unasked.
func closed(conn net.Conn) bool {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return true
	}
	quiet := false
	err = raw.Read(func(fd uintptr) bool {
		_, _, err := unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
		quiet = errors.Is(err, unix.EAGAIN)
		return true
	})
	return err != nil || !quiet
}

func (c *client) hangUp() {
	if c.conn != nil {
		_ = c.conn.Close()
	}
	c.conn, c.in, c.served = nil, nil, 0
}
