package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/podreload/podreload/testenv"
)

// TestLargeValues holds values of the size that etcd lets in, more of them than
// one answer may have.
func TestLargeValues(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v testenv.Version) {
		e := testenv.NewEtcdWith(t, testenv.EtcdConfig{Version: v})
		const count, size, limit = 12, 1536<<10 - 512, 8 << 20
		value := func(i int) string { return strings.Repeat(string(rune('a'+i%26)), size) }
		for i := range count {
			put(t, e, fmt.Sprintf("/a/%02d", i), value(i))
		}
		c := openAt(t, e.Endpoint())
		c.config.MaxCallSendMsgSize, c.config.MaxCallRecvMsgSize = limit, limit
		s := c.Subscribe([]string{"/a"})
		want := func(last string) {
			t.Helper()
			snap := until(t, s, "all there", func(snap *Snapshot, err error) bool {
				if snap == nil || err != nil || snap.Len() != count {
					return false
				}
				got, _ := snap.Get("/a/11")
				return got == last
			})
			for i := range count - 1 {
				if got, _ := snap.Get(fmt.Sprintf("/a/%02d", i)); got != value(i) {
					t.Errorf("value %d has %d bytes and is another one", i, len(got))
				}
			}
		}
		want(value(11))
		put(t, e, "/a/11", value(1))
		want(value(1))
	})
}

// TestOddKeys has keys and values of any bytes, as etcd allows.
func TestOddKeys(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v testenv.Version) {
		e := testenv.NewEtcdWith(t, testenv.EtcdConfig{Version: v})
		c := openAt(t, e.Endpoint())
		early := c.Subscribe([]string{"/a"})
		holds(t, early)
		var want []string
		for i, key := range []string{"/a", "/a/", "/a//", "/a//b", "/a/b/", "/a/\xff\xfe", "/a/\x00", "/a/ü", "/a/../b", "/a/ b\n"} {
			value := fmt.Sprintf("\x00\xff%d\xc3\x28\n", i)
			put(t, e, key, value)
			want = append(want, key+"="+value)
		}
		for _, key := range []string{"a", "//a", "/a-b", "/a.", "/a0", "/\xff"} { // none of /a's
			put(t, e, key, "x")
		}
		slices.SortFunc(want, func(a, b string) int {
			a, _, _ = strings.Cut(a, "=")
			b, _, _ = strings.Cut(b, "=")
			return strings.Compare(a, b)
		})
		holds(t, early, want...)
		late := c.Subscribe([]string{"/a", "/none"})
		holds(t, late, want...)
		snap, _ := late.Current()
		if diff := cmp.Diff(want, pairs(snap.Range("/a"))); diff != "" {
			t.Error(diff)
		}
		if _, err := e.Delete(t.Context(), "/a/\xff\xfe"); err != nil {
			t.Fatal(err)
		}
		want = slices.DeleteFunc(want, func(s string) bool { return strings.HasPrefix(s, "/a/\xff\xfe") })
		holds(t, early, want...)
	})
}

// TestPagesMove changes all keys and compacts between two pages of one read: it
// must begin again, and show one revision.
func TestPagesMove(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v testenv.Version) {
		e := testenv.NewEtcdWith(t, testenv.EtcdConfig{Version: v})
		write := func(ctx context.Context, v string) int64 {
			var ops []clientv3.Op
			for i := range 100 {
				ops = append(ops, clientv3.OpPut(fmt.Sprintf("/p/%02d", i), v))
			}
			r, err := e.Client().Txn(ctx).Then(ops...).Commit()
			if err != nil {
				t.Error(err)
				return 0
			}
			return r.Header.Revision
		}
		write(t.Context(), "0")
		c := openAt(t, e.Endpoint())
		c.page = 30
		var calls atomic.Int64
		c.config.DialOptions = append(c.config.DialOptions, grpc.WithChainUnaryInterceptor(
			func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
				switch n := calls.Add(1); n {
				case 2, 8:
					write(ctx, fmt.Sprint(n)) // the pages that are left are of the past now
				case 3:
					if _, err := e.Client().Compact(ctx, write(ctx, "3")); err != nil {
						t.Error(err)
					}
				}
				return invoke(ctx, method, req, reply, conn, opts...)
			}))
		snap, err := c.Read(t.Context(), []string{"/p"})
		if err != nil {
			t.Fatal(err)
		}
		values := map[string]int{}
		for _, v := range snap.All() {
			values[v]++
		}
		if diff := cmp.Diff(map[string]int{"3": 100}, values); diff != "" || calls.Load() < 7 {
			t.Errorf("after %d calls: %s", calls.Load(), diff)
		}
	})
}

