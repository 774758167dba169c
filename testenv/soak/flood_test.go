package soak

import (
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/testenv"
)

var flood = flag.Duration("soak.flood", 5*time.Second, "how long the flood lasts")

const (
	floodKeys = 1000
	floodRate = 10_000 // changes a second
	floodTxn  = 100    // of them in one transaction: etcd takes 128
	quiet     = time.Second

	// floodMemory is what the daemon may come to. At rest it has some 35 MB, and the keys are 100 kB.
	floodMemory = 96 * mb
)

// TestFlood: however fast keys change, the last state is the one that is applied, reloads are as seldom
// as wait says, and the memory is that of the keys, not of the changes.
func TestFlood(t *testing.T) {
	testenv.Needs(t)
	r := newRig(t, map[string]string{
		"templates/flood.tmpl": `{{range gets "/*"}}{{.Key}} {{.Value}}` + "\n{{end}}",
		"conf.d/light.toml": fmt.Sprintf("[template]\nsrc = \"flood.tmpl\"\ndest = %q\nprefix = \"/flood\"\nkeys = [\"/\"]\nreload_signal = \"USR1\"\n"+
			"[profile]\ncheck = \"off\"\nwait = \"%s:%s\"\n", lightPath, quiet, 2*quiet),
	})
	pod := &target{name: "flood"}
	r.must(pod.run(t.Context(), r.node))
	_, pid := pod.now()
	values := make([]string, floodKeys)
	changes := 0
	txn := func() {
		var ops []clientv3.Op
		for range floodTxn {
			i := changes % floodKeys
			changes++
			values[i] = fmt.Sprintf("%d %s", changes, strings.Repeat("x", 80))
			ops = append(ops, clientv3.OpPut(fmt.Sprintf("/flood/%04d", i), values[i]))
		}
		if _, err := r.etcd.Client().Txn(t.Context()).Then(ops...).Commit(); err != nil {
			t.Fatal(err)
		}
	}
	for changes < floodKeys {
		txn()
	}
	// applied waits until the file in the container is what was put last.
	applied := func() {
		t.Helper()
		var want strings.Builder
		for i, v := range values {
			fmt.Fprintf(&want, "/%04d %s\n", i, v)
		}
		r.await("the last state is applied", func() error {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/root%s", pid, lightPath))
			if err == nil && string(text) != want.String() {
				err = fmt.Errorf("the file has %d bytes, want %d, or other numbers: sum %x", len(text), want.Len(), sha256.Sum256(text))
			}
			c, _ := pod.now()
			rec, why := r.store.Load(c.Container("main").ID)
			if why == nil && (rec.State != daemonset.Applied || rec.Owed) {
				why = fmt.Errorf("it is %s, owed %v: %s", rec.State, rec.Owed, rec.Reason)
			}
			return errors.Join(err, why)
		})
	}
	applied()
	before, err := r.sample()
	r.must(err)
	changes = 0
	begun := time.Now()
	for time.Since(begun) < *flood {
		due := begun.Add(time.Duration(changes) * time.Second / floodRate)
		r.must(wait(t.Context(), time.Until(due)))
		txn()
	}
	took := time.Since(begun)
	applied()
	all := time.Since(begun)
	after, err := r.sample()
	r.must(err)
	peak := r.peak()
	commits := after.phases["commit"] - before.phases["commit"]
	t.Logf("%s, %s: %d changes in %s, %.0f a second: %d reloads, the last %s after the last change; resident %d MB before, %d after, %d at most",
		time.Now().Format(time.DateOnly), testenv.Machine(), changes, took.Round(time.Second/10), float64(changes)/took.Seconds(), commits,
		(all - took).Round(time.Millisecond), int(before.rss)/mb, int(after.rss)/mb, peak/mb)
	if most := int(all/quiet) + 1; commits < 1 || commits > most {
		t.Errorf("%d reloads in %s, want at most %d", commits, all, most)
	}
	if peak > floodMemory {
		t.Errorf("the daemon had %d MB at most, want no more than %d", peak/mb, floodMemory/mb)
	}
}

// peak is the most that the daemon had in memory: proc(5), status.
func (r *rig) peak() (bytes int) {
	r.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.pid))
	r.must(err)
	_, after, _ := strings.Cut(string(text), "VmHWM:")
	_, err = fmt.Sscan(after, &bytes)
	r.must(err)
	return bytes << 10
}
