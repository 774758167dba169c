package testenv

import (
	"context"
	"testing"
	"time"

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
			var old int
			Await(t, func() (found bool) { // an election may be under way, again
				var err error
				old, err = c.Leader(ctx)
				return err == nil
			})
			c.Isolate(old)
			lonely, other := c.Members[old], c.Members[(old+1)%3]
			Await(t, func() bool {
				r, err := lonely.Client().Status(ctx, lonely.Plain())
				if err != nil {
					t.Fatal(err)
				}
				return r.Leader == 0
			})
			// A put is not retried by the client while there is no leader.
			late, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			if err := Poll(late, func() error {
				_, err := other.Put(late, "/a", "1")
				return err
			}); err != nil {
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
