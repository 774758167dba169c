package source

import (
	"fmt"
	"slices"
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
			if n > 1000 && len(keys) > 1 {
				continue // reads all for every put
			}
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
			f := &feed{keys: []string{"/a"}, state: newState()}
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

// fill writes n keys below prefix.
func fill(b *testing.B, e *testenv.Etcd, prefix string, n int) {
	b.Helper()
	for from := 0; from < n; from += 128 {
		var ops []clientv3.Op
		for i := from; i < min(n, from+128); i++ {
			ops = append(ops, clientv3.OpPut(fmt.Sprintf("%s/%05d", prefix, i), "0123456789012345678901234567890123456789012345678901234567890123456789"))
		}
		if _, err := e.Client().Txn(b.Context()).Then(ops...).Commit(); err != nil {
			b.Fatal(err)
		}
	}
}
