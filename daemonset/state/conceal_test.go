package state

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/podreload/podreload/daemonset"
)

// TestBecomesSensitive: of what was kept before a resource was made sensitive nothing stays on the disk, and
// nothing else is lost by it.
func TestBecomesSensitive(t *testing.T) {
	const key, other = "-----BEGIN PRIVATE KEY-----", "other"
	file := func(path, data string, sensitive bool) daemonset.File {
		return daemonset.File{Path: path, Data: []byte(data), Sensitive: sensitive}
	}
	type files = []daemonset.File
	const elsewhere = "prod/web-1/nginx"
	for name, tt := range map[string]struct {
		before  []files
		another files // of another target
		after   files
		left    []string // of contents on the disk
		back    []bool   // what of before can still be gone back to
		rewrite bool
	}{
		"with the same contents":         {[]files{{file("/key", key, false)}}, nil, files{file("/key", key, true)}, nil, []bool{true}, true},
		"with others":                    {[]files{{file("/key", key, false)}, {file("/key", key+"2", false)}}, nil, files{file("/key", key+"3", true)}, nil, []bool{false, false}, true},
		"at another path":                {[]files{{file("/key", key, false)}}, nil, files{file("/new", key, true)}, nil, []bool{true}, true},
		"beside what is not":             {[]files{{file("/a", other, false), file("/key", key, false)}}, nil, files{file("/a", other, false), file("/key", key+"2", true)}, []string{other}, []bool{false}, true},
		"that another target has, too":   {[]files{{file("/key", key, false)}}, files{file("/key", key, false)}, files{file("/key", key, true)}, []string{key}, []bool{true}, true},
		"as what stays open":             {[]files{{file("/a", "", false)}}, nil, files{file("/a", "", false), file("/key", "", true)}, []string{""}, []bool{true}, false},
		"that was sensitive before":      {[]files{{file("/key", key, true)}}, nil, files{file("/key", key+"2", true)}, nil, []bool{true}, false},
		"at a path to be quoted":         {[]files{{file("/<}\"é", key, false)}}, nil, files{file("/<}\"é", key+"2", true)}, nil, []bool{false}, true},
		"that is the start of another":   {[]files{{file("/key.pem", other, false)}}, nil, files{file("/key", key, true)}, []string{other}, []bool{true}, false},
		"where it was absent before":     {[]files{{{Path: "/key", Absent: true}}}, nil, files{file("/key", key, true)}, nil, []bool{true}, false},
		"and nothing is sensitive":       {[]files{{file("/key", key, false)}}, nil, files{file("/key", key+"2", false)}, []string{key, key + "2"}, []bool{true}, false},
		"of another path":                {[]files{{file("/a", other, false)}}, nil, files{file("/key", key, true)}, []string{other}, []bool{true}, false},
		"and is to be absent by then":    {[]files{{file("/key", key, false)}}, nil, files{{Path: "/key", Absent: true, Sensitive: true}}, nil, []bool{false}, true},
		"after it was open and then not": {[]files{{file("/key", key, false)}, {file("/key", key+"2", true)}, {file("/key", key+"3", false)}}, nil, files{file("/key", key+"4", true)}, nil, []bool{false, true, false}, true},
	} {
		t.Run(name, func(t *testing.T) {
			kept := t.TempDir()
			s := openKept(t, kept)
			tell := func(target string, revision int, files files) {
				t.Helper()
				e := Entry{Event: daemonset.Event{Time: time.Now(), ContainerID: "c1", Revision: int64(revision), Digest: daemonset.Digest(files)}, Files: keep(t, s, "c1", files...)}
				if err := s.Tell(target, e); err != nil {
					t.Fatal(err)
				}
			}
			for i, files := range tt.before {
				tell(web, i, files)
			}
			if tt.another != nil {
				tell(elsewhere, 0, tt.another)
			}
			text := func() string {
				t.Helper()
				text, err := os.ReadFile(filepath.Join(kept, historyName(web)))
				if err != nil {
					t.Fatal(err)
				}
				return string(text)
			}
			was := text()
			tell(web, len(tt.before), tt.after)
			if is := text(); tt.rewrite == (len(is) > len(was) && is[:len(was)] == was) {
				t.Errorf("written anew is to be %v:\n%s", tt.rewrite, is)
			}
			if err := s.Trim(time.Now().Add(2*young), nil, nil); err != nil {
				t.Fatal(err)
			}

			var left []string
			for _, name := range stored(t, kept, "contents") {
				data, err := os.ReadFile(filepath.Join(kept, "contents", name))
				if err != nil {
					t.Fatal(err)
				}
				left = append(left, string(data))
			}
			slices.Sort(left)
			if diff := cmp.Diff(tt.left, left); diff != "" {
				t.Errorf("on the disk (-want +got):\n%s", diff)
			}
			entries, err := s.History(web)
			if err != nil || len(entries) != len(tt.before)+1 {
				t.Fatalf("%d entries, %v", len(entries), err)
			}
			for i, e := range entries {
				_, err := s.Back(e)
				if want := i == len(tt.before) || tt.back[i]; want != (err == nil) || !want && !errors.Is(err, ErrNotFound) {
					t.Errorf("back to change %d: %v", i, err)
				}
			}
			// The other's is its own.
			if entries, err := s.History(elsewhere); tt.another != nil && (err != nil || entries[0].Files[0].Sensitive) {
				t.Errorf("of the other target: %+v, %v", entries, err)
			}
		})
	}
}

