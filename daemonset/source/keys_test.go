package source

import (
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNormalize(t *testing.T) {
	for _, tc := range []struct {
		name     string
		in, want []string
	}{
		{"none", nil, []string{}},
		{"clean", []string{"/a/", "b//c", "/d/../e"}, []string{"/a", "/b/c", "/e"}},
		{"duplicates", []string{"/a", "/a/", "a"}, []string{"/a"}},
		{"nested", []string{"/a/b/c", "/a", "/a/b"}, []string{"/a"}},
		{"siblings stay", []string{"/a", "/a-b", "/a/b", "/ab"}, []string{"/a", "/a-b", "/ab"}},
		{"everything", []string{"/a", "/", "/b"}, []string{"/"}},
		{"empty is everything", []string{""}, []string{"/"}},
		{"never above the root", []string{"/../../a"}, []string{"/a"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, normalize(tc.in)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSpans(t *testing.T) {
	want := []span{{from: "/a"}, {from: "/a/", to: "/a0"}}
	if diff := cmp.Diff(want, spans([]string{"/a"}), cmp.AllowUnexported(span{})); diff != "" {
		t.Error(diff)
	}
	want = []span{{from: "/", to: "0"}}
	if diff := cmp.Diff(want, spans([]string{"/"}), cmp.AllowUnexported(span{})); diff != "" {
		t.Error(diff)
	}
}

func TestHull(t *testing.T) {
	for _, tc := range []struct {
		keys []string
		want []span
	}{
		{nil, nil},
		{[]string{"/"}, []span{{"/", "0"}}},
		{[]string{"/a"}, []span{{"/a", "/a0"}}},
		{[]string{"/a", "/a-b"}, []span{{"/a", "/a0"}}}, // what is below /a comes after /a-b
		{[]string{"/a", "/b"}, []span{{"/a", "/b0"}}},
	} {
		if diff := cmp.Diff(tc.want, hull(tc.keys), cmp.AllowUnexported(span{})); diff != "" {
			t.Errorf("%q: %s", tc.keys, diff)
		}
	}
}

// FuzzNormalize checks that the normalized keys cover exactly what the given
// ones do, that none is given twice, and that the spans agree with covers.
func FuzzNormalize(f *testing.F) {
	f.Add("/a\n/a/b\n/ab", "/a/b/c")
	f.Add("/\n/x", "/y")
	f.Add("/a", "/a-sibling")
	f.Add("a//b/../c", "/a/c0")
	f.Fuzz(func(t *testing.T, list, name string) {
		given := strings.Split(list, "\n")
		if len(given) > 50 {
			return
		}
		keys := normalize(given)
		if again := normalize(keys); !slices.Equal(keys, again) {
			t.Errorf("normalized again: %q, was %q", again, keys)
		}
		name = "/" + name // etcd keys may hold anything; only the keys are paths
		want, got := false, 0
		for _, k := range given {
			want = want || covers(path.Clean("/"+k), name)
		}
		for _, k := range keys {
			if covers(k, name) {
				got++
			}
		}
		if (got == 1) != want || got > 1 {
			t.Errorf("%q covers %q: want %v, %d keys do", keys, name, want, got)
		}
		if between := hull(keys); len(between) > 0 && got > 0 && (name < between[0].from || name >= between[0].to) {
			t.Errorf("%q of %q is not in %q", name, keys, between[0])
		}
		in := 0
		for _, s := range spans(keys) {
			if s.to == "" && name == s.from || s.to != "" && s.from <= name && name < s.to {
				in++
			}
		}
		if in != got {
			t.Errorf("%q is in %d spans of %q, want %d", name, in, keys, got)
		}
	})
}
