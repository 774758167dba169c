package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/testenv"
)

// confd is what was measured of the original and of its fork with the same template: from
// a put's acknowledgement until the file has changed, in ms, and the most that was
// resident, in MiB. Quiet machine with 2 cores, medians of 10.
var confd = map[int]struct{ original, fork, originalPeak, forkPeak float64 }{
	1:      {1.2, 1.1, 27, 30},
	1_000:  {13.1, 5.4, 32, 32},
	50_000: {548, 280, 106, 109},
}

// manyPuts is how many keys are put in one transaction: etcd's default limit.
const manyPuts = 128

// manyKeys measures one changed key under many, all of which a template ranges over, and
// writes a table of its own. Each daemon follows one prefix and writes one file.
func manyKeys(ctx context.Context, out io.Writer, s *scene, n int) error {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "\none key changes under\tMEDIAN\tP10\tP95\tRESIDENT\tPEAK\tCONFD\tITS FORK\tGOAL")
	for _, keys := range []int{1, 1_000, 50_000} {
		progress("one changed key of %d", keys)
		if err := s.keys(ctx, w, keys, min(n, rounds)); err != nil {
			return fmt.Errorf("%d keys: %w", keys, err)
		}
	}
	return w.Flush()
}

func (s *scene) keys(ctx context.Context, w io.Writer, keys, n int) (err error) {
	name := fmt.Sprintf("keys-%d", keys)
	prefix, dest := "/"+name, "/dev/shm/"+name
	if err := fill(ctx, s.etcd, prefix, keys); err != nil {
		return err
	}
	pod, err := s.node.RunPod(ctx, testenv.PodConfig{
		Name: name, Labels: map[string]string{"podreload.io/profile": name},
		Containers: []testenv.ContainerConfig{{Name: "main", Command: []string{"sleep", "1000000"}}},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pod.Remove(context.WithoutCancel(ctx))) }()
	pid, err := pod.Container("main").Pid(ctx)
	if err != nil {
		return err
	}
	file := changing{path: fmt.Sprintf("/proc/%d/root%s", pid, dest)}
	dir := filepath.Join(s.dir, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	d, err := startDaemon(dir, s.node, s.etcd, map[string]string{
		"conf.d/" + name + ".toml":    fmt.Sprintf("[template]\nsrc = %q\ndest = %q\nprefix = %q\nkeys = [\"/\"]\n[profile]\ncheck = \"off\"\n", name+".tmpl", dest, prefix),
		"templates/" + name + ".tmpl": `{{range gets "/*"}}{{.Key}} {{.Value}}` + "\n{{end}}",
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if err := file.await(); err != nil {
		return err
	}
	var took []time.Duration
	for i := range n {
		if _, err := s.etcd.Put(ctx, fmt.Sprintf("%s/%05d", prefix, i%keys), value(keys+i)); err != nil {
			return err
		}
		start := now()
		if err := file.await(); err != nil {
			return err
		}
		took = append(took, now()-start)
		time.Sleep(rest)
	}
	resident, peak, err := resident(d.cmd.Process.Pid)
	if err != nil {
		return err
	}
	c, goal := confd[keys], ""
	if keys == 50_000 {
		goal = mark("at least 3x", 3*median(took).Seconds()*1000 <= min(c.original, c.fork))
	}
	fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%.1f ms, %.0f MiB\t%.1f ms, %.0f MiB\t%s\n", keys,
		spread(took), mb(resident), mb(peak),
		c.original, c.originalPeak, c.fork, c.forkPeak, goal)
	return nil
}

// value makes a line of 109 bytes with its key.
func value(i int) string {
	v := fmt.Sprintf("value %d ", i)
	return v + strings.Repeat("x", 101-len(v))
}

func fill(ctx context.Context, etcd *testenv.Etcd, prefix string, keys int) error {
	for i := 0; i < keys; i += manyPuts {
		var ops []clientv3.Op
		for j := i; j < min(i+manyPuts, keys); j++ {
			ops = append(ops, clientv3.OpPut(fmt.Sprintf("%s/%05d", prefix, j), value(j)))
		}
		if _, err := etcd.Client().Txn(ctx).Then(ops...).Commit(); err != nil {
			return err
		}
	}
	return nil
}

// changing is a file that is replaced.
type changing struct {
	path  string
	inode uint64
}

// await waits until another file has the name.
func (c *changing) await() error {
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Microsecond) {
		var st unix.Stat_t
		err := unix.Stat(c.path, &st)
		if err == nil && st.Ino != c.inode {
			c.inode = st.Ino
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not change: %w", c.path, err)
		}
	}
}

// resident is what a process has in memory, and the most that it had: proc(5), status.
func resident(pid int) (now, peak int64, err error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	for in := bufio.NewScanner(f); in.Scan(); {
		for name, to := range map[string]*int64{"VmRSS:": &now, "VmHWM:": &peak} {
			if rest, ok := strings.CutPrefix(in.Text(), name); ok {
				if _, err := fmt.Sscan(rest, to); err != nil {
					return 0, 0, err
				}
				*to <<= 10
			}
		}
	}
	return now, peak, nil
}
