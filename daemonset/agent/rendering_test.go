package agent

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/source"
	"github.com/podreload/podreload/daemonset/template"
	"github.com/podreload/podreload/testenv"
)

// TestRendering: what is the same for all is made once, also where that is an error; what may differ
// is made for each, and what says nothing of that is tried again.
func TestRendering(t *testing.T) {
	t.Parallel()
	const pods = 20
	one := &template.Rendered{}
	asks := &template.Rendered{Asked: template.Asked{Container: true}}
	gone := errors.New("the container is gone")
	for name, tt := range map[string]struct {
		rendered *template.Rendered
		err      error
		want     int32
	}{
		"common":         {one, nil, 1},
		"common error":   {nil, &template.RenderError{}, 1},
		"various":        {asks, nil, pods},
		"various errors": {nil, &template.RenderError{Asked: template.Asked{Inside: true}}, pods},
		"another error":  {nil, gone, pods},
		"a busy node":    {nil, &template.RenderError{Err: template.ErrTooLong}, pods},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var r rendering
			var renders atomic.Int32
			var group sync.WaitGroup
			for range pods {
				group.Go(func() {
					files, err := r.of(time.Minute, func(template.Parts) (*template.Rendered, error) {
						renders.Add(1)
						if tt.rendered == nil {
							return nil, tt.err
						}
						return &template.Rendered{Files: []daemonset.File{{Path: "/a"}}, Asked: tt.rendered.Asked}, nil
					})
					if !errors.Is(err, tt.err) || tt.err == nil && (len(files) != 1 || files[0].Path != "/a") {
						t.Errorf("%+v, %v", files, err)
					}
					if len(files) > 0 {
						files[0] = daemonset.File{} // it is the caller's own
					}
				})
			}
			group.Wait()
			if got := renders.Load(); got != tt.want {
				t.Errorf("rendered %d times, want %d", got, tt.want)
			}
		})
	}
}

// TestRenderingIsNotWaitedFor: one that hangs, by the container that it asks, keeps no other; what has
// asked once is not waited for again.
func TestRenderingIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	r := &rendering{}
	hangs, begun, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = r.of(0, func(template.Parts) (*template.Rendered, error) {
			close(begun)
			<-hangs
			return &template.Rendered{Asked: template.Asked{Inside: true}}, nil
		})
	}()
	<-begun
	own := func(r *rendering, wait time.Duration) {
		t.Helper()
		mine := false
		if _, err := r.of(wait, func(template.Parts) (*template.Rendered, error) {
			mine = true
			return &template.Rendered{}, nil
		}); err != nil || !mine {
			t.Errorf("its own: %v, %v", mine, err)
		}
	}
	own(r, 0)
	close(hangs)
	<-ended
	next := r.next(nil)
	for range 3 {
		own(next, time.Hour)
	}
}

// TestRenderingNext: of a feed's next snapshot what reads the changed key is made anew, and the rest is what it was,
// also over one that could not be rendered; where it is not known what has changed, all is made.
func TestRenderingNext(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"conf.d/web/a.toml": "[template]\nsrc = \"a\"\ndest = \"/a\"\nkeys = [\"/k\"]\n", "templates/a": `{{getv "/k/a"}}`,
		"conf.d/web/b.toml": "[template]\nsrc = \"b\"\ndest = \"/b\"\nkeys = [\"/k\"]\n", "templates/b": `{{range gets "/k/b/*"}}{{.Value}}{{end}}`,
	} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755), os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	config, err := template.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	profile, ok := config.Profile("web")
	if !ok {
		t.Fatal(config.Problems)
	}
	bound, err := profile.Bind(template.Facts{})
	if err != nil {
		t.Fatal(err)
	}
	e := testenv.NewEtcd(t)
	client, err := source.Open(source.Config{Endpoints: []string{e.Endpoint()}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	sub := client.Subscribe([]string{"/k"})
	defer sub.Close()
	r := &rendering{}
	for _, step := range []struct {
		key, value string // put; no value: deleted
		want       string // "": it cannot be rendered
		again      int    // files that were not made anew
	}{
		{"/k/a", "1", "1,", 0}, {"/k/b/1", "2", "1,2", 1}, {"/k/x", "3", "1,2", 2}, {"/k/a", "", "", 1}, {"/k/x", "4", "", 1}, {"/k/a", "5", "5,2", 1}, {"/k/b/1", "6", "5,6", 1},
	} {
		var revision int64
		var err error
		if step.value == "" {
			revision, err = e.Delete(t.Context(), step.key)
		} else {
			revision, err = e.Put(t.Context(), step.key, step.value)
		}
		if err != nil {
			t.Fatal(err)
		}
		s, _ := sub.Current()
		for s == nil || s.Revision() < revision {
			<-sub.Changed()
			s, _ = sub.Current()
		}
		r = r.next(s)
		before := r.parts
		files, err := r.of(0, func(parts template.Parts) (*template.Rendered, error) {
			return bound.RenderWith(s, template.Facts{}, parts)
		})
		if (err != nil) != (step.want == "") {
			t.Fatalf("%+v: %v", step, err)
		}
		if got := before.Len(); got != step.again {
			t.Errorf("%+v: %d files are used again", step, got)
		}
		if err == nil {
			if got := string(files[0].Data) + "," + string(files[1].Data); got != step.want {
				t.Errorf("%+v: rendered %q", step, got)
			}
		}
	}
	fresh, err := client.Read(t.Context(), []string{"/k"})
	if err != nil {
		t.Fatal(err)
	}
	if n := r.next(fresh).parts.Len(); n != 0 {
		t.Errorf("%d files of another state are used again", n)
	}
}
