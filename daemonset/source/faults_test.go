package source

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/podreload/podreload/testenv"
)

func restart(t testing.TB, e *testenv.Etcd) {
	t.Helper()
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestDownAtStart(t *testing.T) {
	t.Parallel()
	e := testenv.NewEtcd(t)
	put(t, e, "/a", "1")
	e.Stop()
	c := openAt(t, e.Endpoint())
	s := c.Subscribe([]string{"/a"})
	defer s.Close()
	err := fails(t, s, ErrUnavailable)
	if text := err.Error(); !strings.HasPrefix(text, "waiting for etcd at "+e.Endpoint()+": ") ||
		!strings.HasSuffix(text, "connection refused") {
		t.Errorf("error %q does not say what is waited for and why", text)
	}
	if _, err := c.Read(t.Context(), []string{"/a"}); err == nil {
		t.Error("Read from an etcd that is down: no error")
	}
	restart(t, e)
	holds(t, s, "/a=1")
}

func TestRestart(t *testing.T) {
	t.Parallel()
	eachMode(t, testRestart)
}

func testRestart(t *testing.T, e *testenv.Etcd, waste int) {
	put(t, e, "/a", "1")
	c := openAt(t, e.Endpoint())
	c.every, c.waste = time.Hour, waste // the broken stream alone has to tell
	one := c.Subscribe([]string{"/a"})
	two := c.Subscribe([]string{"/a", "/b"})
	before := holds(t, one, "/a=1")
	holds(t, two, "/a=1")

	e.Stop()
	fails(t, one, ErrUnavailable)
	fails(t, two, ErrUnavailable)
	if snap, _ := one.Current(); snap != before {
		t.Error("the snapshot did not stay while etcd was away")
	}
	restart(t, e)
	holds(t, one, "/a=1")
	put(t, e, "/a", "2")
	holds(t, one, "/a=2")
	holds(t, two, "/a=2")
}

// TestCut breaks the connection only: etcd goes on, and what it writes
// meanwhile must arrive, without a full read where the watch can resume.
func TestCut(t *testing.T) {
	t.Parallel()
	e := testenv.NewEtcd(t)
	p := testenv.NewProxy(t, e.Endpoint())
	put(t, e, "/a/x", "1")
	c := openAt(t, p.Endpoint())
	c.every = time.Hour // the broken stream alone has to tell
	s := c.Subscribe([]string{"/a"})
	before := holds(t, s, "/a/x=1")
	p.Cut()
	fails(t, s, ErrUnavailable)
	p.Mend()
	if snap := holds(t, s, "/a/x=1"); snap != before {
		t.Error("nothing changed during the cut, but all was read again")
	}
	p.Cut()
	put(t, e, "/a/x", "2")
	put(t, e, "/a/y", "3")
	p.Mend()
	holds(t, s, "/a/x=2", "/a/y=3")
	put(t, e, "/a/x", "4")
	holds(t, s, "/a/x=4", "/a/y=3")
}

// TestCompaction compacts away the revisions that a cut feed would resume from.
func TestCompaction(t *testing.T) {
	t.Parallel()
	eachMode(t, testCompaction)
}

func testCompaction(t *testing.T, e *testenv.Etcd, waste int) {
	p := testenv.NewProxy(t, e.Endpoint())
	put(t, e, "/a/x", "0")
	put(t, e, "/a/gone", "1")
	c := openAt(t, p.Endpoint())
	c.every, c.waste = time.Hour, waste // the broken stream alone has to tell
	s := c.Subscribe([]string{"/a", "/b"})
	holds(t, s, "/a/gone=1", "/a/x=0")
	put(t, e, "/a/x", "1")
	holds(t, s, "/a/gone=1", "/a/x=1")
	p.Cut()
	fails(t, s, ErrUnavailable)
	if _, err := e.Delete(t.Context(), "/a/gone"); err != nil {
		t.Fatal(err)
	}
	put(t, e, "/a/x", "2")
	rev := put(t, e, "/elsewhere", "1")
	if _, err := e.Client().Compact(t.Context(), rev, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	p.Mend()
	holds(t, s, "/a/x=2")
	put(t, e, "/a/x", "3")
	holds(t, s, "/a/x=3")
}

// TestReplaced puts an empty etcd in the place of the one that was read.
func TestReplaced(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, e *testenv.Etcd, waste int) {
		put(t, e, "/a/x", "1")
		c := openAt(t, e.Endpoint())
		c.every, c.waste = time.Hour, waste // the broken stream alone has to tell
		s := c.Subscribe([]string{"/a", "/b"})
		before := holds(t, s, "/a/x=1")
		if err := e.Empty(t.Context()); err != nil {
			t.Fatal(err)
		}
		after := holds(t, s)
		if after.Revision() >= before.Revision() {
			t.Errorf("revision %d, was %d: it did not go back", after.Revision(), before.Revision())
		}
		if diff := cmp.Diff([]string{"/a"}, after.Empty([]string{"/a"})); diff != "" {
			t.Error(diff)
		}
		put(t, e, "/b/y", "2")
		holds(t, s, "/b/y=2")
	})
}

