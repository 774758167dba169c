package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/podreload/podreload/daemonset"
)

// TestOutHoldsWhatIsHostile: whatever a dest or a pod's name is, nothing is written
// outside of the folder, and nothing into that of another target.
func TestOutHoldsWhatIsHostile(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(dir, "outside")
	if err := os.Mkdir(outside, 0o700); err != nil {
		t.Fatal(err)
	}
	root, err := outRoot(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := os.Symlink(outside, filepath.Join(dir, "out", "link")); err != nil {
		t.Fatal(err)
	}
	pod := []string{"default", "web-0", "nginx"}
	for path, folders := range map[string][]string{
		"/../../../../../../outside/a": pod,
		"../../../../outside/b":        pod,
		"/a/../../../../b":             pod,
		"/fine":                        pod,
	} {
		if err := writeFiles(root, folders, []daemonset.File{{Path: path, Data: []byte("x")}}); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := writeFiles(root, nil, []daemonset.File{{Path: "/link/a"}}); err == nil {
		t.Error("a link that leads out was followed")
	}
	for _, name := range []string{"..", ".", "", "/", "a/b", "../outside"} {
		if err := writeFiles(root, []string{"default", name, "nginx"}, []daemonset.File{{Path: "/a"}}); err == nil {
			t.Errorf("a pod of the name %q has a folder", name)
		}
	}
	var got []string
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			name, _ := filepath.Rel(dir, path)
			got = append(got, name)
		}
		return err
	})
	want := []string{"out/default/web-0/nginx/b", "out/default/web-0/nginx/fine", "out/default/web-0/nginx/outside/a", "out/default/web-0/nginx/outside/b"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
}
