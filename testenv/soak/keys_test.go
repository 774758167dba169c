package soak

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/podreload/podreload/testenv"
)

var (
	keys = flag.Int("soak.keys", 20_000, "how many keys the agent follows under one prefix")
	puts = flag.Int("soak.puts", 30, "how many of them change, one after the other")
)

// TestKeys: of very many keys under one prefix one changes, and two files of a few keys each are
// made of them: the one is in place soon, the other is not touched, and neither the memory nor what is written
// to the disk grows with the changes.
func TestKeys(t *testing.T) {
	testenv.Needs(t)
	const prefix, valueSize, few = "/keys", 84, 10
	key := func(i int) string { return fmt.Sprintf("%s/%07d", prefix, i) }
	value := func(n int) string { return fmt.Sprintf("%-*d", valueSize, n) }
	texts := map[string]string{}
	for name, first := range map[string]int{"low": 0, "high": *keys / 2} {
		texts["templates/"+name+".tmpl"] = fmt.Sprintf(`{{range seq %d %d}}{{getv (printf "/%%07d" .)}}`+"\n{{end}}", first, first+few-1)
		texts["conf.d/light/"+name+".toml"] = fmt.Sprintf("[template]\nsrc = \"%s.tmpl\"\ndest = \"/etc/%s\"\nprefix = %q\nkeys = [\"/\"]\nreload_signal = \"USR1\"\n"+
			"[profile]\ncheck = \"off\"\n", name, name, prefix)
	}
	r := newRig(t, texts)
	for i := 0; i < *keys; i += floodTxn {
		var ops []clientv3.Op
		for j := i; j < min(i+floodTxn, *keys); j++ {
			ops = append(ops, clientv3.OpPut(key(j), value(0)))
		}
		if _, err := r.etcd.Client().Txn(t.Context()).Then(ops...).Commit(); err != nil {
			t.Fatal(err)
		}
	}
	pod := &target{name: "keys"}
	r.must(pod.run(t.Context(), r.node))
	_, pid := pod.now()
	file := func(name string) (string, error) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/root/etc/%s", pid, name))
		return string(text), err
	}
	want := slices.Repeat([]string{value(0) + "\n"}, few)
	has := func(name string, want []string) {
		t.Helper()
		r.await(name+" has the last values", func() error {
			got, err := file(name)
			if err == nil && got != strings.Join(want, "") {
				err = fmt.Errorf("it has %q", got)
			}
			return err
		})
	}
	has("low", want)
	has("high", want)
	first, err := r.sample()
	r.must(err)
	wrote, begun := r.wrote(), time.Now()
	var took []time.Duration
	for n := range *puts {
		i := n % few
		want[i] = value(n+1) + "\n"
		if _, err := r.etcd.Put(t.Context(), key(i), value(n+1)); err != nil {
			t.Fatal(err)
		}
		put := time.Now()
		has("low", want)
		took = append(took, time.Since(put))
		r.must(wait(t.Context(), 200*time.Millisecond))
	}
	has("high", slices.Repeat([]string{value(0) + "\n"}, few))
	last, err := r.sample()
	r.must(err)
	slices.Sort(took)
	data := *keys * (len(key(0)) + valueSize)
	disk, ran := r.wrote()-wrote, time.Since(begun)
	t.Logf("%s, %s: %d keys, %d MB; one changes %d times: %s until it is in place, P95 %s; resident %d MB at first, %d then, %d at most; %d MB written in %s",
		time.Now().Format(time.DateOnly), testenv.Machine(), *keys, data/mb, *puts, at(took, 0.5), at(took, 0.95), int(first.rss)/mb, int(last.rss)/mb, r.peak()/mb, disk/mb, ran.Round(time.Second))
	// The garbage of a collection that has not come yet may be as much as lives, and that may be twice the data.
	if most := 4*data + 64*mb; r.peak() > most {
		t.Errorf("%d MB were resident, want %d at most", r.peak()/mb, most/mb)
	}
	// A snapshot at first, one that was begun, and half a megabyte a second.
	if most := 2*(data+data/5) + int(ran.Seconds()*mb) + 8*mb; disk > most {
		t.Errorf("%d MB were written to the disk, want %d at most", disk/mb, most/mb)
	}
}

// wrote is what the daemon had written to disks: proc_pid_io(5).
func (r *rig) wrote() (bytes int) {
	r.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", r.pid))
	r.must(err)
	_, after, _ := strings.Cut(string(text), "\nwrite_bytes: ")
	_, err = fmt.Sscan(after, &bytes)
	r.must(err)
	return bytes
}
