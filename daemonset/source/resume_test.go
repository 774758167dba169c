package source

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/podreload/podreload/testenv"
)

// kept is what another client reads now, as it comes back from a disk.
func kept(t *testing.T, e *testenv.Etcd, keys ...string) *Snapshot {
	t.Helper()
	s, err := openAt(t, e.Endpoint()).Read(t.Context(), keys)
	if err != nil {
		t.Fatal(err)
	}
	var disk bytes.Buffer
	if err := s.Encode(&disk); err != nil {
		t.Fatal(err)
	}
	if s, err = ReadSnapshot(&disk); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestResume changes etcd behind a kept snapshot in each way there is. What the feed
// shows first is what etcd holds; only where it may does it come without a full read.
func TestResume(t *testing.T) {
	t.Parallel()
	const large = 100_000 // bytes: a value that only a full read brings
	value := strings.Repeat("v", large)
	tests := map[string]struct {
		change func(t *testing.T, e *testenv.Etcd)
		want   []string // besides what is large
		full   bool
	}{
		"nothing": {func(*testing.T, *testenv.Etcd) {}, []string{"/a/x=1", "/a/y=1"}, false},
		"writes elsewhere, compacted": {func(t *testing.T, e *testenv.Etcd) {
			rev := put(t, e, "/elsewhere", "1")
			if _, err := e.Client().Compact(t.Context(), rev); err != nil {
				t.Fatal(err)
			}
		}, []string{"/a/x=1", "/a/y=1"}, false},
		"a put": {func(t *testing.T, e *testenv.Etcd) { put(t, e, "/a/x", "2"); put(t, e, "/elsewhere", "1") },
			[]string{"/a/x=2", "/a/y=1"}, false},
		"puts and a delete": {func(t *testing.T, e *testenv.Etcd) {
			for i := range 50 {
				put(t, e, "/a/x", fmt.Sprint(i))
			}
			put(t, e, "/a/z", "3")
			if _, err := e.Delete(t.Context(), "/a/y"); err != nil {
				t.Fatal(err)
			}
			put(t, e, "/elsewhere", "1")
		}, []string{"/a/x=49", "/a/z=3"}, false},
		"compacted past a put": {func(t *testing.T, e *testenv.Etcd) {
			put(t, e, "/a/x", "2")
			rev := put(t, e, "/elsewhere", "1")
			if _, err := e.Client().Compact(t.Context(), rev); err != nil {
				t.Fatal(err)
			}
		}, []string{"/a/x=2", "/a/y=1"}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			eachMode(t, func(t *testing.T, e *testenv.Etcd, waste int) {
				put(t, e, "/a/large", value)
				put(t, e, "/a/x", "1")
				put(t, e, "/a/y", "1")
				before := kept(t, e, "/a")
				tt.change(t, e)
				c := openAt(t, e.Endpoint())
				c.every, c.waste = time.Hour, waste
				n := count(c)
				s := c.Resume([]string{"/a"}, func() *Snapshot { return before })
				first := until(t, s, "shows something", func(snap *Snapshot, _ error) bool { return snap != nil })
				want := append([]string{"/a/large=" + value}, tt.want...)
				if got := pairs(first.All()); fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("shows first %.300q, want %q and what is large", got[1:], tt.want)
				}
				if full := n.read.Load() >= large; full != tt.full && waste > 0 {
					t.Errorf("%d bytes read; a full read: %v, want %v", n.read.Load(), full, tt.full)
				}
				put(t, e, "/a/x", "next")
				want[1] = "/a/x=next"
				holds(t, s, want...)
			})
		})
	}
}

// TestResumeElsewhere resumes at etcds that the snapshot is not of, or with keys that it is
// not of.
func TestResumeElsewhere(t *testing.T) {
	t.Parallel()
	fill := func(t *testing.T, e *testenv.Etcd, x string) {
		put(t, e, "/a/x", x)
		put(t, e, "/a/y", "1")
	}
	shows := func(t *testing.T, e *testenv.Etcd, keys []string, kept *Snapshot, want ...string) {
		t.Helper()
		s := openAt(t, e.Endpoint()).Resume(keys, func() *Snapshot { return kept })
		first := until(t, s, "shows something", func(snap *Snapshot, _ error) bool { return snap != nil })
		if got := pairs(first.All()); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("shows first %q, want %q", got, want)
		}
	}
	each(t, func(t *testing.T, v testenv.Version) {
		one, two := testenv.NewEtcdWith(t, testenv.EtcdConfig{Version: v}), testenv.NewEtcdWith(t, testenv.EtcdConfig{Version: v})
		fill(t, one, "of one")
		fill(t, two, "of two") // a script that fills both makes equal revisions
		of := kept(t, one, "/a")
		shows(t, two, []string{"/a"}, of, "/a/x=of two", "/a/y=1")
		shows(t, one, []string{"/a/x", "/b"}, of, "/a/x=of one")
		shows(t, one, []string{"/a"}, nil, "/a/x=of one", "/a/y=1")

		put(t, one, "/a/x", "newer")
		of = kept(t, one, "/a")
		if err := one.Empty(t.Context()); err != nil {
			t.Fatal(err)
		}
		shows(t, one, []string{"/a"}, of)
		fill(t, one, "anew")
		put(t, one, "/elsewhere", "1")
		shows(t, one, []string{"/a"}, of, "/a/x=anew", "/a/y=1")
	})
}
