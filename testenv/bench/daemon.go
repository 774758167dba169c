package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/testenv"
)

// key is what the receiver's profile reads.
const key = "/bench/text"

// conf is the experiment's profile for nginx, and one that signals a receiver.
func conf() map[string]string {
	conf := maps.Clone(testenv.ExperimentConf())
	conf["conf.d/bench.toml"] = `[template]
src  = "bench.tmpl"
dest = "` + onOverlay + `"
keys = ["` + key + `"]
reload_signal = "USR1"

[profile]
name  = "bench"
check = "off"
`
	conf["templates/bench.tmpl"] = `{{getv "` + key + `"}}`
	return conf
}

// daemon is a running `podreload daemon`.
type daemon struct {
	line  []string // the command line before the command
	state string   // its --state
	log   string
	cmd   *exec.Cmd
}

// memoryDir is a directory in memory, as /run is where --state lies on a node.
const memoryDir = "/dev/shm"

func startDaemon(dir string, n *testenv.Node, e *testenv.Etcd, conf map[string]string, flags ...string) (*daemon, error) {
	if err := testenv.WriteTree(filepath.Join(dir, "etc"), conf); err != nil {
		return nil, err
	}
	state, err := os.MkdirTemp(memoryDir, "podreload-bench-")
	if err != nil {
		return nil, err
	}
	d := &daemon{state: state, log: filepath.Join(dir, "daemon.log"), line: []string{
		"bin/podreload", "--runtime-endpoint", "unix://" + n.Socket(), "--nri-socket", "", "--endpoints", e.Endpoint(),
		"--confdir", filepath.Join(dir, "etc"), "--state", state, "--root", filepath.Join(dir, "kept"),
	}}
	if err := d.start(flags); err != nil {
		return nil, errors.Join(fmt.Errorf("start podreload (is it built?): %w", err), os.RemoveAll(state))
	}
	return d, nil
}

func (d *daemon) start(flags []string) error {
	log, err := os.Create(d.log)
	if err != nil {
		return err
	}
	defer log.Close()
	d.cmd = exec.Command(d.line[0], slices.Concat(d.line[1:], []string{"daemon"}, flags)...)
	d.cmd.Stderr = log
	return d.cmd.Start()
}

// settled waits until so many targets are Live or Applied.
func (d *daemon) settled(ctx context.Context, targets int) error {
	ctx, cancel := context.WithTimeout(ctx, 3*patience)
	defer cancel()
	for {
		args := append(d.line[1:], "ps", "-o", "go-template", "--template", "{{range .}}{{.state}} {{end}}")
		out, err := exec.CommandContext(ctx, d.line[0], args...).Output()
		if err == nil && strings.Count(string(out), "Live ")+strings.Count(string(out), "Applied ") == targets {
			return nil
		}
		select {
		case <-ctx.Done():
			log, _ := os.ReadFile(d.log)
			return fmt.Errorf("not all of %d targets are in place: %q, %w; the daemon's log:\n%s", targets, out, err, log)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// memory is what processes have in memory, in bytes: all of it, and with pages
// that they share counted in part (proc(5), smaps_rollup).
type memory struct{ rss, pss int64 }

// memory is that of the daemon, of the shim that it keeps waiting, and of that one's messenger.
func (d *daemon) memory() (memory, error) {
	var m memory
	for todo := []int{d.cmd.Process.Pid}; len(todo) > 0; todo = todo[1:] {
		if err := m.add(todo[0]); err != nil {
			return memory{}, err
		}
		pids, err := nsenter.Children(todo[0])
		if err != nil {
			return memory{}, err
		}
		todo = append(todo, pids...)
	}
	return m, nil
}

func (m *memory) add(pid int) error {
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return err
	}
	defer f.Close()
	for in := bufio.NewScanner(f); in.Scan(); {
		field := strings.Fields(in.Text())
		if len(field) < 2 {
			continue
		}
		kib, _ := strconv.ParseInt(field[1], 10, 64)
		switch field[0] {
		case "Rss:":
			m.rss += kib << 10
		case "Pss:":
			m.pss += kib << 10
		}
	}
	return nil
}

// Close ends the daemon and waits for it.
func (d *daemon) Close() error {
	err := d.cmd.Process.Signal(syscall.SIGTERM)
	return errors.Join(err, d.cmd.Wait(), os.RemoveAll(d.state))
}
