package source

import (
	"bytes"
	"errors"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func encoded(t testing.TB, items ...item) []byte {
	t.Helper()
	s := newState()
	s.revision = 42
	for _, it := range items {
		if err := s.put(it); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if err := s.snapshot().Encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestEncode(t *testing.T) {
	for name, want := range map[string]map[string]string{
		"nothing": {},
		"some":    {"/a": "1", "/a/b": "", "/a//c": "\x00\xff\n", "": "no key"},
		"long":    {"/long": string(bytes.Repeat([]byte("x"), 3<<20))},
	} {
		t.Run(name, func(t *testing.T) {
			var items []item
			for k, v := range want {
				items = append(items, item{text: k + v, size: len(k), mod: int64(len(k))})
			}
			s, err := ReadSnapshot(bytes.NewReader(encoded(t, items...)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, maps.Collect(s.All())); diff != "" || s.Revision() != 42 {
				t.Errorf("revision %d, keys (-want +got):\n%s", s.Revision(), diff)
			}
			if s.Plain() != (name != "some") {
				t.Errorf("plain: %v", s.Plain())
			}
		})
	}
}

// TestReadSnapshotDamaged: whatever is cut off, added or changed is told.
func TestReadSnapshotDamaged(t *testing.T) {
	whole := encoded(t, item{text: "/akey", size: 2, mod: 7}, item{text: "/b", size: 2, mod: 8})
	for n := range whole {
		if _, err := ReadSnapshot(bytes.NewReader(whole[:n])); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut off at %d: %v", n, err)
		}
		changed := bytes.Clone(whole)
		changed[n] ^= 0x81
		if _, err := ReadSnapshot(bytes.NewReader(changed)); !errors.Is(err, ErrDamaged) {
			t.Errorf("changed at %d: %v", n, err)
		}
	}
	if _, err := ReadSnapshot(bytes.NewReader(append(bytes.Clone(whole), 0))); !errors.Is(err, ErrDamaged) {
		t.Errorf("one byte more: %v", err)
	}
}

// FuzzReadSnapshot: what is read is either an error or a snapshot that encodes to the same
// keys.
func FuzzReadSnapshot(f *testing.F) {
	f.Add(encoded(f))
	f.Add(encoded(f, item{text: "/akey", size: 2, mod: 7}, item{text: "/b", size: 2, mod: 8}))
	f.Add([]byte(magic + "\x01\xff\xff\xff\xff\xff\xff\xff\x7f"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ReadSnapshot(bytes.NewReader(data))
		if err != nil {
			if s != nil || !errors.Is(err, ErrDamaged) {
				t.Fatalf("%v, %v", s, err)
			}
			return
		}
		var b bytes.Buffer
		if err := s.Encode(&b); err != nil {
			t.Fatal(err)
		}
		again, err := ReadSnapshot(&b)
		if err != nil || !maps.Equal(maps.Collect(s.All()), maps.Collect(again.All())) {
			t.Fatalf("%v, %v", again, err)
		}
	})
}
