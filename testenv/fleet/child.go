package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/proxy/grpcproxy"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// child is what this program is as `fleet etcd FILE` and `fleet proxy LISTEN ENDPOINT...`. It
// says how it fares whenever a line comes, and ends with its input.
func child(ctx context.Context, args []string) error {
	var seen calls
	switch args[0] {
	case "etcd":
		e, err := serveEtcd(ctx, args[1], &seen)
		if err != nil {
			return err
		}
		defer e.Close()
	case "proxy":
		stop, err := serveProxy(args[1], args[2:], &seen)
		if err != nil {
			return err
		}
		defer stop()
	default:
		return fmt.Errorf("%q is no part", args[0])
	}
	return seen.tell(os.Stdin, os.Stdout)
}

func serveEtcd(ctx context.Context, file string, seen *calls) (*embed.Etcd, error) {
	config, err := embed.ConfigFromFile(file)
	if err != nil {
		return nil, err
	}
	config.GRPCAdditionalServerOptions = []grpc.ServerOption{grpc.ChainUnaryInterceptor(seen.intercept)}
	e, err := embed.StartEtcd(config)
	if err != nil {
		return nil, err
	}
	select {
	case <-e.Server.ReadyNotify():
		return e, nil
	case err = <-e.Err():
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	e.Close()
	return nil, err
}

// serveProxy is `etcd grpc-proxy start`, with its defaults, as far as agents use it.
func serveProxy(listen string, endpoints []string, seen *calls) (stop func(), err error) {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, err
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		return nil, err
	}
	kv, _ := grpcproxy.NewKvProxy(client)
	watch, _ := grpcproxy.NewWatchProxy(client.Ctx(), zap.NewNop(), client)
	server := grpc.NewServer(grpc.MaxConcurrentStreams(math.MaxUint32), grpc.ChainUnaryInterceptor(seen.intercept),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: embed.DefaultGRPCKeepAliveMinTime}))
	pb.RegisterKVServer(server, kv)
	pb.RegisterWatchServer(server, watch)
	go func() { _ = server.Serve(l) }() // it ends with stop
	return func() {
		server.Stop()
		_ = client.Close() // its error is that of the context that it ends
	}, nil
}

// calls counts what is asked of a server.
type calls struct{ now, peak, all atomic.Int64 }

// told is what a child says of itself: the calls since the last time, how many of them
// there were at once, and the streams of watches and the watches that it has now.
type told struct{ Calls, Peak, Streams, Watches int64 }

func (c *calls) intercept(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	c.all.Add(1)
	n := c.now.Add(1)
	defer c.now.Add(-1)
	for p := c.peak.Load(); n > p && !c.peak.CompareAndSwap(p, n); p = c.peak.Load() {
	}
	return handle(ctx, req)
}

func (c *calls) tell(in io.Reader, out io.Writer) error {
	for lines := bufio.NewScanner(in); ; {
		t := told{Calls: c.all.Swap(0), Peak: c.peak.Swap(0)}
		if err := t.watched(); err != nil {
			return err
		}
		if err := json.NewEncoder(out).Encode(t); err != nil {
			return err
		}
		if !lines.Scan() {
			return lines.Err()
		}
	}
}

// watched asks etcd's own metrics. A proxy has none of them.
func (t *told) watched() error {
	families, err := prometheus.DefaultGatherer.Gather()
	if err != nil {
		return err
	}
	for _, f := range families {
		var to *int64
		switch f.GetName() {
		case "etcd_debugging_mvcc_watch_stream_total":
			to = &t.Streams
		case "etcd_debugging_mvcc_watcher_total":
			to = &t.Watches
		default:
			continue
		}
		for _, m := range f.GetMetric() {
			*to += int64(m.GetGauge().GetValue())
		}
	}
	return nil
}
