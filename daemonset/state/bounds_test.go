package state

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/podreload/podreload/daemonset"
)

// TestBoundedWithoutHistory: a history of a newer version, or pauses that nobody can read, keep what they may lead
// to, and neither lets what is kept grow nor what is sensitive stay.
func TestBoundedWithoutHistory(t *testing.T) {
	for name, file := range map[string]string{"history": historyName("prod/other/nginx"), "pauses": "pauses.json"} {
		t.Run(name, func(t *testing.T) {
			kept := t.TempDir()
			s := openKept(t, kept)
			tell(t, s, "secret", daemonset.File{Path: "/key", Data: []byte("key")})
			newer := []byte(`{"version":9,"target":"prod/other/nginx","entries":[]}` + "\n")
			if err := os.WriteFile(filepath.Join(kept, file), newer, 0o600); err != nil {
				t.Fatal(err)
			}
			at := time.Now()
			for i, name := range []string{"newest", "older", "oldest"} { // nobody knows of what
				path := filepath.Join(kept, "contents", name)
				if err := os.WriteFile(path, nil, 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Truncate(path, maxHistory/2); err != nil { // takes no room
					t.Fatal(err)
				}
				if err := os.Chtimes(path, at, at.Add(-time.Duration(i)*time.Hour)); err != nil {
					t.Fatal(err)
				}
			}
			err := s.Trim(at.Add(2*young), nil, map[string][]Saved{"secret": {{Path: "/key"}}})
			if !errors.Is(err, ErrNewer) && !errors.Is(err, ErrDamaged) {
				t.Errorf("Trim says %v", err)
			}
			if left := stored(t, kept, "contents"); len(left) != 2 || left[0] != "newest" || left[1] != "older" {
				t.Errorf("left: %q, want the two newest of those that nobody knows", left)
			}
			if left := stored(t, kept, "history"); len(left) == 0 {
				t.Error("the histories are gone")
			}
		})
	}
}

// tell tells of a change with one file.
func tell(t *testing.T, s *Store, profile string, f daemonset.File) {
	t.Helper()
	files := []daemonset.File{f}
	e := Entry{Event: daemonset.Event{Time: time.Now(), ContainerID: "c1", Profile: profile, Digest: daemonset.Digest(files)}, Files: keep(t, s, "c1", files...)}
	if err := s.Tell(web, e); err != nil {
		t.Fatal(err)
	}
}

// TestTellKeepsNothingInVain: of a change that cannot be told nothing is kept, since nothing would lead to it.
func TestTellKeepsNothingInVain(t *testing.T) {
	kept := t.TempDir()
	s := openKept(t, kept)
	if err := os.WriteFile(filepath.Join(kept, historyName(web)), []byte(`{"version":9}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	files := keep(t, s, "c1", daemonset.File{Path: "/a", Data: []byte("a")})
	if err := s.Tell(web, Entry{Event: daemonset.Event{ContainerID: "c1"}, Files: files}); !errors.Is(err, ErrNewer) {
		t.Errorf("got %v, want %v", err, ErrNewer)
	}
	if left := stored(t, kept, "contents"); len(left) > 0 {
		t.Errorf("%q is kept", left)
	}
}

// TestToldWithoutFiles: where there is no room for the files of a change, it is told without.
func TestToldWithoutFiles(t *testing.T) {
	kept := t.TempDir()
	s := openKept(t, kept)
	tell(t, s, "web", daemonset.File{Path: "/a", Data: []byte("a")})
	files := keep(t, s, "c1", daemonset.File{Path: "/a", Data: []byte("b")})
	contents := filepath.Join(kept, "contents")
	if err := os.Rename(contents, contents+".away"); err != nil { // no file can be made there
		t.Fatal(err)
	}
	err := s.Tell(web, Entry{Event: daemonset.Event{ContainerID: "c1", Digest: "b"}, Files: files})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want why the files are not kept", err)
	}
	entries, err := s.History(web)
	if err != nil || len(entries) != 2 || entries[1].Digest != "b" || entries[1].Files != nil {
		t.Errorf("told: %+v, %v, want the change without files", entries, err)
	}
}
