package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/podreload/podreload/testenv"
)

// patience bounds every wait of a test; nothing is judged by it.
const patience = time.Minute

func open(t testing.TB, cfg Config) *Client {
	t.Helper()
	c, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// each runs a test on every version of etcd, at once.
func each(t *testing.T, f func(t *testing.T, v testenv.Version)) {
	t.Helper()
	for _, v := range []testenv.Version{"", testenv.Debian} {
		t.Run("version "+string(v), func(t *testing.T) {
			t.Parallel()
			f(t, v)
		})
	}
}

// apart is a client's waste with which feeds are driven apart by the first event, and stay so.
const apart = -1 << 40

// eachMode runs a test on every version, and on feeds that watch together or
// are driven apart by the first event.
func eachMode(t *testing.T, f func(t *testing.T, e *testenv.Etcd, waste int)) {
	t.Helper()
	each(t, func(t *testing.T, v testenv.Version) {
		for name, waste := range map[string]int{"together": 1 << 20, "apart": apart} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				f(t, testenv.NewEtcdWith(t, testenv.EtcdConfig{Version: v}), waste)
			})
		}
	})
}

func openAt(t testing.TB, endpoint string) *Client {
	t.Helper()
	return open(t, Config{Endpoints: []string{endpoint}})
}

func put(t testing.TB, e *testenv.Etcd, key, value string) int64 {
	t.Helper()
	rev, err := e.Put(t.Context(), key, value)
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

// until follows s until what it shows is as wanted, and returns that.
func until(t testing.TB, s *Subscription, what string, want func(*Snapshot, error) bool) *Snapshot {
	t.Helper()
	timeout := time.After(patience)
	for {
		snap, err := s.Current()
		if want(snap, err) {
			return snap
		}
		select {
		case <-s.Changed():
		case <-timeout:
			t.Fatalf("never %s; last: %v, error %v", what, show(snap), err)
		}
	}
}

func show(s *Snapshot) string {
	if s == nil {
		return "no snapshot"
	}
	return fmt.Sprintf("revision %d with %d keys: %.200q", s.Revision(), s.Len(), pairs(s.All()))
}

// holds waits for a fresh snapshot of exactly these pairs.
func holds(t testing.TB, s *Subscription, want ...string) *Snapshot {
	t.Helper()
	return until(t, s, fmt.Sprintf("holds %q", want), func(snap *Snapshot, err error) bool {
		return err == nil && snap != nil && slices.Equal(want, pairs(snap.All()))
	})
}

func fails(t testing.TB, s *Subscription, class error) error {
	t.Helper()
	var last error
	until(t, s, fmt.Sprintf("fails with %q", class), func(_ *Snapshot, err error) bool {
		last = err
		return errors.Is(err, class) && !strings.HasSuffix(err.Error(), ": connecting")
	})
	return last
}

// traffic counts what a client asks of etcd; read is in bytes.
type traffic struct{ txns, read, logins, streams, watches, progress atomic.Int64 }

// count must be called before the client is used.
func count(c *Client) *traffic {
	n := &traffic{}
	c.config.DialOptions = append(c.config.DialOptions,
		grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			if method == "/etcdserverpb.Auth/Authenticate" {
				n.logins.Add(1)
			} else {
				n.txns.Add(1)
			}
			err := invoke(ctx, method, req, reply, conn, opts...)
			if m, ok := reply.(proto.Message); ok && err == nil {
				n.read.Add(int64(proto.Size(m)))
			}
			return err
		}),
		grpc.WithChainStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			n.streams.Add(1)
			s, err := open(ctx, desc, conn, method, opts...)
			return &countedStream{s, n}, err
		}))
	return n
}

type countedStream struct {
	grpc.ClientStream
	n *traffic
}

func (s *countedStream) SendMsg(m any) error {
	if r, ok := m.(*pb.WatchRequest); ok && r.GetCreateRequest() != nil {
		s.n.watches.Add(1)
	} else if ok && r.GetProgressRequest() != nil {
		s.n.progress.Add(1)
	}
	return s.ClientStream.SendMsg(m)
}

// deaf is a grpc.StreamClientInterceptor that drops what asks for progress.
func deaf(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := open(ctx, desc, conn, method, opts...)
	return deafStream{s}, err
}

type deafStream struct{ grpc.ClientStream }

func (s deafStream) SendMsg(m any) error {
	if r, ok := m.(*pb.WatchRequest); ok && r.GetProgressRequest() != nil {
		return nil
	}
	return s.ClientStream.SendMsg(m)
}

// ahead has something written before each read, so that etcd is never found at rest. Who
// did not answer is counted only then: an etcd at rest has no answer to give.
func ahead(e *testenv.Etcd) grpc.DialOption {
	return grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if method == pb.KV_Txn_FullMethodName {
			if _, err := e.Put(ctx, "/elsewhere", ""); err != nil {
				return err // so no read is without
			}
		}
		return invoke(ctx, method, req, reply, conn, opts...)
	})
}

// wantMute fails where who does not answer was asked too often. A stream that breaks has
// its watches opened once more, and who was mute may be asked again then. The client must be
// ahead's.
func wantMute(t testing.TB, n *traffic) {
	t.Helper()
	if asked, most := n.progress.Load(), maxMute*n.watches.Load(); asked > most {
		t.Errorf("asked for progress %d times, want up to %d", asked, most)
	}
}

func drain(subs ...*Subscription) {
	for _, s := range subs {
		select {
		case <-s.Changed():
		default:
		}
	}
}
