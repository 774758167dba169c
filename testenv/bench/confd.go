package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/testenv"
)

// confdProgram is the path of a confd to measure: the original, or one with its command line.
func confdProgram() string { return os.Getenv("CONFD") }

// sidecar is a confd inside a container: in its mount and PID namespaces, so that the reload
// command reaches the server, and in the node's network, where etcd is.
type sidecar struct {
	nsenter *exec.Cmd // waits for confd
	pid     int       // confd's on the node
}

// startConfd starts a confd in the container of process pid, to write dest from a key and then
// to run reload. It returns when the file has been written for the first time.
func (s *scene) startConfd(ctx context.Context, pid int, key, dest, template, reload string) (*sidecar, error) {
	root := fmt.Sprintf("/proc/%d/root", pid)
	err := testenv.WriteTree(root+"/etc/confd", map[string]string{
		"conf.d/bench.toml":    fmt.Sprintf("[template]\nsrc = \"bench.tmpl\"\ndest = %q\nkeys = [%q]\nreload_cmd = %q\n", dest, key, reload),
		"templates/bench.tmpl": template,
	})
	if err != nil {
		return nil, err
	}
	if err := os.Remove(root + dest); err != nil && !errors.Is(err, os.ErrNotExist) { // one of an earlier confd
		return nil, err
	}
	// Not copied: in an image it would be one file for all pods, in memory too.
	program, err := os.Open(confdProgram())
	if err != nil {
		return nil, fmt.Errorf("CONFD: %w", err)
	}
	defer program.Close()
	log, err := os.Create(filepath.Join(s.dir, fmt.Sprintf("confd-%d.log", pid)))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	c := &sidecar{nsenter: exec.Command("nsenter", "-t", strconv.Itoa(pid), "-m", "-p", "--",
		"/proc/self/fd/3", "-backend", "etcdv3", "-node", s.etcd.Endpoint(), "-confdir", "/etc/confd", "-watch", "-log-level", "error")}
	c.nsenter.Stdout, c.nsenter.Stderr, c.nsenter.ExtraFiles = log, log, []*os.File{program}
	if err := c.nsenter.Start(); err != nil {
		return nil, err
	}
	if err := c.await(ctx, root+dest); err != nil {
		said, _ := os.ReadFile(log.Name())
		return nil, errors.Join(fmt.Errorf("confd in process %d: %w; it said: %s", pid, err, said), c.Close())
	}
	return c, nil
}

// await waits until confd has written its file.
func (c *sidecar) await(ctx context.Context, file string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return testenv.Poll(ctx, func() error {
		if info, gone := nsenter.ReadInfo(c.nsenter.Process.Pid); gone != nil || info.State == 'Z' {
			return testenv.Final(errors.New("it has ended"))
		}
		pids, err := nsenter.Children(c.nsenter.Process.Pid)
		if err != nil || len(pids) != 1 {
			return errors.Join(fmt.Errorf("it has %d children, want one", len(pids)), err)
		}
		c.pid = pids[0]
		_, err = os.Stat(file)
		return err
	})
}

// Close ends confd, and nsenter by that.
func (c *sidecar) Close() error {
	end := c.nsenter.Process
	if c.pid != 0 {
		var err error
		if end, err = os.FindProcess(c.pid); err != nil {
			return err
		}
	}
	err := end.Kill()
	_ = c.nsenter.Wait() // that it was killed
	if errors.Is(err, os.ErrProcessDone) {
		return errors.New("confd ended by itself")
	}
	return err
}

// addConfd has one confd put a key's value into a receiver's file, and signal it.
func (s *scene) addConfd(ctx context.Context) error {
	const key = "/bench/confd"
	if _, err := s.etcd.Put(ctx, key, "the first value"); err != nil {
		return err
	}
	r, err := startReceiver(ctx, s.node, s.dir, "confd", nil)
	if err != nil {
		return err
	}
	c, err := s.startConfd(ctx, r.pid, key, onOverlay, `{{getv "`+key+`"}}`, "kill -USR1 1")
	if err != nil {
		return err
	}
	s.later(c)
	if _, err := r.signalled(); err != nil {
		return err
	}
	s.addPut("the same by confd inside", r, key)
	return nil
}

// sidecars are a confd in each of many pods.
type sidecars []*sidecar

// confds starts a confd in each pod.
func (s *scene) confds(ctx context.Context, c *crowd) (effort, sidecars, error) {
	const key = "/many/confd"
	if _, err := s.etcd.Put(ctx, key, "the first value"); err != nil {
		return effort{}, nil, err
	}
	all := make(sidecars, len(c.members))
	group, bounded := errgroup.WithContext(ctx)
	group.SetLimit(makers)
	for i, m := range c.members {
		group.Go(func() (err error) {
			all[i], err = s.startConfd(bounded, m.pid, key, "/etc/nginx/conf.d/confd.conf", "# {{getv \""+key+"\"}}\nserver { listen 127.0.0.1:7999; }\n", "nginx -s reload")
			return err
		})
	}
	err := group.Wait()
	change := func(ctx context.Context, text string) (start, told time.Time, err error) {
		_, err = s.etcd.Put(ctx, key, text)
		return time.Now(), time.Time{}, err // nobody tells when the last is signalled
	}
	return effort{name: "confd in each, nginx -s reload", do: change, used: all.used, memory: all.memory}, all, err
}

func (all sidecars) used() (time.Duration, error) { return processor(all.pids()...) }

func (all sidecars) memory() (m memory, err error) {
	for _, pid := range all.pids() {
		if err := m.add(pid); err != nil {
			return memory{}, err
		}
	}
	return m, nil
}

func (all sidecars) pids() (pids []int) {
	for _, c := range all {
		pids = append(pids, c.pid)
	}
	return pids
}

// Close ends those that were started.
func (all sidecars) Close() error {
	var errs []error
	for _, c := range all {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}