// TestBecomesSensitiveUnchanged: where nothing changes inside nothing is told, and the record alone says it.
func TestBecomesSensitiveUnchanged(t *testing.T) {
	for name, tt := range map[string]struct {
		record Record
		left   int
	}{
		"still open":       {Record{Good: []Saved{{Path: "/a"}}}, 1},
		"sensitive":        {Record{Good: []Saved{{Path: "/a", Sensitive: true}}}, 0},
		"another file is":  {Record{Good: []Saved{{Path: "/a"}, {Path: "/b", Sensitive: true}}}, 1},
		"of another":       {Record{Status: daemonset.Status{Pod: "web-1"}, Good: []Saved{{Path: "/a", Sensitive: true}}}, 1},
		"nothing is known": {Record{}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			kept := t.TempDir()
			s := openKept(t, kept)
			e := Entry{Event: daemonset.Event{Time: time.Now(), ContainerID: "c1", Digest: "d"}, Files: keep(t, s, "c1", daemonset.File{Path: "/a", Data: []byte("a")})}
			if err := s.Tell(web, e); err != nil {
				t.Fatal(err)
			}
			tt.record.ContainerID, tt.record.Namespace, tt.record.Name = "c1", "prod", "nginx"
			if tt.record.Pod == "" {
				tt.record.Pod = "web-0"
			}
			save(t, s, tt.record)
			if err := s.Trim(time.Now().Add(2*young), nil, nil); err != nil {
				t.Fatal(err)
			}
			if left := stored(t, kept, "contents"); len(left) != tt.left {
				t.Errorf("on the disk: %q, want %d", left, tt.left)
			}
			if _, err := s.Back(e); (err == nil) != (tt.left == 1) || err != nil && !errors.Is(err, ErrNotFound) {
				t.Errorf("back: %v", err)
			}
		})
	}
}

// TestSnapshotBecomesSensitive: the plain one goes even where there is no room for the sensitive one.
func TestSnapshotBecomesSensitive(t *testing.T) {
	broken := errors.New("broken")
	for name, tt := range map[string]struct {
		write func(io.Writer) error
		want  error
	}{
		"fits":      {func(w io.Writer) error { _, err := io.WriteString(w, "s"); return err }, nil},
		"too large": {func(w io.Writer) error { _, err := w.Write(make([]byte, maxInMemory+1)); return err }, ErrTooLarge},
		"fails":     {func(io.Writer) error { return fmt.Errorf("%w", broken) }, broken},
	} {
		t.Run(name, func(t *testing.T) {
			kept := t.TempDir()
			s := openKept(t, kept)
			if err := s.KeepSnapshot("k", false, func(w io.Writer) error { _, err := io.WriteString(w, "plain"); return err }); err != nil {
				t.Fatal(err)
			}
			if err := s.KeepSnapshot("k", true, tt.write); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if left := stored(t, kept, "snapshots"); len(left) > 0 {
				t.Errorf("on the disk: %q", left)
			}
		})
	}
}

// TestOpenLeavesMode: a directory that is there keeps its mode, since it may be one that others use, too; what
// is made in it is closed.
func TestOpenLeavesMode(t *testing.T) {
	for _, mode := range []os.FileMode{0o755, 0o711, 0o700} {
		dir, kept := t.TempDir(), t.TempDir()
		if err := errors.Join(os.Chmod(dir, mode), os.Chmod(kept, mode)); err != nil {
			t.Fatal(err)
		}
		s, err := Open(dir, kept)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for _, at := range []string{dir, kept} {
			if info, err := os.Stat(at); err != nil || info.Mode().Perm() != mode {
				t.Errorf("%s: %v, %v, want %v", at, info.Mode(), err, mode)
			}
			for _, sub := range stored(t, at) {
				if info, err := os.Stat(filepath.Join(at, sub)); err != nil || info.Mode().Perm() != 0o700 {
					t.Errorf("%s/%s: %v, %v", at, sub, info.Mode(), err)
				}
			}
		}
	}
}

func openKept(t *testing.T, kept string) *Store {
	t.Helper()
	s, err := Open(t.TempDir(), kept)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}
