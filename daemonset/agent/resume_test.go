package agent

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"github.com/podreload/podreload/daemonset/source"
	"github.com/podreload/podreload/daemonset/state"
	"github.com/podreload/podreload/daemonset/template"
	"github.com/podreload/podreload/testenv"
)

// TestBefore: a feed begins with what the agent before kept of the same keys, and with
// nothing where there is none or it is damaged.
func TestBefore(t *testing.T) {
	e := testenv.NewEtcd(t)
	revision, err := e.Put(t.Context(), "/web/x", "1")
	if err != nil {
		t.Fatal(err)
	}
	c, err := source.Open(source.Config{Endpoints: []string{e.Endpoint()}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	read, err := c.Read(t.Context(), []string{"/web"})
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(t.TempDir(), "kept")
	store, err := state.Open(filepath.Join(t.TempDir(), "run"), root)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	bound := func(key string) *template.Bound {
		return &template.Bound{Profile: &template.Profile{Name: "web"}, Resources: []*template.Resource{{Prefix: "/", Keys: []string{key}}}}
	}
	k := newKeeper(store, logrus.New())
	k.keep(bound("/web"), read)
	k.flush()

	a := &Applier{Store: store}
	if s := a.before(bound("/other"))(); s != nil {
		t.Errorf("of other keys there is revision %d", s.Revision())
	}
	s := a.before(bound("/web"))()
	if s == nil {
		t.Fatal("what was kept is not there")
	}
	if value, _ := s.Get("/web/x"); value != "1" || s.Revision() != revision {
		t.Errorf("kept is %q of revision %d, want 1 of %d", value, s.Revision(), revision)
	}
	var files []string
	err = filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, path)
			err = os.WriteFile(path, []byte("podreload snapshot 1\nno more"), 0o600)
		}
		return err
	})
	if diff := cmp.Diff(1, len(files)); err != nil || diff != "" {
		t.Fatalf("files kept: %v, %v", files, err)
	}
	if s := a.before(bound("/web"))(); s != nil {
		t.Errorf("what is damaged is taken: revision %d", s.Revision())
	}
}
