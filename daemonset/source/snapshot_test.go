package source

import (
	"iter"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

// pairs lists what a snapshot yields, in its order.
func pairs(seq iter.Seq2[string, string]) []string {
	out := []string{}
	for k, v := range seq {
		out = append(out, k+"="+v)
	}
	return out
}

// pair is an item as it would come from etcd.
func pair(key, value string, mod int64) item {
	return newItem(&mvccpb.KeyValue{Key: []byte(key), Value: []byte(value), ModRevision: mod})
}

func items(s *state) iter.Seq[item] {
	return func(yield func(item) bool) { s.tree.Ascend(yield) }
}

func snapshotOf(kv map[string]string) *Snapshot {
	s := newState()
	for k, v := range kv {
		_ = s.put(pair(k, v, 1))
	}
	return s.snapshot()
}

func TestRange(t *testing.T) {
	s := snapshotOf(map[string]string{
		"/a": "0", "/a/b": "1", "/a/b/c": "2", "/a-b": "3", "/a.b/c": "4", "/ab": "5", "/b": "6",
	})
	for _, tc := range []struct {
		prefix string
		want   []string
	}{
		{"/a", []string{"/a=0", "/a/b=1", "/a/b/c=2"}},
		{"/a/", []string{"/a=0", "/a/b=1", "/a/b/c=2"}},
		{"a", []string{"/a=0", "/a/b=1", "/a/b/c=2"}},
		{"/a/b", []string{"/a/b=1", "/a/b/c=2"}},
		{"/a.b", []string{"/a.b/c=4"}},
		{"/c", []string{}},
		{"/", []string{"/a=0", "/a-b=3", "/a.b/c=4", "/a/b=1", "/a/b/c=2", "/ab=5", "/b=6"}},
	} {
		if diff := cmp.Diff(tc.want, pairs(s.Range(tc.prefix))); diff != "" {
			t.Errorf("Range(%q): %s", tc.prefix, diff)
		}
	}
	for range s.Range("/a") {
		break // an early end must not go on yielding
	}
}

func TestEmpty(t *testing.T) {
	s := snapshotOf(map[string]string{"/a": "0", "/b/c": "1", "/d-e": "2"})
	want := []string{"/b/d", "/d", "e/"}
	if diff := cmp.Diff(want, s.Empty([]string{"/a", "/b", "/b/c", "/b/d", "/d", "/", "e/", "b/"})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"/"}, snapshotOf(nil).Empty([]string{"/"})); diff != "" {
		t.Error(diff)
	}
}

func TestStateIsCapped(t *testing.T) {
	s := newState()
	s.bytes = maxBytes - 10
	if err := s.put(pair("/a", "12345678", 0)); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	if err := s.put(pair("/a", "1234567", 0)); err != nil {
		t.Errorf("overwritten below the limit: %v", err)
	}
	if err := s.put(pair("/a", "123456789", 0)); err == nil {
		t.Error("one byte above the limit: no error")
	}
	s.delete("/a")
	if s.bytes != maxBytes-10 {
		t.Errorf("after a delete %d bytes are counted, want %d", s.bytes, maxBytes-10)
	}
}

// FuzzSnapshot plays writes on a state and on a map. Every snapshot on the way
// must equal the map as it was then, also after all later writes.
func FuzzSnapshot(f *testing.F) {
	f.Add("/a=1 /b=2 /a= /a/b=3 | /a=4")
	f.Add("| /a=1 | /a= |")
	f.Add("/a=1 /b=2 /b= | /a=3 /a= /c=1 /c=2 | /c=")
	f.Add("/a//b=1 | /a//b=2 /c/=1 | /c/= /a//b= |")
	f.Fuzz(func(t *testing.T, script string) {
		s, model := newState(), map[string]string{}
		type moment struct {
			snapshot *Snapshot
			model    map[string]string
		}
		var moments []moment
		for word := range strings.SplitSeq(script, " ") {
			key, value, _ := strings.Cut(word, "=")
			s.revision++
			switch {
			case word == "|":
				moments = append(moments, moment{s.snapshot(), maps.Clone(model)})
			case value == "":
				s.delete(key)
				delete(model, key)
			default:
				if err := s.put(pair(key, value, s.revision)); err != nil {
					t.Fatal(err)
				}
				model[key] = value
			}
		}
		moments = append(moments, moment{s.snapshot(), model})
		bytes := 0
		for k, v := range model {
			bytes += len(k) + len(v)
		}
		var newest int64
		for it := range items(s) {
			newest = max(newest, it.mod)
		}
		if got := s.newest(); got.mod != newest {
			t.Errorf("the newest key is of revision %d, want %d", got.mod, newest)
		}
		if bytes != s.bytes {
			t.Errorf("%d bytes are counted, want %d", s.bytes, bytes)
		}
		for i, m := range moments {
			if m.snapshot.Len() != len(m.model) {
				t.Errorf("moment %d: Len %d, want %d", i, m.snapshot.Len(), len(m.model))
			}
			want, plain := []string{}, true
			for _, k := range slices.Sorted(maps.Keys(m.model)) {
				plain = plain && path.Clean(k) == k
				want = append(want, k+"="+m.model[k])
				if v, ok := m.snapshot.Get(k); !ok || v != m.model[k] {
					t.Errorf("moment %d: Get(%q) = %q, %v", i, k, v, ok)
				}
			}
			if m.snapshot.Plain() != plain {
				t.Errorf("moment %d: Plain is %v", i, m.snapshot.Plain())
			}
			if diff := cmp.Diff(want, pairs(m.snapshot.All())); diff != "" {
				t.Errorf("moment %d: %s", i, diff)
			}
		}
	})
}