// TestRestored restores a backup behind the feed's back. The cluster's id stays,
// the revision goes back.
func TestRestored(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		// writes after the restore and before the feed sees etcd again
		more int
		// other says that they also change what the feed has
		other bool
	}{
		{"lower revision", 0, false},
		{"revision caught up, keys untouched", 50, false},
		{"revision caught up, other past", 50, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			eachMode(t, func(t *testing.T, e *testenv.Etcd, waste int) { testRestored(t, e, waste, tc.more, tc.other) })
		})
	}
}

// TestRestoredAndReplayed: what was written since the backup is written again, by the same script, with one
// value that is another. Count, newest key and revision are equal.
func TestRestoredAndReplayed(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, e *testenv.Etcd, waste int) {
		p := testenv.NewProxy(t, e.Endpoint())
		put(t, e, "/a/x", "old")
		backup := filepath.Join(t.TempDir(), "backup")
		if err := e.Backup(t.Context(), backup); err != nil {
			t.Fatal(err)
		}
		script := func(password string) {
			t.Helper()
			put(t, e, "/a/password", password)
			put(t, e, "/a/version", "2")
		}
		c := openAt(t, p.Endpoint())
		c.every, c.waste = time.Hour, waste // the broken stream alone has to tell
		s := c.Subscribe([]string{"/a"})
		script("lost")
		holds(t, s, "/a/password=lost", "/a/version=2", "/a/x=old")
		p.Cut()
		fails(t, s, ErrUnavailable)
		if err := e.Restore(t.Context(), backup); err != nil {
			t.Fatal(err)
		}
		script("new")
		p.Mend()
		holds(t, s, "/a/password=new", "/a/version=2", "/a/x=old")
		put(t, e, "/a/x", "next")
		holds(t, s, "/a/password=new", "/a/version=2", "/a/x=next")
	})
}

func testRestored(t *testing.T, e *testenv.Etcd, waste, more int, other bool) {
	p := testenv.NewProxy(t, e.Endpoint())
	put(t, e, "/a/x", "old")
	put(t, e, "/a/y", "old")
	backup := filepath.Join(t.TempDir(), "backup")
	if err := e.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		put(t, e, "/elsewhere", "x")
	}
	c := openAt(t, p.Endpoint())
	c.every, c.waste = time.Hour, waste // the broken stream alone has to tell
	s := c.Subscribe([]string{"/a", "/b"})
	holds(t, s, "/a/x=old", "/a/y=old")
	put(t, e, "/a/x", "lost")
	before := holds(t, s, "/a/x=lost", "/a/y=old")
	p.Cut()
	if err := e.Restore(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	want := []string{"/a/x=old", "/a/y=old"}
	if other {
		put(t, e, "/a/y", "new")
		want[1] = "/a/y=new"
	}
	for range more {
		put(t, e, "/elsewhere", "y")
	}
	p.Mend()
	after := holds(t, s, want...)
	if more == 0 && after.Revision() >= before.Revision() {
		t.Errorf("revision %d, was %d: it did not go back", after.Revision(), before.Revision())
	}
	put(t, e, "/a/x", "next")
	want[0] = "/a/x=next"
	holds(t, s, want...)
}

