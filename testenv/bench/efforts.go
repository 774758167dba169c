package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/status"
	"github.com/podreload/podreload/testenv"
)

const (
	manyProfile = "many"

	// alike is how many rivals work at once: as many as podreload has crossings.
	alike = 24

	// rival is the file that others write.
	rival = "/etc/nginx/conf.d/rival.conf"
)

// efforts are the ways that are compared, the floor first. Each daemon has put all in place
// before the next begins: they look after the same pods. End ends what was started for them.
func (s *scene) efforts(ctx context.Context, c *crowd, client *runtime) (all []effort, end func() error, err error) {
	var started []io.Closer
	end = func() error {
		var errs []error
		for _, c := range started {
			errs = append(errs, c.Close())
		}
		return errors.Join(errs...)
	}
	all = append(all, effort{name: "floor: bare signals", do: c.bare, used: used})
	for i, way := range []struct{ name, key, check, extra string }{
		{"podreload, check off", "off", "off", ""},
		{"podreload, checked once for all", "same", "preset", ""},
		{"podreload, each its own and checked", "each", "preset", "# {{pod}}\n"},
	} {
		dir := filepath.Join(s.dir, fmt.Sprintf("many-%d-%s", len(c.members), way.key))
		d, err := s.startMany(ctx, dir, way.key, way.check, fmt.Sprintf("# {{getv \"/text\"}}\n%sserver { listen 127.0.0.1:%d; }\n", way.extra, 8001+i))
		if err != nil {
			return nil, end, err
		}
		started = append(started, d)
		if err := d.settled(ctx, len(c.members)); err != nil {
			return nil, end, err
		}
		a := &ask{daemon: d, crowd: c, etcd: s.etcd, key: "/many/" + way.key + "/text", dir: d.state}
		all = append(all, effort{name: way.name, do: a.change, memory: d.memory, used: func() (time.Duration, error) { return processor(d.cmd.Process.Pid) }})
	}
	if confdProgram() != "" {
		e, confds, err := s.confds(ctx, c)
		started = append(started, confds)
		if err != nil {
			return nil, end, err
		}
		all = append(all, e)
	}
	return append(all,
		effort{name: "nsenter(1) sh, kill -HUP", do: c.each(c.nsenter), used: used},
		effort{name: "Task.Exec sh, nginx -s reload", do: c.each(c.taskExec(client)), used: c.shims}), end, nil
}

// startMany starts a daemon with a profile and a key of its own.
func (s *scene) startMany(ctx context.Context, dir, name, check, template string) (*daemon, error) {
	if _, err := s.etcd.Put(ctx, "/many/"+name+"/text", "the first value"); err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	return startDaemon(dir, s.node, s.etcd, map[string]string{
		"conf.d/many.toml": fmt.Sprintf("[template]\nsrc = \"many.tmpl\"\ndest = \"/etc/nginx/conf.d/%s.conf\"\nprefix = \"/many/%s\"\nkeys = [\"/text\"]\n"+
			"[profile]\nname = %q\nprocess = \"nginx\"\ncheck = %q\nnamespaces = [\"*\"]\n", name, name, manyProfile, check),
		"templates/many.tmpl": template,
	}, "--resync", "1h") // three daemons look after the same pods: no look of one is to fall into another's time
}

// bare signals every master, and has nothing to wait for.
func (c *crowd) bare(context.Context, string) (start, told time.Time, err error) {
	start = time.Now()
	for _, m := range c.members {
		if err := m.master.Signal(unix.SIGHUP); err != nil {
			return start, told, err
		}
	}
	return start, time.Now(), nil
}

// ask changes a key and waits until the daemon tells that all pods are live with it.
type ask struct {
	daemon *daemon
	crowd  *crowd
	etcd   *testenv.Etcd
	key    string
	dir    string // the daemon's --state
}

var errEnough = errors.New("all are live")

