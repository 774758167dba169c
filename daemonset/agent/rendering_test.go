package agent

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/template"
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
					files, err := r.of(time.Minute, func() (*template.Rendered, error) {
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
		_, _ = r.of(0, func() (*template.Rendered, error) {
			close(begun)
			<-hangs
			return &template.Rendered{Asked: template.Asked{Inside: true}}, nil
		})
	}()
	<-begun
	own := func(r *rendering, wait time.Duration) {
		t.Helper()
		mine := false
		if _, err := r.of(wait, func() (*template.Rendered, error) {
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
