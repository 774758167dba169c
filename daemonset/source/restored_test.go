package source

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/podreload/podreload/testenv"
)

// TestRestoredUnnoticed: no call failed while a backup was restored, so clientv3 resumes the watch, behind what the
// lost etcd had brought: of what lies between the keys, too. What is written meanwhile comes all the same.
func TestRestoredUnnoticed(t *testing.T) {
	t.Parallel()
	const noise = 50
	for name, size := range map[string]int{"little": 1, "much": small + 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := testenv.NewEtcd(t)
			p := testenv.NewProxy(t, e.Endpoint())
			put(t, e, "/a/pad", strings.Repeat("v", size))
			put(t, e, "/a/x", "old")
			put(t, e, "/c", "old")
			backup := filepath.Join(t.TempDir(), "backup")
			if err := e.Backup(t.Context(), backup); err != nil {
				t.Fatal(err)
			}
			c := openAt(t, p.Endpoint())
			c.every = time.Hour // the broken stream alone has to tell
			n := count(c)
			s, between := c.Subscribe([]string{"/a", "/c"}), c.Subscribe([]string{"/b"})
			has := func(x, y string) {
				t.Helper()
				until(t, s, "has "+x+" and "+y, func(snap *Snapshot, err error) bool {
					if snap == nil || err != nil {
						return false
					}
					gotX, _ := snap.Get("/a/x")
					gotY, _ := snap.Get("/c")
					return gotX == x && gotY == y
				})
			}
			has("old", "old")
			holds(t, between)
			for i := range noise {
				put(t, e, "/b", fmt.Sprint(i))
			}
			holds(t, between, fmt.Sprintf("/b=%d", noise-1))
			between.Close()
			asked := n.txns.Load()
			p.Silence(true)
			if err := e.Restore(t.Context(), backup); err != nil {
				t.Fatal(err)
			}
			p.Silence(false)
			testenv.Await(t, func() bool { return n.txns.Load() > asked })
			has("old", "old")
			put(t, e, "/a/x", "new")
			for i := range noise {
				put(t, e, "/b", fmt.Sprint(i))
			}
			put(t, e, "/c", "new")
			has("new", "new")
		})
	}
}

// TestOtherEtcdOtherWatches: those that are open stay at what another etcd has brought.
func TestOtherEtcdOtherWatches(t *testing.T) {
	t.Parallel()
	e := testenv.NewEtcd(t)
	c := openAt(t, e.Endpoint())
	for key, size := range map[string]int{"/little": 1, "/much": small + 1} {
		put(t, e, key, strings.Repeat("v", size))
		f := newFeed(c, []string{key})
		after := func(change func()) error {
			t.Helper()
			f.state = nil
			if err := f.sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			f.brought = f.state.revision
			change()
			return f.verify(t.Context(), false)
		}
		if err := after(func() {}); err != nil {
			t.Errorf("%s: %v, and nothing is new", key, err)
		}
		if err := after(func() { f.brought++ }); err != errReopen {
			t.Errorf("%s: behind what is brought: %v, want %v", key, err, errReopen)
		}
		want := map[bool]error{true: errReopen, false: errResync}[f.state.bytes <= small]
		if err := after(func() { f.state.cluster++ }); err != want {
			t.Errorf("%s: another cluster: %v, want %v", key, err, want)
		}
	}
}
