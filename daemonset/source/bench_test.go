package source

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/podreload/podreload/testenv"
)

// BenchmarkArrival measures from etcd's acknowledgement of a put to its
// snapshot read by a subscriber, as the median. A watch may be faster than the
// acknowledgement: then it is 0.
func BenchmarkArrival(b *testing.B) {
	e := testenv.NewEtcd(b)
	for _, n := range []int{1, 1000, 50_000} {
		prefix := fmt.Sprintf("/bench%d", n)
		fill(b, e, prefix, n)
		c := openAt(b, e.Endpoint())
		for _, keys := range [][]string{{prefix}, {prefix, "/second"}} {
			b.Run(fmt.Sprintf("keys=%d/ranges=%d", n, len(keys)), func(b *testing.B) {
				s := c.Subscribe(keys)
				defer s.Close()
				until(b, s, "fresh", func(snap *Snapshot, err error) bool { return snap != nil && err == nil })
				var late []time.Duration
				for i := 0; b.Loop(); i++ {
					rev := put(b, e, prefix+"/00000", fmt.Sprint(i))
					acknowledged := time.Now()
					until(b, s, "arrived", func(snap *Snapshot, _ error) bool { return snap.Revision() >= rev })
					late = append(late, time.Since(acknowledged))
				}
				slices.Sort(late)
				b.ReportMetric(float64(late[len(late)/2].Microseconds()), "µs-after-ack")
			})
		}
	}
}

// BenchmarkTake measures one event put upon the state, and its snapshot.
func BenchmarkTake(b *testing.B) {
	for _, n := range []int{1, 50_000} {
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
			f := &feed{client: &Client{waste: 1 << 20}, keys: []string{"/a"}, state: newState()}
			for i := range n {
				_ = f.state.put(pair(fmt.Sprintf("/a/%05d", i), "value", 1))
			}
			f.state.revision = 1
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				kv := &mvccpb.KeyValue{Key: fmt.Appendf(nil, "/a/%05d", i%n), Value: []byte("other"), ModRevision: int64(i + 2)}
				if err := f.take(b.Context(), []*clientv3.Event{{Kv: kv}}); err != nil {
					b.Fatal(err)
				}
				f.publish(nil)
			}
		})
	}
}

// BenchmarkCheck measures the comparison that runs every 30 s, and for scale
// the full read that it saves.
func BenchmarkCheck(b *testing.B) {
	e := testenv.NewEtcd(b)
	c := openAt(b, e.Endpoint())
	fill(b, e, "/a", 50_000)
	keys := []string{"/a"}
	s, err := c.read(b.Context(), keys)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("check", func(b *testing.B) {
		for b.Loop() {
			if v, err := c.check(b.Context(), keys, s); v != same || err != nil {
				b.Fatal(v, err)
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			if _, err := c.read(b.Context(), keys); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkRead measures a whole read, from etcd to the snapshot.
func BenchmarkRead(b *testing.B) {
	for _, v := range []testenv.Version{"", testenv.Debian} {
		e := testenv.NewEtcdWith(b, testenv.EtcdConfig{Version: v})
		c := openAt(b, e.Endpoint())
		for _, n := range []int{1, 1000, 50_000} {
			prefix := fmt.Sprintf("/bench%d", n)
			fill(b, e, prefix, n)
			b.Run(fmt.Sprintf("version %s/keys=%d", v, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if s, err := c.Read(b.Context(), []string{prefix}); err != nil || s.Len() != n {
						b.Fatal(s, err)
					}
				}
			})
		}
	}
}

// BenchmarkHeap measures what a state and its snapshot weigh after a
// collection, over the bytes of their keys and values: as read, and after every
// key has changed once with a snapshot each time.
func BenchmarkHeap(b *testing.B) {
	for _, tc := range []struct{ keys, value int }{{50_000, 109}, {1_000_000, 70}} {
		b.Run(fmt.Sprintf("keys=%d", tc.keys), func(b *testing.B) {
			value := strings.Repeat("v", tc.value)
			kv := func(i int) item {
				return pair(fmt.Sprintf("/services/web/upstream/%07d", i), value, int64(i+1))
			}
			var read, churned float64
			for b.Loop() {
				before := live()
				s := newState()
				for i := range tc.keys {
					_ = s.put(kv(i))
				}
				snap := s.snapshot()
				read = float64(live()-before) / float64(s.bytes)
				for i := range tc.keys {
					_ = s.put(kv((i * 7919) % tc.keys))
					snap = s.snapshot()
				}
				churned = float64(live()-before) / float64(s.bytes)
				runtime.KeepAlive(snap)
			}
			b.ReportMetric(read, "heap-bytes/data-byte")
			b.ReportMetric(churned, "heap-bytes/data-byte-changed")
		})
	}
}

// live is the heap in use after a collection.
func live() int64 {
	runtime.GC()
	runtime.GC() // what the first one's finalizers let go
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// line is a value as long as in confd's measurement.
const line = "server 10.20.30.40:8080 weight=100 max_fails=3 fail_timeout=30s; # upstream of web, in zone eu-west-1a, blue..."

// fill writes n keys below prefix.
func fill(b *testing.B, e *testenv.Etcd, prefix string, n int) {
	b.Helper()
	for from := 0; from < n; from += 128 {
		var ops []clientv3.Op
		for i := from; i < min(n, from+128); i++ {
			ops = append(ops, clientv3.OpPut(fmt.Sprintf("%s/%05d", prefix, i), line))
		}
		if _, err := e.Client().Txn(b.Context()).Then(ops...).Commit(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkNewer measures the ways to learn what changed below a key that have
// been thought of instead of one watch over all keys, beside the full read.
func BenchmarkNewer(b *testing.B) {
	for _, v := range []testenv.Version{"", testenv.Debian} {
		e := testenv.NewEtcdWith(b, testenv.EtcdConfig{Version: v})
		fill(b, e, "/a", 50_000)
		head := put(b, e, "/a/00000", "new")
		c := openAt(b, e.Endpoint())
		below := spans([]string{"/a"})[1]
		for name, op := range map[string]clientv3.Op{
			"min-mod-revision": below.get(clientv3.WithMinModRev(head)),
			"newest":           below.get(clientv3.WithKeysOnly(), clientv3.WithLimit(1), clientv3.WithSort(clientv3.SortByModRevision, clientv3.SortDescend)),
			"count":            below.get(clientv3.WithCountOnly()),
			"all":              below.get(),
		} {
			b.Run("version "+string(v)+"/"+name, func(b *testing.B) {
				for b.Loop() {
					if _, err := c.txn(b.Context(), []clientv3.Op{op}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		b.Run("version "+string(v)+"/compare", func(b *testing.B) {
			etcd, err := c.connect(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := etcd.Txn(b.Context()).If(clientv3.Compare(clientv3.ModRevision(below.from).WithRange(below.to), "<", head+1)).Commit(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
