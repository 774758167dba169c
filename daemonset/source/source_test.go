package source

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"

	"github.com/podreload/podreload/testenv"
)

func TestSubscribe(t *testing.T) {
	t.Parallel()
	e := testenv.NewEtcd(t)
	first := put(t, e, "/a/x", "1")
	c := openAt(t, e.Endpoint())
	s := c.Subscribe([]string{"/a"})
	defer s.Close()

	snap := holds(t, s, "/a/x=1")
	if snap.Revision() != first {
		t.Errorf("revision %d, want %d", snap.Revision(), first)
	}
	second := put(t, e, "/a/x", "2")
	if now := holds(t, s, "/a/x=2"); now.Revision() != second {
		t.Errorf("revision %d, want %d", now.Revision(), second)
	}
	put(t, e, "/a", "self")
	holds(t, s, "/a=self", "/a/x=2")
	if _, err := e.Delete(t.Context(), "/a/x"); err != nil {
		t.Fatal(err)
	}
	holds(t, s, "/a=self")
	if diff := cmp.Diff([]string{"/a/x=1"}, pairs(snap.All())); diff != "" {
		t.Errorf("the first snapshot changed: %s", diff)
	}
}

func TestSiblingsDoNotFire(t *testing.T) {
	t.Parallel()
	e := testenv.NewEtcd(t)
	put(t, e, "/a/x", "1")
	c := openAt(t, e.Endpoint())
	one := c.Subscribe([]string{"/a"})
	two := c.Subscribe([]string{"/a", "/b"})
	all := c.Subscribe([]string{"/"})
	before := holds(t, one, "/a/x=1")
	holds(t, two, "/a/x=1")
	holds(t, all, "/a/x=1")
	drain(one, two)

	// "/a-b" and "/a.b" sort between "/a" and "/a/", so the watch sees them.
	for _, k := range []string{"/asibling", "/a-b", "/a.b/c", "/a0", "/b-c"} {
		put(t, e, k, "x")
	}
	last := put(t, e, "/a/x", "2")
	for _, s := range []*Subscription{one, two} {
		<-s.Changed()
		// Its first news is the last put: the siblings made none.
		if snap, _ := s.Current(); snap.Revision() != last {
			t.Errorf("fired at revision %d, want %d (before: %d)", snap.Revision(), last, before.Revision())
		}
	}
	holds(t, all, "/a-b=x", "/a.b/c=x", "/a/x=2", "/a0=x", "/asibling=x", "/b-c=x")
}

// TestOneRevision writes equal values to two prefixes in transactions; no
// snapshot may ever show them apart.
func TestOneRevision(t *testing.T) { eachMode(t, testOneRevision) }

func testOneRevision(t *testing.T, e *testenv.Etcd, waste int) {
	c := openAt(t, e.Endpoint())
	c.waste = waste
	s := c.Subscribe([]string{"/a", "/b"})
	const writes = 300
	writer := make(chan error, 1)
	go func() {
		for i := range writes {
			v := fmt.Sprint(i)
			_, err := e.Client().Txn(t.Context()).Then(clientv3.OpPut("/a/x", v), clientv3.OpPut("/b/y", v)).Commit()
			if err != nil {
				writer <- err
				return
			}
		}
		writer <- nil
	}()
	seen := 0
	until(t, s, "shows the last write", func(snap *Snapshot, err error) bool {
		if snap == nil {
			return false
		}
		seen++
		a, _ := snap.Get("/a/x")
		b, _ := snap.Get("/b/y")
		if a != b {
			t.Fatalf("revision %d has %q and %q", snap.Revision(), a, b)
		}
		return a == fmt.Sprint(writes-1)
	})
	if err := <-writer; err != nil {
		t.Fatal(err)
	}
	t.Logf("%d snapshots of %d writes", seen, writes)
}

// TestManyChanges writes from several sides; the last state must always arrive,
// and revisions never go back.
func TestManyChanges(t *testing.T) { eachMode(t, testManyChanges) }

