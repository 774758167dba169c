package state

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/podreload/podreload/daemonset"
)

func open(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir, filepath.Join(t.TempDir(), "kept"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func example(id string) Record {
	mode, uid := fs.FileMode(0o640), uint32(101)
	return Record{Status: daemonset.Status{
		ContainerID: id, Name: "nginx", Pod: "web-0", Namespace: "prod", Profile: "web",
		State: daemonset.Live, Revision: 7, Digest: "d", Reloads: 2, Owed: true,
		Reloaded: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
		Updated:  time.Date(2026, 1, 2, 3, 4, 5, 7, time.UTC),
		Files:    []daemonset.FileStatus{{Path: "/etc/nginx/conf.d/a.conf", Bytes: 3, Changed: true}},
		Process:  &daemonset.Process{Pid: 10, NSPid: 1, StartTime: 99, Exe: "/usr/sbin/nginx"},
	},
		Good:     []Saved{{Path: "/etc/nginx/conf.d/a.conf", Content: "c", Mode: &mode, UID: &uid, GID: &uid}, {Path: "/b", Absent: true}},
		Next:     &Change{Revision: 8, Files: []Saved{{Resource: "a.toml", Path: "/etc/nginx/conf.d/a.conf", Content: "d", Mkdir: true}}},
		Rejected: "r", Why: "because",
	}
}

func save(t *testing.T, s *Store, status Record) {
	t.Helper()
	if err := s.Save(status); err != nil {
		t.Fatal(err)
	}
}

func TestSaveLoad(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "state")
	s := open(t, dir)
	if _, err := s.Load("c1"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	save(t, s, Record{Status: daemonset.Status{ContainerID: "c1", State: daemonset.Failed}})
	save(t, s, example("c1"))
	save(t, s, example("c2"))

	// Another process would see the same.
	s = open(t, dir)
	got, err := s.Load("c1")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(example("c1"), got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	list, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(list, func(a, b Record) int { return strings.Compare(a.ContainerID, b.ContainerID) })
	if diff := cmp.Diff([]Record{example("c1"), example("c2")}, list); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}

	if err := s.Remove("c1"); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove("c1"); err != nil {
		t.Errorf("removed twice: %v", err)
	}
	if _, err := s.Load("c1"); !errors.Is(err, ErrNotFound) {
		t.Errorf("after Remove: got %v, want ErrNotFound", err)
	}
	if locks, err := os.ReadDir(filepath.Join(dir, "locks")); err != nil || len(locks) != 0 {
		t.Errorf("locks left: %v, %v", locks, err)
	}
}

func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s := open(t, dir)
	save(t, s, example("c1"))
	unlock, err := s.Lock(t.Context(), "c1")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	done, err := s.Daemon(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	err = filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		others := fs.FileMode(0)
		if path == dir {
			others = 0o011 // pass, and list nothing
		}
		if err == nil && info.Mode().Perm()&0o077&^others != 0 {
			t.Errorf("%s: mode %v: others may use it", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(dir string) error
		want    string
	}{
		{"writable by others", func(dir string) error { return os.Chmod(dir, 0o777) }, "chmod"},
		{"writable by its group", func(dir string) error { return os.Chmod(dir, 0o770) }, "chmod"},
		{"another's", func(dir string) error { return os.Chown(dir, 65534, 0) }, "belongs to user 65534"},
		{"a file", func(dir string) error { return errors.Join(os.Remove(dir), os.WriteFile(dir, nil, 0o600)) }, "not a directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := tt.prepare(dir); errors.Is(err, os.ErrPermission) && os.Geteuid() != 0 {
				t.Skip(err)
			} else if err != nil {
				t.Fatal(err)
			}
			if _, err := Open(dir, t.TempDir()); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("got %v, want an error with %q and the directory", err, tt.want)
			}
		})
	}
}

