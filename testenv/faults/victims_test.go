package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/testenv"
)

// victim is what a round kills, and how it comes back.
type victim struct {
	name   string
	weight int // of so many in all rounds
	strike func(*rig, context.Context) error
}

const (
	agentVictim = "agent"
	shimInside  = "shim inside"
)

var victims = []victim{
	{agentVictim, 5, (*rig).killAgent},
	{"shim", 4, (*rig).killShim},
	{shimInside, 4, (*rig).killShimInside},
	{"nginx", 3, (*rig).killNginx},
	{"worker", 1, (*rig).killWorker},
	{"container", 3, (*rig).killContainer},
	{"containerd", 2, (*rig).killContainerd},
	{"etcd", 2, (*rig).killEtcd},
}

// choose picks a victim by weight.
func (r *rig) choose() victim {
	total := 0
	for _, v := range victims {
		total += v.weight
	}
	at := r.rng.IntN(total)
	for _, v := range victims {
		if at -= v.weight; at < 0 {
			return v
		}
	}
	panic("weights and their sum disagree")
}

func (r *rig) anyTarget() *target { return r.targets[r.rng.IntN(len(r.targets))] }

// killAgent sometimes kills it a second time while it starts.
func (r *rig) killAgent(ctx context.Context) error {
	times := 1 + r.rng.IntN(4)/3
	for i := range times {
		if i > 0 {
			r.pause(ctx, 60*time.Millisecond)
		}
		r.events.add("kill the agent, process %d", r.daemon.pid())
		if err := errors.Join(r.daemon.ended(), r.daemon.kill(), r.startDaemon()); err != nil {
			return err
		}
	}
	return nil
}

// killShim kills every shim there is, the waiting one too.
func (r *rig) killShim(context.Context) error {
	shims, err := r.shims()
	if err != nil {
		return err
	}
	r.events.add("kill the shims %v", shims)
	for _, pid := range shims {
		_ = unix.Kill(pid, unix.SIGKILL) // gone already
	}
	return nil
}

// killShimInside kills the next shim that is seen in a container, a moment later.
func (r *rig) killShimInside(ctx context.Context) error {
	own, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return err
	}
	elsewhere := func(ns string) bool { return ns != own }
	delay := time.Duration(r.rng.Int64N(int64(2 * time.Millisecond)))
	tick := time.NewTicker(100 * time.Microsecond)
	defer tick.Stop()
	late := time.After(500 * time.Millisecond) // there may be no crossing: nothing changes, or etcd's answer is late
	for {
		shims, err := r.shims()
		if err != nil {
			return err
		}
		for _, pid := range shims {
			if !slices.ContainsFunc(testenv.MountNamespaces(pid), elsewhere) {
				continue
			}
			wait(ctx, delay)
			r.events.add("kill the shim %d, %s after it was seen inside", pid, delay)
			if unix.Kill(pid, unix.SIGKILL) == nil { // else it is gone already
				r.inside++
			}
			return nil
		}
		select {
		case <-tick.C:
		case <-late:
			r.events.add("no shim was seen inside")
			return nil
		}
	}
}

// shims are the agent's children of that name.
func (r *rig) shims() ([]int, error) {
	children, err := nsenter.Children(r.daemon.pid())
	if err != nil {
		return nil, err
	}
	var shims []int
	for _, pid := range children {
		if isShim(pid) {
			shims = append(shims, pid)
		}
	}
	return shims, nil
}

func isShim(pid int) bool { return title(pid) == "podreload-shim" }

// title is a process's command line, empty if it has ended.
func title(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return strings.TrimRight(strings.ReplaceAll(string(b), "\x00", " "), " ")
}

// killNginx kills a master. Where it is the container's first process, that ends too.
func (r *rig) killNginx(ctx context.Context) error {
	t := r.anyTarget()
	master, _, err := r.nginx(t)
	if err != nil {
		return err
	}
	r.events.add("kill the master %d of %s", master, t)
	t.open()
	if err := unix.Kill(master, unix.SIGKILL); err != nil {
		return err
	}
	if t.shell {
		return nil
	}
	return t.restart(ctx)
}

// killWorker kills a process that serves; the master starts another.
func (r *rig) killWorker(context.Context) error {
	t := r.anyTarget()
	_, workers, err := r.nginx(t)
	if err != nil {
		return err
	}
	r.events.add("kill the worker %d of %s", workers[0], t)
	t.open()
	_ = unix.Kill(workers[0], unix.SIGKILL) // gone by a reload
	return nil
}

// nginx finds a target's master and the workers that serve.
func (r *rig) nginx(t *target) (master int, workers []int, err error) {
	err = r.await("nginx runs in "+t.name, func() error {
		_, init := t.now()
		master, workers, err = findNginx(init)
		return err
	})
	return master, workers, err
}

func findNginx(init int) (master int, workers []int, err error) {
	children, err := nsenter.Children(init)
	if err != nil {
		return 0, nil, err
	}
	for _, pid := range append([]int{init}, children...) {
		if strings.HasPrefix(title(pid), "nginx: master process") {
			master = pid
		}
	}
	if master == 0 {
		return 0, nil, fmt.Errorf("no nginx at process %d or below", init)
	}
	if children, err = nsenter.Children(master); err != nil {
		return 0, nil, err
	}
	for _, pid := range children {
		if title(pid) == "nginx: worker process" {
			workers = append(workers, pid)
		}
	}
	if len(workers) == 0 {
		return 0, nil, fmt.Errorf("nginx, process %d, has no workers", master)
	}
	return master, workers, nil
}

// killContainer kills a container's first process, and with it all others.
func (r *rig) killContainer(ctx context.Context) error {
	t := r.anyTarget()
	_, pid := t.now()
	r.events.add("kill the container of %s", t)
	t.open()
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		return err
	}
	return t.restart(ctx)
}

func (r *rig) killContainerd(ctx context.Context) error {
	r.events.add("kill containerd")
	if err := r.node.KillContainerd(); err != nil {
		return err
	}
	r.pause(ctx, 100*time.Millisecond)
	return r.node.StartContainerd(ctx)
}

func (r *rig) killEtcd(ctx context.Context) error {
	r.events.add("kill etcd, process %d", r.etcd.process.pid())
	if err := errors.Join(r.etcd.process.ended(), r.etcd.process.kill()); err != nil {
		return err
	}
	r.pause(ctx, 100*time.Millisecond)
	return r.etcd.start(r.t.Context())
}

// pause waits a random time up to longest.
func (r *rig) pause(ctx context.Context, longest time.Duration) {
	wait(ctx, time.Duration(r.rng.Int64N(int64(longest))))
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
