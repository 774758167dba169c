package agent

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"

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
