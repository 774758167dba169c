package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/check"
	"github.com/podreload/podreload/daemonset/turns"
	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/shim"
	"github.com/podreload/podreload/testenv"
)

const (
	maxCheck      = 80 * time.Millisecond // the goal for a check that is not remembered
	maxRemembered = time.Millisecond      // and for one that is
	atOnce        = 20                    // how many are started at once
	rounds        = 100                   // at most: a check takes much longer than a crossing
)

// tryout is an nginx in which configurations are tried, with nginx -t.
type tryout struct {
	shim      *nsenter.Shim
	checker   *check.Checker
	container daemonset.Container
	count     int
}

// checks measures trials of a configuration and writes a table of its own.
func checks(ctx context.Context, out io.Writer, s *scene, n int) (err error) {
	progress("trying configurations")
	t := &tryout{}
	if t.shim, err = s.seal(); err != nil {
		return err
	}
	t.shim.KeepSpare()
	pod, err := s.node.RunPod(ctx, testenv.PodConfig{Name: "check", Containers: []testenv.ContainerConfig{{Name: "nginx"}}})
	if err != nil {
		return err
	}
	c := pod.Container("nginx")
	pid, err := c.Pid(ctx)
	if err != nil {
		return err
	}
	start, err := nsenter.StartTime(pid)
	if err != nil {
		return err
	}
	t.container = daemonset.Container{
		ID: c.ID, Name: c.Name, Pid: pid, StartTime: start, Runtime: "io.containerd.runc.v2", Pod: daemonset.Pod{Name: "check", Namespace: "default"},
	}
	var left []error
	if t.checker, err = check.Open(filepath.Join(s.dir, "twins"), turns.New(check.AtOnce(), check.Turn), func(err error) { left = append(left, err) }); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.checker.Close(), errors.Join(left...)) }()
	client, err := connect(ctx, s.node)
	if err != nil {
		return err
	}
	s.later(client)
	exec, err := taskExec(ctx, client, c.ID, func(string) []string { return []string{"nginx", "-t"} })
	if err != nil {
		return err
	}
	exec.name = "containerd " + client.version + " Task.Exec, of the files that are live"
	fresh := &way{name: "a check", do: func(ctx context.Context, _ string) error { return t.check(ctx, t.next()) }}
	remembered := &way{name: "the same again, remembered", do: func(ctx context.Context, _ string) error { return t.check(ctx, "# again\n") }}
	if err := race(ctx, []*way{fresh, remembered, exec}, min(n, rounds), func(int) {}); err != nil {
		return err
	}
	many := &way{name: fmt.Sprintf("%d different ones at once, until the last", atOnce), do: t.many}
	if err := race(ctx, []*way{many}, max(3, min(n, rounds)/atOnce), func(int) {}); err != nil {
		return err
	}
	cpu, err := t.cpu(ctx)
	if err != nil {
		return err
	}
	return checkTable(out, []*way{fresh, remembered, many, exec}, cpu)
}

func checkTable(out io.Writer, ways []*way, cpu time.Duration) error {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "\nnginx -t\tMEDIAN\tP10\tP95\tGOAL")
	for i, way := range ways {
		took, goal := median(way.done), ""
		switch i {
		case 0:
			goal = mark("at most 80 ms", took <= maxCheck)
		case 1:
			goal = mark("at most 1 ms", took <= maxRemembered)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", way.name, spread(way.done), goal)
	}
	fmt.Fprintf(w, "processor time of a check, all its processes\t%s\n", ms(cpu))
	return w.Flush()
}

// next is a comment that no configuration had before.
func (t *tryout) next() string {
	t.count++
	return fmt.Sprintf("# %d\n", t.count)
}

func (t *tryout) check(ctx context.Context, comment string) error {
	files := []daemonset.File{{Path: "/etc/nginx/conf.d/default.conf", Data: []byte(comment + "server { listen 80; }\n")}}
	cross := func(op shim.Op) func(context.Context, *nsenter.Process) error {
		return func(ctx context.Context, init *nsenter.Process) error {
			request, err := shim.Request{Op: op, Files: []shim.File{{Path: files[0].Path, Data: files[0].Data}}}.Encode()
			if err != nil {
				return err
			}
			reply, err := t.shim.Cross(ctx, init, nil, request)
			if err != nil {
				return err
			}
			result, err := shim.DecodeResult(reply)
			if err != nil {
				return err
			}
			if op == shim.Compare && result.Changed() {
				return errors.New("the twin does not see the file")
			}
			return result.Err()
		}
	}
	v, err := t.checker.Check(ctx, check.Trial{
		Container: t.container, Files: files, Commands: []check.Command{{Args: []string{"nginx", "-t"}}}, Image: "the test image",
		Write: cross(shim.Apply), Verify: cross(shim.Compare),
	})
	if err == nil && !strings.Contains(v.Output, "successful") {
		err = fmt.Errorf("nginx says %q", v.Output)
	}
	return err
}

func (t *tryout) many(ctx context.Context, _ string) error {
	ended := make(chan error, atOnce)
	for range atOnce {
		go func(comment string) { ended <- t.check(ctx, comment) }(t.next())
	}
	var errs []error
	for range atOnce {
		errs = append(errs, <-ended)
	}
	return errors.Join(errs...)
}

// cpu is what a check costs the processor: the OCI runtime, the command and the shims,
// which are children, and this process's own part, that behind the answer included.
func (t *tryout) cpu(ctx context.Context) (time.Duration, error) {
	before, err := used()
	if err != nil {
		return 0, err
	}
	for range atOnce {
		if err := t.check(ctx, t.next()); err != nil {
			return 0, err
		}
	}
	time.Sleep(10 * rest)
	after, err := used()
	return (after - before) / atOnce, err
}

func used() (sum time.Duration, err error) {
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var r unix.Rusage
		if err := unix.Getrusage(who, &r); err != nil {
			return 0, err
		}
		sum += time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	return sum, nil
}
