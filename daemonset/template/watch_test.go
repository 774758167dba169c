package template

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/podreload/podreload/testenv"
)

// watched is a confdir that is watched until the test ends.
type watched struct {
	t       *testing.T
	dir     string
	updates chan Update
}

const plainResource = "[template]\nsrc = \"%.tmpl\"\ndest = \"/etc/%\"\nkeys = [\"/%\"]\n"

func resourceFiles(name, text string) map[string]string {
	return map[string]string{
		"conf.d/" + name + ".toml":    strings.ReplaceAll(plainResource, "%", name),
		"templates/" + name + ".tmpl": text,
	}
}

func startWatch(t *testing.T, files map[string]string) *watched {
	w := &watched{t: t, dir: t.TempDir(), updates: make(chan Update, 100)}
	w.write(files)
	known, err := Load(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		ended <- Dir(w.dir).Watch(ctx, known, func(u Update) { w.updates <- u })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Watch returned %v", err)
		}
	})
	return w
}

func (w *watched) write(files map[string]string) {
	w.t.Helper()
	if err := testenv.WriteTree(w.dir, files); err != nil {
		w.t.Fatal(err)
	}
}

// await waits for an update that is as wanted.
func (w *watched) await(what string, ok func(Update) bool) Update {
	w.t.Helper()
	late := time.After(time.Minute)
	for {
		select {
		case u := <-w.updates:
			if ok(u) {
				return u
			}
		case <-late:
			w.t.Fatalf("no update in which %s", what)
		}
	}
}

func profileOf(u Update, name string) *Profile {
	if u.Config == nil {
		return nil
	}
	p, _ := u.Config.Profile(name)
	return p
}

// TestWatch: what changes is seen, what does not is the same pointer.
func TestWatch(t *testing.T) {
	w := startWatch(t, resourceFiles("a", "one"))
	w.write(resourceFiles("b", "one"))
	u := w.await("b is there", func(u Update) bool { return profileOf(u, "b") != nil && profileOf(u, "b").Err == nil })
	a, b := profileOf(u, "a"), profileOf(u, "b")

	w.write(map[string]string{"templates/b.tmpl": "{{nonsense"})
	u = w.await("b is bad", func(u Update) bool { return profileOf(u, "b").Err != nil })
	if profileOf(u, "a") != a || profileOf(u, "a").Err != nil {
		t.Error("the profile that did not change is another one, or bad")
	}
	w.write(map[string]string{"templates/b.tmpl": "two"})
	u = w.await("b is good", func(u Update) bool { return profileOf(u, "b").Err == nil })
	if profileOf(u, "b") == b {
		t.Error("the profile that changed is the same one")
	}

	// A folder that was not there.
	w.write(map[string]string{"conf.d/new/deep/c.toml": strings.ReplaceAll(plainResource, "%", "c"), "templates/c.tmpl": ""})
	w.await("new is there", func(u Update) bool { return profileOf(u, "new") != nil })
	w.write(map[string]string{"conf.d/new/deep/d.toml": strings.ReplaceAll(plainResource, "%", "d"), "templates/d.tmpl": ""})
	w.await("a file in a new folder counts", func(u Update) bool { return len(profileOf(u, "new").Resources) == 2 })

	for _, name := range []string{"conf.d/b.toml", "templates/b.tmpl"} {
		if err := os.Remove(filepath.Join(w.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	w.await("b is gone", func(u Update) bool { return profileOf(u, "b") == nil })
}

// TestWatchInclude: a file that is only included counts.
func TestWatchInclude(t *testing.T) {
	files := resourceFiles("a", `{{include "part"}}`)
	files["templates/part"] = "one"
	w := startWatch(t, files)
	known, err := Load(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	w.write(map[string]string{"templates/part": "two"})
	u := w.await("the profile is another", func(u Update) bool { return true })
	if before, _ := known.Profile("a"); u.Config.Keep(known) != true || profileOf(u, "a") == before {
		t.Error("an included file has changed, and the profile is the same")
	}
}

// TestWatchConfigMap: the kubelet swaps a link that all files lead through.
func TestWatchConfigMap(t *testing.T) {
	dir := t.TempDir()
	version := func(name, text string) {
		t.Helper()
		for _, mount := range []string{"conf.d", "templates"} {
			files := map[string]string{}
			for path, content := range resourceFiles("a", text) {
				if rest, ok := strings.CutPrefix(path, mount+"/"); ok {
					files[mount+"/.."+name+"/"+rest] = content
				}
			}
			if err := testenv.WriteTree(dir, files); err != nil {
				t.Fatal(err)
			}
			tmp, data := filepath.Join(dir, mount, "..data_tmp"), filepath.Join(dir, mount, "..data")
			if err := errors.Join(os.Symlink(".."+name, tmp), os.Rename(tmp, data)); err != nil {
				t.Fatal(err)
			}
		}
	}
	version("1", "one")
	for link, to := range map[string]string{"conf.d/a.toml": "..data/a.toml", "templates/a.tmpl": "..data/a.tmpl"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	w := &watched{t: t, dir: dir, updates: make(chan Update, 100)}
	known, err := Load(dir)
	if err != nil || known.Profiles[0].Err != nil {
		t.Fatal(err, known.Problems)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- Dir(dir).Watch(ctx, known, func(u Update) { w.updates <- u }) }()
	defer func() { cancel(); <-ended }()

	version("2", `{{"two"}}`)
	u := w.await("the new version is there", func(u Update) bool { return profileOf(u, "a") != known.Profiles[0] })
	files, err := profileOf(u, "a").Render(snapshot{}, Facts{})
	if err != nil || string(files[0].Data) != "two" {
		t.Errorf("%+v, %v", files, err)
	}
}

// TestWatchGone: a confdir that goes is said, and found again.
func TestWatchGone(t *testing.T) {
	w := startWatch(t, resourceFiles("a", "one"))
	away := w.dir + ".away"
	if err := os.Rename(w.dir, away); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(away) })
	w.await("it cannot be read", func(u Update) bool { return u.Err != nil && u.Config == nil })
	w.write(resourceFiles("b", "two"))
	u := w.await("it is back", func(u Update) bool { return u.Err == nil && profileOf(u, "b") != nil })
	if profileOf(u, "a") != nil {
		t.Error("what was in the old one is still there")
	}
}

// TestWatchBesideBusyFolder: what goes on beside a confdir, as in /etc or /tmp, is no reason to
// read it again.
func TestWatchBesideBusyFolder(t *testing.T) {
	parent := t.TempDir()
	confdir := filepath.Join(parent, "etc")
	if err := testenv.WriteTree(confdir, resourceFiles("a", "one")); err != nil {
		t.Fatal(err)
	}
	watcher, err := watchFolders(confdir)
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var busy sync.WaitGroup
	defer busy.Wait()
	busy.Go(func() {
		for ctx.Err() == nil {
			if err := os.WriteFile(filepath.Join(parent, "noise"), nil, 0o600); err != nil {
				t.Error(err)
			}
			time.Sleep(3 * settleQuiet)
		}
	})
	if settle(ctx, watcher, confdir); ctx.Err() == nil {
		t.Error("it woke up")
	}
}
