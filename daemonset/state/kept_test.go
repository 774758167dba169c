package state

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/podreload/podreload/daemonset"
)

const web = "prod/web-0/nginx"

// TestPauses: what is paused holds for another process, the widest word counts, and each
// is taken back by itself.
func TestPauses(t *testing.T) {
	dir, kept := t.TempDir(), t.TempDir()
	s, err := Open(dir, kept)
	if err != nil {
		t.Fatal(err)
	}
	pause := func(p Pause) {
		t.Helper()
		if _, err := s.Pause(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	pause(Pause{Target: web, By: "a", Pin: "d", Revision: 7})
	again, err := Open(dir, kept)
	if err != nil {
		t.Fatal(err)
	}
	holds := func(profile, target, want string) {
		t.Helper()
		p, ok, err := again.Paused(profile, target)
		if err != nil || ok != (want != "") || p.By != want {
			t.Errorf("%s of %s: %+v, %v, %v, want that of %q", target, profile, p, ok, err, want)
		}
	}
	holds("web", web, "a")
	holds("web", "prod/web-1/nginx", "")
	pause(Pause{Profile: "web", By: "b"})
	holds("web", web, "b")
	holds("web", "prod/web-1/nginx", "b")
	holds("other", "prod/web-1/nginx", "")
	pause(Pause{By: "c"})
	holds("web", web, "c")
	holds("other", "prod/x/y", "c")

	before, err := s.Pause(t.Context(), Pause{Target: web, By: "d", Pin: "e"})
	if err != nil || before == nil || before.Pin != "d" {
		t.Errorf("in the place of %+v, %v", before, err)
	}
	for _, step := range []struct {
		resume Pause
		was    bool
		holds  string
	}{{Pause{Profile: "other"}, false, "c"}, {Pause{}, true, "b"}, {Pause{Profile: "web"}, true, "d"}, {Pause{Target: web}, true, ""}, {Pause{Target: web}, false, ""}} {
		was, err := s.Resume(t.Context(), step.resume)
		if err != nil || was != step.was {
			t.Errorf("resume %s: %v, %v", step.resume, was, err)
		}
		holds("web", web, step.holds)
	}
}

// TestPausesDamaged: where nobody can tell what is paused, nothing is said not to be.
func TestPausesDamaged(t *testing.T) {
	kept := t.TempDir()
	s, err := Open(t.TempDir(), kept)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "{", `{"version":1,"pauses":[],"more":1}`, `{"version":9}`} {
		if err := os.WriteFile(filepath.Join(kept, "pauses.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := s.Paused("web", web)
		if err == nil || !strings.Contains(err.Error(), kept) {
			t.Errorf("%q: %v", text, err)
		}
		if _, err := s.Pause(t.Context(), Pause{}); err == nil {
			t.Errorf("%q is overwritten", text)
		}
	}
}

// told adds an entry whose one file has the contents, at a path for what is sensitive and one for what is not.
func told(t *testing.T, s *Store, revision int64, contents string, sensitive bool) Entry {
	t.Helper()
	e := Entry{Event: daemonset.Event{
		Time: time.Unix(revision, 0).UTC(), Kind: daemonset.Change, ContainerID: "c1", Revision: revision, Digest: fmt.Sprint("d", revision), State: daemonset.Live,
	}}
	path := "/a"
	if sensitive {
		path = "/secret"
	}
	e.Files = keep(t, s, "c1", daemonset.File{Path: path, Data: []byte(contents), Sensitive: sensitive})
	if err := s.Tell(web, e); err != nil {
		t.Fatal(err)
	}
	return e
}

// TestHistory: it outlives the container, and the newest entries lead back.
func TestHistory(t *testing.T) {
	dir, kept := t.TempDir(), t.TempDir()
	s, err := Open(dir, kept)
	if err != nil {
		t.Fatal(err)
	}
	var want []Entry
	for i := range int64(maxEntries + 5) {
		want = append(want, told(t, s, i+1, fmt.Sprint("contents ", i+1), i%2 == 1))
	}
	if err := s.Remove("c1"); err != nil {
		t.Fatal(err)
	}
	want = want[5:]
	for i := range want[:len(want)-maxBack] {
		want[i].Files = nil
	}
	got, err := s.History(web)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	for _, e := range got[len(got)-maxBack:] {
		files, err := s.Back(e)
		if err != nil || len(files) != 1 || string(files[0].Data) != fmt.Sprint("contents ", e.Revision) {
			t.Errorf("revision %d: %+v, %v", e.Revision, files, err)
		}
	}
	if e, ok := Find(got, func(e Entry) bool { return e.Revision == 40 }); ok {
		t.Errorf("found %+v, which leads nowhere", e)
	}
	if e, ok := Find(got, func(e Entry) bool { return e.Digest == "d54" }); !ok || e.Revision != 54 {
		t.Errorf("found %+v, %v", e, ok)
	}

	// Of what is sensitive nothing is on the disk, and after a reboot it is gone.
	for _, name := range stored(t, kept, "contents") {
		data, err := os.ReadFile(filepath.Join(kept, "contents", name))
		if n := 0; err != nil || func() bool { _, err := fmt.Sscanf(string(data), "contents %d", &n); return err != nil || n%2 == 0 }() {
			t.Errorf("on the disk: %q, %v", data, err)
		}
	}
	again, err := Open(t.TempDir(), kept)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range got[len(got)-2:] {
		_, err := again.Back(e)
		if sensitive := e.Files[0].Sensitive; sensitive != errors.Is(err, ErrNotFound) || !sensitive && err != nil {
			t.Errorf("revision %d after a reboot: %v", e.Revision, err)
		}
	}
}

// TestHistoryRepeated: what is done again and again does not push out what was before it.
func TestHistoryRepeated(t *testing.T) {
	const times = 3 * maxEntries
	for name, again := range map[string]func(t *testing.T, s *Store, i int64){
		"the same files": func(t *testing.T, s *Store, i int64) {
			e := Entry{Event: daemonset.Event{ContainerID: "c1", Revision: 3 + i, Digest: "bad"}}
			e.Files = keep(t, s, "c1", daemonset.File{Path: "/a", Data: []byte("bad")})
			if err := s.Tell(web, e); err != nil {
				t.Fatal(err)
			}
		},
		"what fails": func(t *testing.T, s *Store, i int64) {
			if err := s.Tell(web, Entry{Event: daemonset.Event{ContainerID: "c1", Revision: 3 + i, Digest: "bad", Reason: strings.Repeat("no ", 400)}}); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Open(t.TempDir(), t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			first, second := told(t, s, 1, "one", false), told(t, s, 2, "two", false)
			for i := range int64(times) {
				again(t, s, i)
			}
			got, err := s.History(web)
			if err != nil || len(got) > maxEntries || got[len(got)-1].Revision != 3+times-1 {
				t.Fatalf("%d changes are told, %v", len(got), err)
			}
			for _, want := range []Entry{first, second} {
				e, ok := Find(got, func(e Entry) bool { return e.Digest == want.Digest })
				if files, err := s.Back(e); !ok || err != nil || len(files) != 1 {
					t.Errorf("nothing leads back to revision %d: %v", want.Revision, err)
				}
			}
		})
	}
}

// TestHistoryDamaged: a history that the disk has lost begins anew; contents that are not
// what they were are told.
func TestHistoryDamaged(t *testing.T) {
	kept := t.TempDir()
	s, err := Open(t.TempDir(), kept)
	if err != nil {
		t.Fatal(err)
	}
	e := told(t, s, 1, "one", false)
	if err := os.WriteFile(filepath.Join(kept, "contents", e.Files[0].Content), []byte("two"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Back(e); !errors.Is(err, ErrDamaged) {
		t.Errorf("other contents: %v", err)
	}
	e = told(t, s, 2, "one", false) // which mends them
	if _, err := s.Back(e); err != nil {
		t.Errorf("mended: %v", err)
	}
	if err := os.WriteFile(filepath.Join(kept, historyName(web)), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.History(web); !errors.Is(err, ErrDamaged) {
		t.Errorf("empty: %v", err)
	}
	told(t, s, 3, "three", false)
	if got, err := s.History(web); err != nil || len(got) != 1 {
		t.Errorf("anew: %+v, %v", got, err)
	}
}

// TestTrim: what nobody refers to goes, and what is too old; what is young or in use stays.
func TestTrim(t *testing.T) {
	kept := t.TempDir()
	s, err := Open(t.TempDir(), kept)
	if err != nil {
		t.Fatal(err)
	}
	used := told(t, s, 1, "used", false)
	age := func(name string, by time.Duration) {
		t.Helper()
		at := time.Now().Add(-by)
		if err := os.Chtimes(filepath.Join(kept, name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"young", "old"} {
		if err := os.WriteFile(filepath.Join(kept, "contents", name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	age("contents/old", 2*young)
	age("contents/"+used.Files[0].Content, 2*young)
	if err := s.KeepSnapshot("a", false, func(w io.Writer) error { _, err := io.WriteString(w, "a"); return err }); err != nil {
		t.Fatal(err)
	}
	if err := s.Trim(time.Now(), nil, nil); err != nil {
		t.Fatal(err)
	}
	want := []string{used.Files[0].Content, "young"}
	slices.Sort(want)
	if diff := cmp.Diff(want, stored(t, kept, "contents")); diff != "" {
		t.Errorf("contents (-want +got):\n%s", diff)
	}
	age(historyName(web), 2*maxAge)
	age(snapshotName("a"), 2*maxAge)
	// However old, or however far the clock has jumped: pods may start that want it, and a person has said
	// that a target is to stay where its history leads.
	if _, err := s.Pause(t.Context(), Pause{Target: web, Pin: used.Digest}); err != nil {
		t.Fatal(err)
	}
	for _, keys := range [][]string{nil, {"a"}} {
		if err := s.Trim(time.Now(), keys, nil); err != nil {
			t.Fatal(err)
		}
		if h, snapshots := stored(t, kept, "history"), stored(t, kept, "snapshots"); len(h) != 1 || len(snapshots) != 1 {
			t.Errorf("in use are %q: %q and %q are left", keys, h, snapshots)
		}
	}
	if _, err := s.Resume(t.Context(), Pause{Target: web}); err != nil {
		t.Fatal(err)
	}
	if err := s.Trim(time.Now(), []string{}, nil); err != nil {
		t.Fatal(err)
	}
	if got := slices.Concat(stored(t, kept, "history"), stored(t, kept, "snapshots"), stored(t, kept, "contents")); !slices.Equal(got, []string{"young"}) {
		t.Errorf("left: %q", got)
	}
}

// TestKeepOnlyBounds: where all is too much, what was used last stays.
func TestKeepOnlyBounds(t *testing.T) {
	kept := t.TempDir()
	s, err := Open(t.TempDir(), kept)
	if err != nil {
		t.Fatal(err)
	}
	var used []keptFile
	for i, name := range []string{"a", "b", "c"} {
		path := filepath.Join(kept, "contents", name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, maxHistory/2); err != nil { // takes no room
			t.Fatal(err)
		}
		used = append(used, keptFile{name: "contents/" + name, at: time.Unix(int64(10-i), 0)})
	}
	if err := s.kept.keepOnly("contents", used, func(string) bool { return true }, time.Now(), maxHistory); err != nil {
		t.Fatal(err)
	}
	if got := stored(t, kept, "contents"); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("left: %q", got)
	}
}

// TestSnapshots: one is kept whole or not at all, in memory where it is sensitive, and the oldest
// makes room.
func TestSnapshots(t *testing.T) {
	dir, kept := t.TempDir(), t.TempDir()
	s, err := Open(dir, kept)
	if err != nil {
		t.Fatal(err)
	}
	write := func(key, text string, sensitive bool) error {
		return s.KeepSnapshot(key, sensitive, func(w io.Writer) error { _, err := io.WriteString(w, text); return err })
	}
	read := func(key string, sensitive bool) string {
		t.Helper()
		f, at, err := s.Snapshot(key, sensitive)
		if errors.Is(err, ErrNotFound) {
			return "none"
		}
		if err != nil || time.Since(at) > time.Hour {
			t.Fatal(at, err)
		}
		defer f.Close()
		text, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, step := range []struct {
		text          string
		sensitive     bool
		onDisk, inRAM string
		disk, ram     int
	}{
		{"one", false, "one", "none", 1, 0},
		{"two", false, "two", "none", 1, 0},
		{"three", true, "none", "three", 0, 1},
		{"four", false, "four", "none", 1, 0},
	} {
		if err := write("k", step.text, step.sensitive); err != nil {
			t.Fatal(err)
		}
		if d, r := read("k", false), read("k", true); d != step.onDisk || r != step.inRAM {
			t.Errorf("%s: %s on disk, %s in memory", step.text, d, r)
		}
		if d, r := stored(t, kept, "snapshots"), stored(t, dir, "snapshots"); len(d) != step.disk || len(r) != step.ram {
			t.Errorf("%s: %q on disk, %q in memory", step.text, d, r)
		}
	}

	broken := errors.New("broken")
	if err := s.KeepSnapshot("k", false, func(w io.Writer) error { _, _ = io.WriteString(w, "half"); return broken }); !errors.Is(err, broken) {
		t.Errorf("a writer that fails: %v", err)
	}
	if got := read("k", false); got != "four" {
		t.Errorf("after half a write: %q", got)
	}
	large := filepath.Join(kept, snapshotName("large"))
	if err := write("large", "", false); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, maxSnapshots); err != nil {
		t.Fatal(err)
	}
	if err := write("k", "five", false); err != nil {
		t.Fatal(err)
	}
	if got := read("large", false); got != "none" || read("k", false) != "five" {
		t.Error("the large one has made no room")
	}
	w := &limitedWriter{Writer: io.Discard, left: 3}
	if _, err := w.Write([]byte("four")); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too much: %v", err)
	}
}
