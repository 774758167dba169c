package state

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podreload/podreload/daemonset"
)

func keep(t *testing.T, s *Store, id string, files ...daemonset.File) []Saved {
	t.Helper()
	saved, err := s.Keep(id, files)
	if err != nil {
		t.Fatal(err)
	}
	return saved
}

// stored are the names of what is in a folder below the store.
func stored(t *testing.T, dir string, folder ...string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(append([]string{dir}, folder...)...))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestKeepRecall(t *testing.T) {
	s := open(t, t.TempDir())
	mode, id := os.FileMode(0o600), uint32(33)
	files := []daemonset.File{
		{Resource: "a.toml", Path: "/a", Data: []byte("one"), Mode: &mode, UID: &id, GID: &id, Mkdir: true, Sensitive: true},
		{Path: "/b", Data: []byte{}},
		{Path: "/c", Absent: true},
	}
	saved := keep(t, s, "c1", files...)
	for range 2 { // what is there already is no obstacle
		saved = keep(t, s, "c1", files...)
	}
	got, err := s.Recall("c1", saved)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(files, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// TestContentsAreShared: equal contents lie there once, as long as a target
// uses them.
func TestContentsAreShared(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	file := daemonset.File{Path: "/a", Data: []byte("shared")}
	one, two := keep(t, s, "c1", file), keep(t, s, "c2", file)
	sum := one[0].Content
	if names := stored(t, dir, "contents"); !cmp.Equal(names, []string{sum}) {
		t.Fatalf("contents: %v, want %s alone", names, sum)
	}
	a, errA := os.Stat(filepath.Join(dir, "files/c1", sum))
	b, errB := os.Stat(filepath.Join(dir, "files/c2", sum))
	if errA != nil || errB != nil || !os.SameFile(a, b) {
		t.Error("two targets hold two copies")
	}

	save(t, s, Record{Status: daemonset.Status{ContainerID: "c2"}, Good: two})
	s.Tidy(Record{Status: daemonset.Status{ContainerID: "c1"}})
	if files, err := s.Recall("c2", two); err != nil || string(files[0].Data) != "shared" {
		t.Errorf("after the other's tidying: %v, %v", files, err)
	}
	if _, err := s.Recall("c1", one); !errors.Is(err, ErrDamaged) {
		t.Errorf("recalled what was dropped: %v", err)
	}
	if err := s.Remove("c2"); err != nil {
		t.Fatal(err)
	}
	if names := append(stored(t, dir, "contents"), stored(t, dir, "files/c2")...); len(names) > 0 {
		t.Errorf("left: %v", names)
	}
}

// TestTidyKeepsBothWays: the way back and the way forward.
func TestTidyKeepsBothWays(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	good := keep(t, s, "c1", daemonset.File{Path: "/a", Data: []byte("good")})
	next := keep(t, s, "c1", daemonset.File{Path: "/a", Data: []byte("next")})
	keep(t, s, "c1", daemonset.File{Path: "/a", Data: []byte("older")})
	if err := os.WriteFile(filepath.Join(dir, "files/c1/.staged"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Tidy(Record{Status: daemonset.Status{ContainerID: "c1"}, Good: good, Next: &Change{Revision: 2, Files: next}})
	want := map[string]bool{good[0].Content: true, next[0].Content: true}
	for _, folder := range []string{"contents", "files/c1"} {
		names := stored(t, dir, folder)
		for _, name := range names {
			if !want[name] {
				t.Errorf("%s holds %s still", folder, name)
			}
		}
		if len(names) != len(want) {
			t.Errorf("%s holds %d files, want %d", folder, len(names), len(want))
		}
	}
}

// TestRecallDamaged: contents that are not what was kept are never written into
// a container.
func TestRecallDamaged(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	saved := keep(t, s, "c1", daemonset.File{Path: "/a", Data: []byte("right")})
	if err := os.WriteFile(filepath.Join(dir, "files/c1", saved[0].Content), []byte("wrong"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][]Saved{saved, {{Path: "/a", Content: "../../x"}}, {{Path: "/a"}}} {
		if files, err := s.Recall("c1", bad); !errors.Is(err, ErrDamaged) {
			t.Errorf("recalled %v, %v; want %v", files, err, ErrDamaged)
		}
	}
}