// TestPages reads more keys than a page and more ranges than a transaction
// holds, while they change: all of one read must be of one revision.
func TestPages(t *testing.T) {
	t.Parallel()
	e := testenv.NewEtcd(t)
	c := openAt(t, e.Endpoint())
	var ops []clientv3.Op
	var keys []string
	for i := range 100 {
		keys = append(keys, fmt.Sprintf("/p/%02d", i))
		ops = append(ops, clientv3.OpPut(keys[i]+"/x", "0"))
	}
	write := func(ctx context.Context, v string) error {
		for i := range ops {
			ops[i] = clientv3.OpPut(keys[i]+"/x", v)
		}
		_, err := e.Client().Txn(ctx).Then(ops...).Commit()
		return err
	}
	if err := write(t.Context(), "0"); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := 1; ctx.Err() == nil; i++ {
			if err := write(ctx, fmt.Sprint(i)); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
		}
	})
	defer writer.Wait()
	defer stop()
	for _, tc := range []struct {
		page int
		keys []string
	}{{4096, keys}, {7, []string{"/p"}}, {1, []string{"/p"}}, {50, keys}} {
		c.page = tc.page
		snap, err := c.Read(t.Context(), tc.keys)
		if err != nil {
			t.Fatal(err)
		}
		values := map[string]int{}
		for _, v := range snap.All() {
			values[v]++
		}
		if len(values) != 1 || snap.Len() != len(keys) {
			t.Errorf("page %d, %d keys: %d pairs with values %v", tc.page, len(tc.keys), snap.Len(), values)
		}
	}
}

// TestLargeAnswers caps answers so low that neither a page nor a watch's event
// fits at first.
func TestLargeAnswers(t *testing.T) {
	t.Parallel()
	e := testenv.NewEtcd(t)
	write := func(v string) {
		t.Helper()
		var ops []clientv3.Op
		for i := range 100 {
			ops = append(ops, clientv3.OpPut(fmt.Sprintf("/a/%02d", i), strings.Repeat(v, 2000)))
		}
		if _, err := e.Client().Txn(t.Context()).Then(ops...).Commit(); err != nil {
			t.Fatal(err)
		}
	}
	write("1")
	c := openAt(t, e.Endpoint())
	c.config.MaxCallSendMsgSize, c.config.MaxCallRecvMsgSize = 1000, 20_000
	s := c.Subscribe([]string{"/a"})
	defer s.Close()
	for _, v := range []string{"1", "2"} {
		until(t, s, "all "+v, func(snap *Snapshot, err error) bool {
			if snap == nil || err != nil || snap.Len() != 100 {
				return false
			}
			got, _ := snap.Get("/a/99")
			return got == strings.Repeat(v, 2000)
		})
		write("2")
	}
}

// TestLargeAnswerOnce: that values are large is found out by an answer which etcd has made in vain, so
// once and not by each read.
func TestLargeAnswerOnce(t *testing.T) {
	t.Parallel()
	e := testenv.NewEtcd(t)
	const keys, size, limit = 64, 20_000, 1 << 20
	for i := range keys {
		put(t, e, fmt.Sprintf("/a/%03d", i), strings.Repeat("v", size))
	}
	c := openAt(t, e.Endpoint())
	c.config.MaxCallSendMsgSize, c.config.MaxCallRecvMsgSize = limit, limit
	var vain atomic.Int64
	c.config.DialOptions = append(c.config.DialOptions, grpc.WithChainUnaryInterceptor(
		func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			err := invoke(ctx, method, req, reply, conn, opts...)
			if code(err) == codes.ResourceExhausted {
				vain.Add(1)
			}
			return err
		}))
	for range 3 {
		if s, err := c.Read(t.Context(), []string{"/a"}); err != nil || s.Len() != keys {
			t.Fatal(show(s), err)
		}
	}
	if n := vain.Load(); n != 1 {
		t.Errorf("%d answers in vain for three reads, want 1", n)
	}
}

// TestTooMuch: what is more than a feed may hold is read again after minutes only, however long
// the reading took, since that is much work for etcd and much garbage here. Who asks
// for narrower keys has them at once.
func TestTooMuch(t *testing.T) {
	t.Parallel()
	e := testenv.NewEtcd(t)
	put(t, e, "/a/few", "1")
	put(t, e, "/a/many", strings.Repeat("1", 1000))
	c := openAt(t, e.Endpoint())
	c.most = 1000
	s := c.Subscribe([]string{"/a"})
	defer s.Close()
	until(t, s, "too much", func(_ *Snapshot, err error) bool { return errors.Is(err, errTooMuch) })
	narrow := c.Subscribe([]string{"/a/few"})
	defer narrow.Close()
	holds(t, narrow, "/a/few=1")

	f := newFeed(c, []string{"/a"})
	for _, took := range []time.Duration{0, maxDelay + 1} {
		err := f.session(t.Context())
		if d := f.delay(err, took); d < time.Minute {
			t.Errorf("after %v, which took %v, the next attempt comes in %v", err, took, d)
		}
	}
	if d := f.delay(errEnded, 0); d > minDelay {
		t.Errorf("after another failure the next attempt comes in %v, want %v at most", d, minDelay)
	}
}
