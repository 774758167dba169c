package agent

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/source"
	"github.com/podreload/podreload/daemonset/state"
	"github.com/podreload/podreload/daemonset/template"
)

// TestKeeperForgets: what was live stays on the disk as long as there are pods that may want it, although its
// keys never change, or the clock has jumped by a year; then it goes.
func TestKeeperForgets(t *testing.T) {
	root := t.TempDir()
	store, err := state.Open(t.TempDir(), root)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	bound := &template.Bound{Profile: &template.Profile{Name: "web"}}
	err = store.KeepSnapshot(keptKey(bound), false, func(w io.Writer) error { _, err := io.WriteString(w, "kept"); return err })
	if err != nil {
		t.Fatal(err)
	}
	kept := func() int {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(root, "snapshots", "*"))
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	synctest.Test(t, func(t *testing.T) {
		files, _ := filepath.Glob(filepath.Join(root, "snapshots", "*"))
		yearAgo := time.Now().Add(-365 * 24 * time.Hour)
		if err := os.Chtimes(files[0], yearAgo, yearAgo); err != nil {
			t.Fatal(err)
		}
		log := logrus.New()
		log.Out = io.Discard
		k := newKeeper(store, log)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { k.run(ctx) })
		defer running.Wait()
		defer cancel()
		synctest.Wait()
		if kept() != 1 {
			t.Error("it is gone before anybody knows whether a pod wants it")
		}
		k.use(bound, 1)
		k.use(bound, 1) // as of a profile that is read anew
		k.use(bound, -1)
		time.Sleep(2 * trimEvery)
		synctest.Wait()
		if kept() != 1 {
			t.Error("it is gone while a pod may want it")
		}
		k.use(bound, -1)
		time.Sleep(2 * trimEvery)
		synctest.Wait()
		if kept() != 0 {
			t.Error("it is there still, and nobody wants it")
		}
	})
}

// TestKeeperConceals: what conf.d has as sensitive by now goes off the disk although no pass ends well, as where etcd
// is away or a person has paused all.
func TestKeeperConceals(t *testing.T) {
	root := t.TempDir()
	store, err := state.Open(t.TempDir(), root)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	open := &template.Profile{Name: "web", Resources: []*template.Resource{{Name: "key.toml", Dest: "/key"}}}
	secret := &template.Profile{Name: "web", Resources: []*template.Resource{{Name: "key.toml", Dest: "/key", Sensitive: true}}}
	bound := &template.Bound{Profile: open}
	if err := store.KeepSnapshot(keptKey(bound), false, func(w io.Writer) error { _, err := io.WriteString(w, "kept"); return err }); err != nil {
		t.Fatal(err)
	}
	id := strings.Repeat("a", 64)
	files := []daemonset.File{{Resource: "key.toml", Path: "/key", Data: []byte("key")}}
	saved, err := store.Keep(id, files)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Tell("default/web/nginx", state.Entry{Event: daemonset.Event{ContainerID: id, Profile: "web", Time: time.Now(), Digest: daemonset.Digest(files)}, Files: saved}); err != nil {
		t.Fatal(err)
	}
	kept := func() (out []string) {
		for _, sub := range []string{"snapshots", "contents"} {
			files, err := filepath.Glob(filepath.Join(root, sub, "*"))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				at := time.Now()
				if err := os.Chtimes(f, at, at); err != nil {
					t.Fatal(err)
				}
			}
			out = append(out, files...)
		}
		return out
	}
	synctest.Test(t, func(t *testing.T) {
		k := newKeeper(store, logrus.New())
		k.use(bound, 1)
		k.know([]*template.Profile{open})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { k.run(ctx) })
		defer running.Wait()
		defer cancel()
		synctest.Wait()
		if left := kept(); len(left) != 2 {
			t.Errorf("%q are kept, want a snapshot and a file", left)
		}
		k.know([]*template.Profile{secret})
		time.Sleep(2 * trimEvery)
		synctest.Wait()
		if left := kept(); len(left) != 0 {
			t.Errorf("on the disk still: %q", left)
		}
	})
}

// encoded is a snapshot of one key, as [source.Snapshot.Encode] writes it.
func encoded(revision int64, value string) string {
	var b []byte
	b = append(b, "podreload snapshot 1\n"...)
	for _, n := range []uint64{1, uint64(revision), 1, 2, uint64(len(value)), 1} {
		b = binary.AppendUvarint(b, n)
	}
	b = append(append(b, "/a"...), value...)
	sum := sha256.Sum256(b)
	return string(b) + string(sum[:])
}