func testManyChanges(t *testing.T, e *testenv.Etcd, waste int) {
	c := openAt(t, e.Endpoint())
	c.waste = waste
	for _, keys := range [][]string{{"/a"}, {"/a/0", "/a/1", "/a/2", "/a/3", "/done"}} {
		s := c.Subscribe(append(keys, "/a/done"))
		var writers sync.WaitGroup
		for w := range 4 {
			writers.Go(func() {
				for i := range 200 {
					key := fmt.Sprintf("/a/%d/%d", w, i%7)
					var err error
					if i%5 == 4 {
						_, err = e.Client().Delete(t.Context(), key)
					} else {
						_, err = e.Client().Put(t.Context(), key, fmt.Sprint(i))
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		go func() {
			writers.Wait()
			_, _ = e.Client().Put(t.Context(), "/a/done", fmt.Sprint(len(keys)))
		}()
		var revision int64
		last := until(t, s, "done", func(snap *Snapshot, err error) bool {
			if snap == nil {
				return false
			}
			if snap.Revision() < revision {
				t.Errorf("revision went from %d to %d", revision, snap.Revision())
			}
			revision = snap.Revision()
			done, _ := snap.Get("/a/done")
			return done == fmt.Sprint(len(keys))
		})
		want, err := c.Read(t.Context(), []string{"/a"})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(pairs(want.All()), pairs(last.All())); diff != "" {
			t.Error(diff)
		}
		s.Close()
	}
}

func TestShared(t *testing.T) {
	t.Parallel()
	e := testenv.NewEtcd(t)
	put(t, e, "/a/x", "1")
	c := openAt(t, e.Endpoint())
	n := count(c)
	one := c.Subscribe([]string{"/a", "/a/x"})
	holds(t, one, "/a/x=1")
	two := c.Subscribe([]string{"a/"})
	<-two.Changed() // a late subscriber need not wait for a change
	holds(t, two, "/a/x=1")
	if w := n.watches.Load(); w != 1 {
		t.Errorf("%d watches for two subscriptions to the same keys, want 1", w)
	}
	other := c.Subscribe([]string{"/b", "/c"})
	holds(t, other)
	if w, s := n.watches.Load(), n.streams.Load(); w != 2 || s != 1 {
		t.Errorf("%d watches on %d streams, want 2 on 1", w, s)
	}
	if opened, _ := c.streams.now(); opened != 1 {
		t.Errorf("%d streams were noticed, want 1", opened)
	}
	// The check that a new stream calls for is over before an event is taken.
	put(t, e, "/a/x", "1+")
	holds(t, one, "/a/x=1+")
	txns := n.txns.Load()
	put(t, e, "/a/x", "2")
	holds(t, one, "/a/x=2")
	holds(t, two, "/a/x=2")
	if got := n.txns.Load(); got != txns {
		t.Errorf("a change below one key made %d calls, want 0", got-txns)
	}
	if _, err := e.Client().Txn(t.Context()).Then(clientv3.OpPut("/b", "1"), clientv3.OpPut("/c", "1")).Commit(); err != nil {
		t.Fatal(err)
	}
	holds(t, other, "/b=1", "/c=1")
	put(t, e, "/b", "2")
	holds(t, other, "/b=2", "/c=1")
	if got := n.txns.Load() - txns; got != 0 {
		t.Errorf("two transactions on several keys made %d reads, want 0", got)
	}
	one.Close()
	one.Close()
	put(t, e, "/a/x", "3")
	holds(t, two, "/a/x=3")
	two.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.feeds) != 1 {
		t.Errorf("%d feeds are left, want that of /b and /c", len(c.feeds))
	}
}

func TestReadNothing(t *testing.T) {
	t.Parallel()
	e := testenv.NewEtcd(t)
	rev := put(t, e, "/a", "1")
	c := openAt(t, e.Endpoint())
	for _, keys := range [][]string{nil, {"/none"}} {
		snap, err := c.Read(t.Context(), keys)
		if err != nil || snap.Len() != 0 || snap.Revision() != rev {
			t.Errorf("Read(%q) = %s, %v; want revision %d, empty", keys, show(snap), err, rev)
		}
		s := c.Subscribe(keys)
		holds(t, s)
		s.Close()
	}
}

// TestFeedEnds closes a feed's last subscription, and nothing else.
func TestFeedEnds(t *testing.T) {
	e := testenv.NewEtcd(t)
	c := openAt(t, e.Endpoint())
	if _, err := c.Read(t.Context(), nil); err != nil { // connects
		t.Fatal(err)
	}
	leaks := goleak.IgnoreCurrent()
	s := c.Subscribe([]string{"/a", "/b"})
	holds(t, s)
	s.Close()
	if err := testenv.Leaks(leaks); err != nil {
		t.Error(err)
	}
}

func TestClose(t *testing.T) {
	e := testenv.NewEtcd(t)
	put(t, e, "/a", "1")
	leaks := goleak.IgnoreCurrent()
	c := openAt(t, e.Endpoint())
	one := c.Subscribe([]string{"/a"})
	two := c.Subscribe([]string{"/a", "/b"})
	holds(t, one, "/a=1")
	holds(t, two, "/a=1")
	late := c.Subscribe([]string{"/late"}) // still starting
	two.Close()
	c.Close()
	c.Close()
	after := c.Subscribe([]string{"/a"})
	for _, s := range []*Subscription{one, late, after} {
		if _, err := s.Current(); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v, want ErrClosed", err)
		}
		s.Close()
	}
	if _, err := c.Read(t.Context(), []string{"/a"}); !errors.Is(err, ErrClosed) {
		t.Errorf("Read after Close: %v, want ErrClosed", err)
	}
	if err := testenv.Leaks(leaks); err != nil {
		t.Error(err)
	}
}