func TestBadFiles(t *testing.T) {
	tests := []struct {
		name, data string
		want       error
	}{
		{"empty", "", ErrDamaged},
		{"cut off", `{"version":1,"containerID":"bad"`, ErrDamaged},
		{"two", `{"version":1,"containerID":"bad"}{}`, ErrDamaged},
		{"unknown field", `{"version":1,"containerID":"bad","colour":"red"}`, ErrDamaged},
		{"wrong type", `{"version":1,"containerID":"bad","reloads":"many"}`, ErrDamaged},
		{"no version", `{"containerID":"bad"}`, ErrDamaged},
		{"another's", `{"version":1,"containerID":"good"}`, ErrDamaged},
		{"too long", strings.Repeat(" ", maxStatus) + `{"version":1}`, ErrDamaged},
		{"newer", `{"version":3,"containerID":"bad","colour":"red"}`, ErrNewer},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			save(t, s, example("good"))
			file := filepath.Join(dir, "targets", "bad.json")
			if err := os.WriteFile(file, []byte(tt.data), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Load("bad"); !errors.Is(err, tt.want) || !strings.Contains(err.Error(), file) {
				t.Errorf("Load: got %v, want %v and the file's name", err, tt.want)
			}
			list, err := s.List()
			if !errors.Is(err, tt.want) || len(list) != 1 || list[0].ContainerID != "good" {
				t.Errorf("List: got %v, %v; want the good one and %v", list, err, tt.want)
			}
			// What a person is told to do helps.
			if err := s.Remove("bad"); err != nil {
				t.Fatal(err)
			}
			if _, err := s.List(); err != nil {
				t.Errorf("after Remove: %v", err)
			}
		})
	}
}

func TestSaveTooLarge(t *testing.T) {
	s := open(t, t.TempDir())
	if err := s.Save(Record{Status: daemonset.Status{ContainerID: "c1", Reason: strings.Repeat("x", maxStatus)}}); err == nil {
		t.Error("saved what could not be loaded")
	}
}

func TestCheckID(t *testing.T) {
	s := open(t, t.TempDir())
	for _, id := range []string{"", ".", "..", ".hidden", "a/b", "../a", "a b", "a\n", "é", "a\x00", strings.Repeat("a", 129)} {
		_, loadErr := s.Load(id)
		_, lockErr := s.Lock(t.Context(), id)
		saveErr, removeErr := s.Save(Record{Status: daemonset.Status{ContainerID: id}}), s.Remove(id)
		for _, err := range []error{loadErr, lockErr, saveErr, removeErr} {
			if err == nil || !strings.Contains(err.Error(), "container id") {
				t.Errorf("id %q: got %v, want it refused", id, err)
			}
		}
	}
	for _, id := range []string{"a", "A-z_0.9", strings.Repeat("a", 128)} {
		if err := s.Save(Record{Status: daemonset.Status{ContainerID: id}}); err != nil {
			t.Errorf("id %q: %v", id, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	whole, err := encode(example("c1"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte(`{"version":3}`))
	f.Add([]byte(`{"version":1,"updated":"0001-01-01T00:00:00Z","process":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		status, err := decode(data)
		if err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) {
				t.Errorf("an error of no kind: %v", err)
			}
			return
		}
		data, err = encode(status)
		if err != nil {
			t.Skip(err) // grew over the limit, by escaping
		}
		again, err := decode(data)
		if err != nil {
			t.Fatalf("does not read what it wrote: %v\n%s", err, data)
		}
		if !again.Updated.Equal(status.Updated) || again.ContainerID != status.ContainerID || len(again.Files) != len(status.Files) {
			t.Errorf("changed by writing: %+v, %+v", status, again)
		}
	})
}

func FuzzID(f *testing.F) {
	for _, id := range []string{"a", "..", "a/b", ".a", "a\x00b"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		if checkID(id) == nil && (!filepath.IsLocal(id) || filepath.Base(id) != id || strings.HasPrefix(id, ".")) {
			t.Errorf("%q is more than a file name", id)
		}
	})
}