// TestKeeperRests: of keys that change all the time no more goes to the disk than it may take, and the newest
// of them is there at the end.
func TestKeeperRests(t *testing.T) {
	t.Parallel()
	const size = 4 << 20
	for name, tt := range map[string]struct {
		size  int
		least time.Duration // between two writes
	}{"small": {10, gather}, "large": {size, size / keepRate * time.Second}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			store, err := state.Open(t.TempDir(), root)
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			bound := &template.Bound{Profile: &template.Profile{Name: "web"}}
			snapshot := func(i int) *source.Snapshot {
				s, err := source.ReadSnapshot(strings.NewReader(encoded(int64(i), strings.Repeat("x", tt.size))))
				if err != nil {
					t.Fatal(err)
				}
				return s
			}
			inode := func() uint64 { // each write makes a new file
				var st unix.Stat_t
				files, err := filepath.Glob(filepath.Join(root, "snapshots", "*"))
				if err == nil && len(files) == 1 {
					err = unix.Stat(files[0], &st)
				}
				if err != nil || len(files) > 1 {
					t.Fatal(files, err)
				}
				return st.Ino
			}
			kept := func() int64 {
				f, _, err := store.Snapshot(keptKey(bound), false)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				s, err := source.ReadSnapshot(f)
				if err != nil {
					t.Fatal(err)
				}
				return s.Revision()
			}
			const changes = 40
			synctest.Test(t, func(t *testing.T) {
				k := newKeeper(store, logrus.New())
				ctx, cancel := context.WithCancel(t.Context())
				var running sync.WaitGroup
				running.Go(func() { k.run(ctx) })
				begun, wrote, last := time.Now(), 0, uint64(0)
				for i := range changes {
					k.keep(bound, snapshot(i+1))
					time.Sleep(time.Second)
					synctest.Wait()
					if now := inode(); now != last {
						wrote, last = wrote+1, now
					}
				}
				if most := int(time.Since(begun)/tt.least) + 1; wrote == 0 || wrote > most {
					t.Errorf("%d changes of %d bytes, one a second, were written %d times, want at most %d", changes, tt.size, wrote, most)
				}
				cancel()
				running.Wait()
				if got := kept(); got != changes {
					t.Errorf("at the end revision %d is kept, want the newest", got)
				}
			})
		})
	}
}

// TestKeeperTrims: files for the way back that nobody can go back to any more do not wait for the
// hour where many come.
func TestKeeperTrims(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	store, err := state.Open(t.TempDir(), root)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	bound := &template.Bound{Profile: &template.Profile{Name: "web"}}
	s, err := source.ReadSnapshot(strings.NewReader(encoded(1, "x")))
	if err != nil {
		t.Fatal(err)
	}
	id := strings.Repeat("a", 64)
	synctest.Test(t, func(t *testing.T) {
		const many = 50
		k := newKeeper(store, logrus.New())
		k.trimAfter = many * 4096
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { k.run(ctx) })
		defer running.Wait()
		defer cancel()
		synctest.Wait()
		for i := range many {
			files := []daemonset.File{{Path: "/a", Data: fmt.Append(nil, i)}}
			saved, err := store.Keep(id, files)
			if err != nil {
				t.Fatal(err)
			}
			if err := store.Tell("default/web/nginx", state.Entry{Event: daemonset.Event{ContainerID: id, Time: time.Now(), Digest: daemonset.Digest(files)}, Files: saved}); err != nil {
				t.Fatal(err)
			}
		}
		old := time.Now().Add(-trimEvery / 2)
		all, err := filepath.Glob(filepath.Join(root, "contents", "*"))
		if err != nil || len(all) != many {
			t.Fatalf("%d files, %v", len(all), err)
		}
		for _, f := range all {
			if err := os.Chtimes(f, old, old); err != nil {
				t.Fatal(err)
			}
		}
		k.keep(bound, s)
		time.Sleep(gather)
		synctest.Wait()
		if left, _ := filepath.Glob(filepath.Join(root, "contents", "*")); len(left) == 0 || len(left) > 20 {
			t.Errorf("%d of %d files are left", len(left), len(all))
		}
	})
}