// TestCheck pits held states against an etcd, each a way in which a feed may
// have lost touch.
func TestCheck(t *testing.T) {
	t.Parallel()
	e := testenv.NewEtcd(t)
	c := openAt(t, e.Endpoint())
	put(t, e, "/a/x", "1")
	put(t, e, "/a/y", "2")
	put(t, e, "/a-sibling", "3")
	keys := []string{"/a"}
	read := func() *state {
		t.Helper()
		s, err := c.read(t.Context(), keys)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	judge := func(name string, s *state, want verdict) {
		t.Helper()
		got, err := c.check(t.Context(), keys, s)
		if err != nil || got != want {
			t.Errorf("%s: verdict %d, error %v; want %d", name, got, err, want)
		}
	}
	change := func(f func(*state)) *state {
		s := read()
		f(s)
		return s
	}
	y, _ := read().tree.Get(at("/a/y"))
	judge("as read", read(), same)
	judge("other value", change(func(s *state) { _ = s.put(pair("/a/y", "?", y.mod)) }), stale)
	judge("other mod_revision", change(func(s *state) { _ = s.put(pair("/a/y", y.value(), y.mod+1)) }), stale)
	judge("a key too many", change(func(s *state) { _ = s.put(pair("/a/z", "", 1)) }), stale)
	judge("a key missing", change(func(s *state) { s.delete("/a/x") }), stale)
	judge("newest missing", change(func(s *state) { s.delete("/a/y") }), stale)
	judge("future revision", change(func(s *state) { s.revision += 100 }), stale)

	held := read()
	head := put(t, e, "/elsewhere", "1")
	judge("a rest", held, same)
	if held.revision != head {
		t.Errorf("a state that is still right is at revision %d, want it lifted to %d", held.revision, head)
	}
	put(t, e, "/a/x", "changed")
	judge("a put on its way", held, behind)
	held = read()
	if _, err := e.Delete(t.Context(), "/a/x"); err != nil {
		t.Fatal(err)
	}
	judge("a delete on its way", held, behind)
	head = put(t, e, "/elsewhere", "2")
	if _, err := e.Client().Compact(t.Context(), head); err != nil {
		t.Fatal(err)
	}
	judge("compacted", held, stale)

	held = read()
	held.proved = put(t, e, "/elsewhere", "3")
	put(t, e, "/a/y", "changed")
	if _, err := e.Client().Compact(t.Context(), held.proved); err != nil {
		t.Fatal(err)
	}
	judge("compacted up to what a watch has proved", held, behind)
	if held.revision != held.proved {
		t.Errorf("the state is at revision %d, want it lifted to %d", held.revision, held.proved)
	}
	held = read()
	held.proved = put(t, e, "/a/y", "late") // an etcd that answers ahead of events
	put(t, e, "/a/y", "later")
	judge("proved too early", held, stale)

	keys = nil
	for i := range 200 { // more ranges than a transaction holds
		keys = append(keys, fmt.Sprintf("/many/%03d", i))
		put(t, e, keys[i], "1")
	}
	judge("many ranges", read(), same)
	judge("many ranges, one missing", change(func(s *state) { s.delete("/many/000") }), stale)
}

// TestDeadWatch gives a feed a watch that never speaks, nor answers for its progress. The
// timed check has to find out.
func TestDeadWatch(t *testing.T) {
	t.Parallel()
	e := testenv.NewEtcd(t)
	c := openAt(t, e.Endpoint())
	c.every = 20 * time.Millisecond
	put(t, e, "/a", strings.Repeat("1", small)) // with its key more than is read whole behind a new stream
	f := newFeed(c, []string{"/a"})
	if err := f.sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, e, "/a", "2")
	if err := f.follow(t.Context(), make(chan *batch)); err != errResync {
		t.Errorf("a dead watch ends with %v, want %v", err, errResync)
	}
}

// TestQuiet runs many timed checks: where nothing changed they read nothing
// and fire nothing.
func TestQuiet(t *testing.T) {
	t.Parallel()
	e := testenv.NewEtcd(t)
	put(t, e, "/a", "1")
	c := openAt(t, e.Endpoint())
	c.every = 10 * time.Millisecond
	n := count(c)
	s := c.Subscribe([]string{"/a"})
	before := holds(t, s, "/a=1")
	drain(s)
	txns := n.txns.Load()
	for n.txns.Load() < txns+20 {
		select {
		case <-s.Changed():
			t.Fatal("fired although nothing changed")
		case <-time.After(time.Millisecond):
		}
	}
	if after, err := s.Current(); after != before || err != nil {
		t.Errorf("after quiet checks: %s, %v", show(after), err)
	}
}

func TestPublishedRevisions(t *testing.T) {
	t.Parallel()
	e := testenv.NewEtcd(t)
	c := openAt(t, e.Endpoint())
	s := c.Subscribe([]string{"/a"})
	holds(t, s)
	want := put(t, e, "/a", "same")
	if snap := holds(t, s, "/a=same"); snap.Revision() != want {
		t.Errorf("revision %d, want %d", snap.Revision(), want)
	}
	// The same value again is a new revision: order and lag go by it.
	want = put(t, e, "/a", "same")
	until(t, s, "shows the second put", func(snap *Snapshot, _ error) bool { return snap.Revision() == want })
	resp, err := e.Client().Get(t.Context(), "/a")
	if err != nil {
		t.Fatal(err)
	}
	snap, _ := s.Current()
	if diff := cmp.Diff(resp.Kvs[0].ModRevision, snap.Revision()); diff != "" {
		t.Error(diff)
	}
}
