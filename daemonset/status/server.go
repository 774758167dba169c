package status

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"github.com/podreload/podreload/daemonset"
)

// Node is who knows how the node stands. Its methods are safe for concurrent use.
type Node interface {
	View() daemonset.View
	Ping(ctx context.Context) error // until its loop has answered
	Wake()                          // all targets are looked at again
}

// Config is what a server serves.
type Config struct {
	Build   Build
	Dir     string // the state directory, where the socket is made
	Listen  string // the address of metrics and probes; empty: none
	Pprof   bool   // Go's profiler, on the socket alone
	Node    Node
	Board   *Board
	Metrics *Metrics
	Log     logrus.FieldLogger
}

// Server is what [Listen] has opened.
type Server struct {
	Config
	socket, address net.Listener // address is nil where there is none
	ready           atomic.Bool
}

const (
	maxConnections = 64 // of each listener
	maxHeader      = 8 << 10
	headerTimeout  = 5 * time.Second
	writeTimeout   = 10 * time.Second
	idleTimeout    = 5 * time.Second // who asks more seldom connects anew
	endTimeout     = 2 * time.Second
)

// Listen opens the socket and the address. The caller holds the state directory as its
// daemon: a socket that is there already was left by one that was killed, and is replaced.
func Listen(cfg Config) (*Server, error) {
	s := &Server{Config: cfg}
	var err error
	if s.socket, err = listenSocket(cfg.Dir); err != nil {
		return nil, err
	}
	if cfg.Listen == "" {
		return s, nil
	}
	if s.address, err = net.Listen("tcp", cfg.Listen); err != nil {
		return nil, errors.Join(fmt.Errorf("metrics and probes: %w; name a free address with --listen", err), s.socket.Close())
	}
	return s, nil
}

// Address is where metrics and probes are, nil if they are nowhere.
func (s *Server) Address() net.Addr {
	if s.address == nil {
		return nil
	}
	return s.address.Addr()
}

// Run serves until ctx ends, and closes what Listen has opened. Who follows events gets
// those that came before.
func (s *Server) Run(ctx context.Context) {
	var all errgroup.Group
	all.Go(func() error { return s.serve(ctx, s.socket, s.api(), 0, 0) })
	if s.address != nil {
		all.Go(func() error { return s.serve(ctx, s.address, s.public(), headerTimeout, writeTimeout) })
	}
	if err := all.Wait(); err != nil {
		s.Log.WithError(err).Error("status is no longer served; what is live goes on being kept")
	}
}

// serve has no read timeout for the socket: it would end those who follow.
func (s *Server) serve(ctx context.Context, l net.Listener, h http.Handler, read, write time.Duration) error {
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, ReadTimeout: read, WriteTimeout: write, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader, BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog: log.New(lines{s.Log}, "", 0), ConnState: turned,
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			server.Close()
		}
	})
	err := server.Serve(&limited{Listener: l, max: maxConnections})
	if stop() {
		server.Close() // it failed by itself
	} else {
		<-ended
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve %s: %w", l.Addr(), err)
}

// lines is a log for who writes lines.
type lines struct{ logrus.FieldLogger }

func (l lines) Write(b []byte) (int, error) {
	l.Warn("status: " + strings.TrimSpace(string(b)))
	return len(b), nil
}
