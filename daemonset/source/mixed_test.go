package source

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/podreload/podreload/testenv"
)

// openBetween has a client of one etcd whose reads the other answers as it is told, by their number from 1 on.
func openBetween(t *testing.T, one, two *testenv.Etcd, other func(call int64) bool) *Client {
	t.Helper()
	c := openAt(t, one.Endpoint())
	var calls atomic.Int64
	c.config.DialOptions = append(c.config.DialOptions, grpc.WithChainUnaryInterceptor(
		func(ctx context.Context, method string, req, reply any, _ *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			e := one
			if method == pb.KV_Txn_FullMethodName && other(calls.Add(1)) {
				e = two
			}
			return invoke(ctx, method, req, reply, e.Client().ActiveConnection(), opts...)
		}))
	return c
}

// TestPagesOfTwoClusters has the address lead to another etcd between two pages of one read, once and again and
// again. The other has the revision that the pages are pinned to, so it says nothing.
func TestPagesOfTwoClusters(t *testing.T) {
	t.Parallel()
	const keys = 8
	of := func(value string, times int) *testenv.Etcd {
		e := testenv.NewEtcd(t)
		for range times {
			for i := range keys {
				put(t, e, fmt.Sprintf("/a/%d", i), value)
			}
		}
		return e
	}
	one, two := of("one", 1), of("two", 2)
	for name, tt := range map[string]struct {
		other func(call int64) bool
		want  string // the only value; empty where there is none to be had
	}{
		"once":         {func(call int64) bool { return call > 1 }, "two"},
		"at each page": {func(call int64) bool { return call%2 == 0 }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := openBetween(t, one, two, tt.other)
			c.page = keys / 2
			s, err := c.Read(t.Context(), []string{"/a"})
			if tt.want == "" {
				if !errors.Is(err, errMixed) {
					t.Errorf("%s, %v, want %v", show(s), err, errMixed)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for key, value := range s.All() {
				if value != tt.want || s.Len() != keys {
					t.Errorf("%d keys, %s=%s, want %q in each of %d", s.Len(), key, value, tt.want, keys)
				}
			}
		})
	}
}

// TestCheckOfTwoClusters has the address lead to another etcd in the middle of a check, which takes several calls for
// so many keys. There all but one value is equal.
func TestCheckOfTwoClusters(t *testing.T) {
	t.Parallel()
	one, two := testenv.NewEtcd(t), testenv.NewEtcd(t)
	var keys []string
	for i := range maxOps + 1 {
		key := fmt.Sprintf("/a/%03d", i)
		keys = append(keys, key)
		put(t, one, key, "")
		put(t, two, key, map[bool]string{true: "other"}[i == maxOps/2])
	}
	c := openBetween(t, one, two, func(call int64) bool { return call > 1 })
	s, err := openAt(t, one.Endpoint()).read(t.Context(), keys)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.check(t.Context(), keys, s); got != stale || err != nil {
		t.Errorf("verdict %d, %v; want %d", got, err, stale)
	}
}
