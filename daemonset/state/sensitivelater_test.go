package state

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/podreload/podreload/daemonset"
)

// TestSensitiveLater: what a profile has as sensitive by now is taken off the disk also where no pod says it any
// more, or not yet: of those that have gone, and of those whose last pass ended before their record was written.
func TestSensitiveLater(t *testing.T) {
	const key = "-----BEGIN PRIVATE KEY-----"
	const gone, alive = "prod/web-old/nginx", "prod/web-new/nginx"
	file := func(resource, path, data string, sensitive bool) daemonset.File {
		return daemonset.File{Resource: resource, Path: path, Data: []byte(data), Sensitive: sensitive}
	}
	now := map[string][]Saved{"web": {{Resource: "key.toml", Path: "/key"}}}
	for name, tt := range map[string]struct {
		before  []daemonset.File // of the pod that has gone
		profile string           // that it was of
		later   []daemonset.File // of another
		now     map[string][]Saved
		left    []string
	}{
		"the same contents":        {[]daemonset.File{file("key.toml", "/key", key, false)}, "web", []daemonset.File{file("key.toml", "/key", key, true)}, now, nil},
		"others":                   {[]daemonset.File{file("key.toml", "/key", key, false)}, "web", []daemonset.File{file("key.toml", "/key", "2", true)}, now, nil},
		"no pod":                   {[]daemonset.File{file("key.toml", "/key", key, false)}, "web", nil, now, nil},
		"a path that the pod says": {[]daemonset.File{file("key.toml", "/etc/web-old/key", key, false)}, "web", nil, map[string][]Saved{"web": {{Resource: "key.toml"}}}, nil},
		"a renamed resource":       {[]daemonset.File{file("old.toml", "/key", key, false)}, "web", nil, now, nil},
		"a copy that stays open":   {[]daemonset.File{file("key.toml", "/key", key, false), file("copy.toml", "/copy", key, false)}, "web", nil, now, []string{key}},
		"what is open beside it":   {[]daemonset.File{file("key.toml", "/key", key, false), file("a.toml", "/a", "a", false)}, "web", nil, now, []string{"a"}},
		"another profile":          {[]daemonset.File{file("key.toml", "/key", key, false)}, "other", nil, now, []string{key}},
		"nothing is sensitive":     {[]daemonset.File{file("key.toml", "/key", key, false)}, "web", nil, nil, []string{key}},
	} {
		t.Run(name, func(t *testing.T) {
			kept := t.TempDir()
			s := openKept(t, kept)
			tell := func(id, target, profile string, files []daemonset.File) {
				t.Helper()
				e := Entry{Event: daemonset.Event{Time: time.Now(), ContainerID: id, Profile: profile, Digest: daemonset.Digest(files)}, Files: keep(t, s, id, files...)}
				if err := s.Tell(target, e); err != nil {
					t.Fatal(err)
				}
			}
			tell("c1", gone, tt.profile, tt.before)
			if err := s.Remove("c1"); err != nil {
				t.Fatal(err)
			}
			if tt.later != nil {
				tell("c2", alive, "web", tt.later)
			}
			if err := s.Trim(time.Now().Add(2*young), nil, tt.now); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.left, texts(t, kept, "contents")); diff != "" {
				t.Errorf("on the disk (-want +got):\n%s", diff)
			}
		})
	}
}

// texts are what the files of a directory hold.
func texts(t *testing.T, dir, sub string) (out []string) {
	t.Helper()
	for _, name := range stored(t, dir, sub) {
		data, err := os.ReadFile(filepath.Join(dir, sub, name))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(data))
	}
	return out
}

func keepText(t *testing.T, s *Store, key, text string, sensitive bool) {
	t.Helper()
	if err := s.KeepSnapshot(key, sensitive, func(w io.Writer) error { _, err := io.WriteString(w, text); return err }); err != nil {
		t.Fatal(err)
	}
}

// TestSnapshotsOfSensitiveProfile: none of a profile's stays on the disk, of whichever keys, and no other goes.
func TestSnapshotsOfSensitiveProfile(t *testing.T) {
	dir, kept := t.TempDir(), t.TempDir()
	s, err := Open(dir, kept)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	keepText(t, s, "web\x00/web", "before", false)
	keepText(t, s, "web\x00/web\x00/tls", "now", true)
	keepText(t, s, "web-2\x00/web", "another", false)
	for _, keys := range [][]string{nil, {"web\x00/web", "web\x00/web\x00/tls"}} { // also while a pod has the former keys
		if err := s.Trim(time.Now(), keys, map[string][]Saved{"web": {{Path: "/key"}}}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"another"}, texts(t, kept, "snapshots")); diff != "" {
			t.Errorf("on the disk (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"now"}, texts(t, dir, "snapshots")); diff != "" {
			t.Errorf("in memory (-want +got):\n%s", diff)
		}
	}
}

// TestFormerSnapshots: what an earlier version has written, under a name that does not tell the profile, is read
// by who asks, and stays as long as anybody may; what nobody uses goes at once.
func TestFormerSnapshots(t *testing.T) {
	kept := t.TempDir()
	s := openKept(t, kept)
	former := func(key string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(kept, formerName(key)), []byte(key), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func(key string) string {
		t.Helper()
		f, _, err := s.Snapshot(key, false)
		if errors.Is(err, ErrNotFound) {
			return ""
		}
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		text, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	keys := []string{"asked\x00/a", "later\x00/a", "secret\x00/a"}
	for _, key := range append(keys, "nobody's\x00/a") {
		former(key)
	}
	for range 2 {
		if got := read(keys[0]); got != keys[0] {
			t.Errorf("%q, want what was kept", got)
		}
	}
	if err := s.Trim(time.Now(), keys, map[string][]Saved{"secret": {{Path: "/a"}}}); err != nil {
		t.Fatal(err)
	}
	if left := stored(t, kept, "snapshots"); len(left) != 2 {
		t.Errorf("%d are left, want those of two that may be asked for", len(left))
	}
	if got := read(keys[1]); got != keys[1] {
		t.Errorf("%q, want what was kept", got)
	}
	former("new\x00/a")
	keepText(t, s, "new\x00/a", "newer", false)
	if left := stored(t, kept, "snapshots"); read("new\x00/a") != "newer" || len(left) != 3 {
		t.Errorf("%q: the former one is in its way", left)
	}
}

// TestHalfWritten: what a process that was killed has left goes, and what is being written stays.
func TestHalfWritten(t *testing.T) {
	dir, kept := t.TempDir(), t.TempDir()
	s, err := Open(dir, kept)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	paths := []string{
		filepath.Join(kept, "snapshots/.new"), filepath.Join(kept, "contents/.c1"), filepath.Join(kept, "history/.c1"),
		filepath.Join(dir, "snapshots/.new"), filepath.Join(dir, "secret/.c1"),
	}
	for _, path := range paths {
		if err := os.WriteFile(path, []byte("PRIVATE KEY"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	there := func(after time.Duration) (out []string) {
		t.Helper()
		if err := s.Trim(time.Now().Add(after), nil, nil); err != nil {
			t.Error(err)
		}
		for _, path := range paths {
			if _, err := os.Stat(path); err == nil {
				out = append(out, path)
			}
		}
		return out
	}
	if left := there(forgotten / 2); len(left) != len(paths) {
		t.Errorf("left while they may be written: %q", left)
	}
	if left := there(2 * forgotten); len(left) != 0 {
		t.Errorf("left of who was killed: %q", left)
	}
}
