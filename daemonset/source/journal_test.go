package source

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podreload/podreload/testenv"
)

// TestSince: snapshots of one state know what lies between them, as far as it is remembered.
func TestSince(t *testing.T) {
	s := newState()
	var snaps []*Snapshot
	for i := range 5 * maxJournal {
		snaps = append(snaps, s.snapshot())
		s.changes.add(fmt.Sprint(i))
	}
	last := s.snapshot()
	for i, older := range snaps {
		keys, ok := last.Since(older)
		left := len(snaps) - i
		switch {
		case !ok && left <= maxJournal/2, ok && left > maxJournal:
			t.Fatalf("%d changes back it is known: %v", left, ok)
		case ok && (len(keys) != left || keys[0] != fmt.Sprint(i) || keys[left-1] != fmt.Sprint(len(snaps)-1)):
			t.Fatalf("%d changes back: %d keys, from %s", left, len(keys), keys[0])
		}
	}
	if keys, ok := last.Since(last); !ok || len(keys) != 0 {
		t.Errorf("since itself: %q, %v", keys, ok)
	}
	for name, older := range map[string]*Snapshot{"nothing": nil, "a later one": last, "another's": newState().snapshot(), "a zero one": {}} {
		of := last
		if name == "a later one" {
			of = snaps[len(snaps)-1]
		}
		if keys, ok := of.Since(older); ok {
			t.Errorf("since %s: %q", name, keys)
		}
	}
}

// TestSinceOfAFeed: what the watch brings is known key by key, and what a read of little brings; what another etcd holds is not.
func TestSinceOfAFeed(t *testing.T) {
	t.Parallel()
	e := testenv.NewEtcd(t)
	put(t, e, "/a/1", "1")
	s := openAt(t, e.Endpoint()).Subscribe([]string{"/a"})
	holds(t, s, "/a/1=1")
	before, _ := s.Current()
	put(t, e, "/a/2", "2")
	holds(t, s, "/a/1=1", "/a/2=2")
	if _, err := e.Delete(t.Context(), "/a/1"); err != nil {
		t.Fatal(err)
	}
	holds(t, s, "/a/2=2")
	after, _ := s.Current()
	keys, ok := after.Since(before)
	if diff := cmp.Diff([]string{"/a/2", "/a/1"}, keys); diff != "" || !ok {
		t.Errorf("known %v (-want +got):\n%s", ok, diff)
	}
	if err := e.Empty(t.Context()); err != nil {
		t.Fatal(err)
	}
	holds(t, s)
	empty, _ := s.Current()
	if keys, ok := empty.Since(after); ok {
		t.Errorf("of another etcd: %q", keys)
	}
}

// TestSinceOfARead: behind a new stream little is read whole, and who renders needs not begin anew for it.
func TestSinceOfARead(t *testing.T) {
	t.Parallel()
	e := testenv.NewEtcd(t)
	for _, key := range []string{"/a/1", "/a/2", "/a/3"} {
		put(t, e, key, "1")
	}
	f := newFeed(openAt(t, e.Endpoint()), []string{"/a"})
	read := func() *Snapshot {
		t.Helper()
		if err := f.reread(t.Context()); err != nil {
			t.Fatal(err)
		}
		return f.state.snapshot()
	}
	before, was := read(), f.state
	if read(); f.state != was {
		t.Error("nothing has changed, and another state is held")
	}
	put(t, e, "/a/2", "2")
	put(t, e, "/a/4", "4")
	if _, err := e.Delete(t.Context(), "/a/1"); err != nil {
		t.Fatal(err)
	}
	keys, ok := read().Since(before)
	if diff := cmp.Diff([]string{"/a/2", "/a/4", "/a/1"}, keys); diff != "" || !ok {
		t.Errorf("known %v (-want +got):\n%s", ok, diff)
	}
}
