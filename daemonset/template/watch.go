package template

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settleQuiet and settleLongest are how long changes are gathered: an editor, a
	// package manager or the kubelet makes several.
	settleQuiet   = 100 * time.Millisecond
	settleLongest = 2 * time.Second

	// relook is a safety net for filesystems without events, such as NFS, and for changes
	// to what links lead to.
	relook = time.Minute
)

// Update is what a confdir says now.
type Update struct {
	Config *Config // nil when it cannot be read
	Err    error   // why, or why its changes show late
}

// Dir is the path of a confdir.
type Dir string

// Watch reads the confdir whenever it has changed and calls notify with what it says then,
// until ctx ends; it returns ctx's error. The first call comes when it differs from
// known. Profiles that are as they were are the same pointers as before. The calls come
// one after the other from Watch's own goroutine, so notify must not take long.
func (d Dir) Watch(ctx context.Context, known *Config, notify func(Update)) error {
	confdir := string(d)
	said := fmt.Sprint(error(nil))
	for {
		// The watches are there before it is read, and new with every round: folders come
		// and go, and the kubelet swaps the one that links lead to.
		watcher, watching := watchFolders(confdir)
		config, err := Load(confdir)
		if err == nil {
			err = watching
		}
		changed := config != nil && config.Keep(known)
		if changed {
			known = config
		}
		if now := fmt.Sprint(err); changed || now != said {
			notify(Update{Config: config, Err: err})
			said = now
		}
		settle(ctx, watcher, filepath.Clean(confdir))
		if watcher != nil {
			watcher.Close() // it has nothing to say: the next is a new one
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// watchFolders watches confdir, conf.d, templates, and all folders below these. Each is
// watched before it is read, so that what comes meanwhile is seen.
func watchFolders(confdir string) (*fsnotify.Watcher, error) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("changes of %s are seen within %v only: %w; raise fs.inotify.max_user_instances", confdir, relook, err)
	}
	var errs []error
	add := func(path string) {
		if err := watcher.Add(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	add(filepath.Dir(confdir)) // to see it come and go
	add(confdir)
	if root, err := os.OpenRoot(confdir); err == nil {
		defer root.Close()
		w := walker{
			root: root, wanted: func(string) bool { return false },
			enter: func(name string) { add(filepath.Join(confdir, name)) },
		}
		w.folder("conf.d", nil)
		w.folder("templates", nil)
	}
	if err := errors.Join(errs...); err != nil {
		return watcher, fmt.Errorf("some changes of %s are seen within %v only: %w; raise fs.inotify.max_user_watches", confdir, relook, err)
	}
	return watcher, nil
}

// settle waits for a change and until no other follows, or for the time to look anyway. What
// goes on beside confdir is none.
func settle(ctx context.Context, watcher *fsnotify.Watcher, confdir string) {
	late := time.NewTimer(relook)
	defer late.Stop()
	quiet := time.NewTimer(relook)
	defer quiet.Stop()
	var events chan fsnotify.Event
	var broken chan error
	if watcher != nil {
		events, broken = watcher.Events, watcher.Errors
	}
	for first := true; ; {
		select {
		case <-ctx.Done():
			return
		case <-late.C:
			return
		case <-quiet.C:
			return
		case <-broken: // events were lost: which of them does not matter
		case e := <-events:
			if beside := filepath.Dir(confdir); beside != confdir && e.Name != confdir && filepath.Dir(e.Name) == beside {
				continue
			}
		}
		quiet.Reset(settleQuiet)
		if first {
			late.Reset(settleLongest)
			first = false
		}
	}
}
