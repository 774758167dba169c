package source

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/podreload/podreload/testenv"
)

// slowLink is a connection that lets through no more than rate bytes a second.
type slowLink struct {
	net.Conn
	rate int
}

func (l slowLink) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	time.Sleep(time.Duration(n) * time.Second / time.Duration(l.rate)) // this is the link
	return n, err
}

// TestSlowLink has more behind a link than it carries in the time of a call, and more than
// a first page can be cut to at once. What comes afterwards is followed as ever.
func TestSlowLink(t *testing.T) {
	t.Parallel()
	const count, size, rate = 128, 10_000, 2_000_000
	e := testenv.NewEtcd(t)
	for i := range count {
		put(t, e, fmt.Sprintf("/a/%03d", i), strings.Repeat("1", size))
	}
	c := openAt(t, e.Endpoint())
	c.call = 300 * time.Millisecond
	c.config.DialOptions = append(c.config.DialOptions, grpc.WithContextDialer(func(ctx context.Context, at string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", at)
		return slowLink{conn, rate}, err
	}))
	s := c.Subscribe([]string{"/a"})
	defer s.Close()
	has := func(last string) {
		t.Helper()
		until(t, s, "has "+last[:1], func(snap *Snapshot, err error) bool {
			if snap == nil || err != nil || snap.Len() != count {
				return false
			}
			got, _ := snap.Get("/a/127")
			return got == last
		})
	}
	has(strings.Repeat("1", size))
	put(t, e, "/a/127", "2")
	has("2")
}

// TestHangingRead: an etcd that answers nothing is no slow link, and is reported after two
// calls; whose own time is over makes no second one.
func TestHangingRead(t *testing.T) {
	t.Parallel()
	c := openAt(t, testenv.NewEtcd(t).Endpoint())
	var calls, hung atomic.Int64
	c.config.DialOptions = append(c.config.DialOptions, grpc.WithChainUnaryInterceptor(
		func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			calls.Add(1)
			if hung.Load() == 0 || method != pb.KV_Txn_FullMethodName {
				return invoke(ctx, method, req, reply, conn, opts...)
			}
			<-ctx.Done()
			return ctx.Err()
		}))
	read := func(own time.Duration, most int64) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), own)
		defer cancel()
		calls.Store(0)
		if _, err := c.Read(ctx, []string{"/a"}); !errors.Is(err, ErrUnavailable) || calls.Load() != most {
			t.Errorf("%d calls and %v, want %d and %v", calls.Load(), err, most, ErrUnavailable)
		}
	}
	hung.Store(1)
	read(10*time.Millisecond, 1)
	c.call = 10 * time.Millisecond
	read(patience, 2) // a page of 512 keys, and of 64
	read(patience, 2) // 8, and 1
	read(patience, 1) // it cannot be for the size of the answer
	hung.Store(0)
	c.call = patience
	if _, err := c.Read(t.Context(), []string{"/a"}); err != nil {
		t.Error(err)
	}
}