func (a *ask) change(ctx context.Context, text string) (start, told time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*patience)
	defer cancel()
	put := make(chan int64, 1)
	live := make(chan error, 1)
	since := time.Now()
	followed := make(chan struct{})
	go func() { live <- a.follow(ctx, since, followed, put) }()
	select {
	case <-followed:
	case err := <-live:
		return start, told, err
	}
	revision, err := a.etcd.Put(ctx, a.key, text)
	if err != nil {
		return start, told, err
	}
	start = time.Now()
	put <- revision
	if err := <-live; err != nil {
		return start, told, err
	}
	done := time.Now()
	told, err = a.told()
	return start.Add(time.Since(done)), told.Add(time.Since(done)), err // what the look at the records took is nobody's
}

// follow counts the pods that are live with the revision that comes.
func (a *ask) follow(ctx context.Context, since time.Time, followed chan<- struct{}, put <-chan int64) error {
	close(followed)
	pods := map[string]bool{}
	var revision int64
	err := status.NewClient(a.dir).Events(ctx, since, 0, true, func(e daemonset.Event) error {
		if e.Kind != daemonset.Change {
			return nil
		}
		if revision == 0 {
			revision = <-put
		}
		switch {
		case e.Revision < revision:
			return nil
		case e.State != daemonset.Live:
			return fmt.Errorf("pod %s is %s: %s", e.Pod, e.State, e.Reason)
		}
		if pods[e.ContainerID] = true; len(pods) == len(a.crowd.members) {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return fmt.Errorf("%d of %d pods are live: %w", len(pods), len(a.crowd.members), err)
}

// told is when the last server was told, as the records say.
func (a *ask) told() (last time.Time, err error) {
	for _, m := range a.crowd.members {
		text, err := os.ReadFile(filepath.Join(a.dir, "targets", m.ID+".json"))
		if err != nil {
			return last, err
		}
		var record struct{ Told time.Time }
		if err := json.Unmarshal(text, &record); err != nil {
			return last, err
		}
		if record.Told.After(last) {
			last = record.Told
		}
	}
	return last, nil
}

// each does the work pod by pod, a number of them at once.
func (c *crowd) each(do func(ctx context.Context, m member, text string) error) func(context.Context, string) (start, told time.Time, err error) {
	return func(ctx context.Context, text string) (start, told time.Time, err error) {
		text = "# " + text + "\nserver { listen 127.0.0.1:8000; }\n"
		start = time.Now()
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(alike)
		for _, m := range c.members {
			group.Go(func() error { return do(ctx, m, text) })
		}
		err = group.Wait()
		return start, time.Now(), err
	}
}

// writeAnd is what a shell does inside: as script, and then what makes nginx reload.
func writeAnd(reload, text string) []string {
	return []string{"sh", "-c", `printf %s "$1" >"$2.tmp" && mv "$2.tmp" "$2" && ` + reload, "sh", text, rival}
}

func (c *crowd) nsenter(ctx context.Context, m member, text string) error {
	args := append([]string{"-t", strconv.Itoa(m.pid), "-m", "-p"}, writeAnd("kill -HUP 1", text)...)
	if out, err := exec.CommandContext(ctx, "nsenter", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("nsenter: %w: %s", err, out)
	}
	return nil
}

// taskExec is what `kubectl exec` comes to on the node.
func (c *crowd) taskExec(client *runtime) func(context.Context, member, string) error {
	return func(ctx context.Context, m member, text string) error {
		w, err := taskExec(ctx, client, m.ID, func(text string) []string { return writeAnd("nginx -s reload", text) })
		if err != nil {
			return err
		}
		return errors.Join(w.do(ctx, text), w.before(ctx, ""))
	}
}

// shims is the processor time of containerd's shims, of what they start, and of this process, which asks
// them; containerd's own is not in it.
func (c *crowd) shims() (time.Duration, error) {
	pids := make([]int, 0, len(c.members))
	for _, m := range c.members {
		pids = append(pids, m.shim)
	}
	sum, err := processor(pids...)
	own, err2 := used()
	return sum + own, errors.Join(err, err2)
}
