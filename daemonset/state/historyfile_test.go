package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podreload/podreload/daemonset"
)

// TestHistoryFile: a change is a line more, and what cannot be added to is written anew.
func TestHistoryFile(t *testing.T) {
	long := strings.Repeat("x", maxAppended/10)
	for name, tt := range map[string]struct {
		before  string
		want    []int64 // revisions
		rewrite bool
	}{
		"none":                   {"", []int64{9}, true},
		"of version 1":           {`{"version":1,"target":"t","entries":[{"revision":7}]}` + "\n", []int64{7, 9}, true},
		"of this version":        {`{"version":2,"target":"t","entries":[{"revision":7}]}` + "\n", []int64{7, 9}, false},
		"with lines":             {`{"version":2,"target":"t","entries":[]}` + "\n" + `{"revision":7}` + "\n" + `{"revision":8}` + "\n", []int64{7, 8, 9}, false},
		"without its last line":  {`{"version":2,"target":"t","entries":[]}` + "\n" + `{"revision":7}` + "\n" + `{"rev`, []int64{7, 9}, true},
		"without its first line": {`{"version":2,"entr`, []int64{9}, true},
		"long":                   {`{"version":2,"target":"t","entries":[]}` + "\n" + strings.Repeat(fmt.Sprintf(`{"revision":7,"reason":%q}`, long)+"\n", 10), []int64{7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 9}, true},
		"with a line damaged":    {`{"version":2,"target":"t","entries":[]}` + "\n\x00\n" + `{"revision":8}` + "\n", []int64{8, 9}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Open(t.TempDir(), t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			path := filepath.Join(s.kept.dir, historyName("t"))
			if tt.before != "" {
				if err := os.WriteFile(path, []byte(tt.before), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			e := Entry{Event: daemonset.Event{ContainerID: "c1", Revision: 9}}
			if err := s.Tell("t", e); err != nil {
				t.Fatal(err)
			}
			got, err := s.History("t")
			if err != nil {
				t.Fatal(err)
			}
			var revisions []int64
			for _, e := range got {
				revisions = append(revisions, e.Revision)
			}
			if diff := cmp.Diff(tt.want, revisions); diff != "" {
				t.Errorf("revisions (-want +got):\n%s", diff)
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if added := tt.before != "" && strings.HasPrefix(string(text), tt.before); added == tt.rewrite {
				t.Errorf("written anew: %v, want %v:\n%.300s", !added, tt.rewrite, text)
			}
		})
	}
}

// TestHistoryTogether: two containers of one name, the old and the new, lose each other no line.
func TestHistoryTogether(t *testing.T) {
	s, err := Open(t.TempDir(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	tell := func(id string, revision int64) {
		if err := s.Tell(web, Entry{Event: daemonset.Event{ContainerID: id, Revision: revision}}); err != nil {
			t.Error(err)
		}
	}
	tell("c1", 0) // the file is there
	const each = 20
	var group sync.WaitGroup
	for _, id := range []string{"c1", "c2"} {
		group.Go(func() {
			for i := range int64(each) {
				tell(id, i)
			}
		})
	}
	group.Wait()
	got, err := s.History(web)
	if err != nil || len(got) != 1+2*each {
		t.Errorf("%d changes are told, want %d; %v", len(got), 1+2*each, err)
	}
}

func FuzzDecodeHistory(f *testing.F) {
	f.Add([]byte(`{"version":1,"target":"t","entries":[{"revision":7}]}` + "\n"))
	f.Add([]byte(`{"version":2,"target":"t","entries":[]}` + "\n" + `{"revision":7}` + "\n" + `{"rev`))
	f.Fuzz(func(t *testing.T, text []byte) {
		entries, err := decodeHistory(text)
		if err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) {
				t.Errorf("an error of no kind: %v", err)
			}
			return
		}
		if entries = newest(entries, ""); len(entries) > maxEntries {
			t.Errorf("%d entries", len(entries))
		}
	})
}
