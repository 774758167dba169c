package testenv

import (
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// TestIsolate cuts the leader off: the others elect another one, it knows none, and sees what was
// written meanwhile when it is back.
func TestIsolate(t *testing.T) {
	for _, v := range []Version{"", Debian} {
		t.Run("version "+string(v), func(t *testing.T) {
			t.Parallel()
			c := NewCluster(t, v, 3)
			ctx := t.Context()
			old, err := c.Leader(ctx)
			if err != nil {
				t.Fatal(err)
			}
			c.Isolate(old)
			lonely, other := c.Members[old], c.Members[(old+1)%3]
			for {
				r, err := lonely.Client().Status(ctx, lonely.Plain())
				if err != nil {
					t.Fatal(err)
				}
				if r.Leader == 0 {
					break
				}
			}
			// A put is not retried while there is no leader; a read is.
			if _, err := other.Client().Get(ctx, "/a"); err != nil {
				t.Fatal(err)
			}
			if _, err := other.Put(ctx, "/a", "1"); err != nil {
				t.Fatal(err)
			}
			r, err := lonely.Client().Get(ctx, "/a", clientv3.WithSerializable())
			if err != nil || len(r.Kvs) != 0 {
				t.Fatalf("the member that is cut off has %v, %v", r, err)
			}
			c.Heal(old)
			if r, err = lonely.Client().Get(ctx, "/a"); err != nil || len(r.Kvs) != 1 {
				t.Fatalf("the member that came back has %v, %v", r, err)
			}
		})
	}
}
