package exec_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/podreload/podreload/daemonset/exec"
	"github.com/podreload/podreload/testenv"
)

// leave makes a process of our name as an agent does that crashes: before it has started
// it, or after.
func (c *run) leave(start bool, args ...string) {
	c.t.Helper()
	spec, err := json.Marshal(map[string]any{"args": args, "cwd": "/", "user": map[string]int{}, "env": []string{"PATH=/bin"}})
	if err != nil {
		c.t.Fatal(err)
	}
	service := c.containerd.TaskService()
	if _, err := service.Exec(c.t.Context(), &tasks.ExecProcessRequest{
		ContainerID: c.ID, ExecID: execID,
		Spec: &anypb.Any{TypeUrl: "types.containerd.io/opencontainers/runtime-spec/1/Process", Value: spec},
	}); err != nil {
		c.t.Fatal(err)
	}
	if !start {
		return
	}
	if _, err := service.Start(c.t.Context(), &tasks.StartRequest{ContainerID: c.ID, ExecID: execID}); err != nil {
		c.t.Fatal(err)
	}
}

// What a crashed agent has left is ended and deleted before the next command runs.
func TestLeftover(t *testing.T) {
	testenv.EachVersion(t, func(t *testing.T, n *testenv.Node) {
		c := newRig(t, n).pod(testenv.PodConfig{}, testenv.ContainerConfig{})
		for name, leave := range map[string]func(){
			"created": func() { c.leave(false, "sleep", "987654") },
			"running": func() { c.leave(true, "sh", "-c", "sleep 987654 & sleep 987654") },
			"ended": func() {
				c.leave(true, "true")
				if _, err := c.containerd.TaskService().Wait(t.Context(), &tasks.WaitRequest{ContainerID: c.ID, ExecID: execID}); err != nil {
					t.Fatal(err)
				}
			},
		} {
			leave()
			if r, err := c.run("echo", "next"); err != nil || r.Output != "next" {
				t.Errorf("%s: %+v, %v", name, r, err)
			}
			if left := c.processes("987654"); len(left) > 0 {
				t.Errorf("%s: left running: %q", name, left)
			}
		}
	})
}

// containerd is killed under a command. If it comes back in time nothing is lost; if not, the
// command is ended, and what containerd's shim remembers of it goes before the next.
func TestContainerdDies(t *testing.T) {
	t.Parallel()
	for _, v := range []testenv.Version{testenv.Debian, testenv.V2} {
		t.Run(string(v), func(t *testing.T) {
			n := testenv.NewNode(t, v)
			c := newRig(t, n).pod(testenv.PodConfig{}, testenv.ContainerConfig{})
			c.sh("mkfifo /go")
			var r exec.Result
			var group errgroup.Group
			group.Go(func() (err error) {
				r, err = c.Run(t.Context(), c.Container, exec.Command{Args: []string{"/bin/sh", "-c", "echo one; touch /runs; cat /go; echo two"}, Timeout: patience})
				return err
			})
			c.awaitFile("/runs")
			c.awaitStart()
			if err := n.KillContainerd(); err != nil {
				t.Fatal(err)
			}
			if err := n.StartContainerd(t.Context()); err != nil {
				t.Fatal(err)
			}
			c.release("/go")
			if err := group.Wait(); err != nil || r.Output != "one\ngo\ntwo" {
				t.Errorf("containerd came back: %+v, %v", r, err)
			}
			c.nothingLeft()

			group.Go(func() error {
				_, err := c.Run(t.Context(), c.Container, exec.Command{
					Args: []string{"/bin/sh", "-c", "touch /again; sleep 987654 & sleep 987654"}, Timeout: 10 * time.Second,
				})
				return err
			})
			c.awaitFile("/again")
			c.awaitStart()
			if err := n.KillContainerd(); err != nil {
				t.Fatal(err)
			}
			if err := group.Wait(); !errors.Is(err, exec.ErrAway) {
				t.Errorf("containerd stayed away: %v", err)
			}
			if _, err := c.Run(t.Context(), c.Container, exec.Command{Args: []string{"true"}}); !errors.Is(err, exec.ErrAway) {
				t.Errorf("containerd is away: %v", err)
			}
			if err := n.StartContainerd(t.Context()); err != nil {
				t.Fatal(err)
			}
			if left := c.processes("987654"); len(left) > 0 {
				t.Errorf("left running: %q", left)
			}
			// The connection comes back in its own time, and the shim remembers.
			testenv.Await(t, func() bool { return c.look() == codes.OK })
			testenv.Await(t, func() bool {
				r, err := c.Run(t.Context(), c.Container, exec.Command{Args: []string{"echo", "next"}})
				return err == nil && r.Output == "next"
			})
			c.nothingLeft()
		})
	}
}

// A program of the container's that leads elsewhere does no more than in the container.
func TestHostileProgram(t *testing.T) {
	testenv.EachVersion(t, func(t *testing.T, n *testenv.Node) {
		c := newRig(t, n).pod(testenv.PodConfig{}, testenv.ContainerConfig{})
		c.sh("ln -s loop /loop; ln -s /proc/self/exe /self; ln -s /proc/1/exe /first; mkfifo -m 755 /fifo; mknod /device c 1 3; chmod +x /device; " +
			"mkdir /a /b; ln -s /bin/busybox /a/echo; ln -s ../../../../../../bin/busybox /b/echo; printf '#!/proc/self/exe\\n' > /script; chmod +x /script")
		for _, name := range []string{"/loop", "/self", "/fifo", "/device", "/script", "/dev/null"} {
			// /self is the runtime in the moment that it is looked for: whatever it does, it
			// does it as the container (CVE-2019-5736).
			if r, err := c.within(10*time.Second, name, "987654"); err == nil {
				t.Errorf("%s: %+v", name, r)
			}
		}
		for _, name := range []string{"/a/echo", "/b/echo"} {
			if r, err := c.run(name, "hello"); err != nil || r.Output != "hello" {
				t.Errorf("%s: %+v, %v", name, r, err)
			}
		}
		if r, err := c.run("/first", "echo", "busybox"); err != nil && !strings.Contains(err.Error(), "exit code") {
			t.Errorf("/proc/1/exe: %+v, %v", r, err)
		}
		if left := c.processes("987654"); len(left) > 0 {
			t.Errorf("left running: %q", left)
		}
	})
}

// The deadline is the context's too.
func TestContextDeadline(t *testing.T) {
	c := newRig(t, testenv.SharedNode(t, testenv.V2)).pod(testenv.PodConfig{}, testenv.ContainerConfig{})
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if _, err := c.Run(ctx, c.Container, exec.Command{Args: []string{"sleep", "987654"}}); !errors.Is(err, exec.ErrDeadline) {
		t.Errorf("%v", err)
	}
	c.nothingLeft()
}

// The runtime itself opens /etc/passwd inside before it starts anything, and can be held up there.
func TestStartHangs(t *testing.T) {
	testenv.EachVersion(t, func(t *testing.T, n *testenv.Node) {
		c := newRig(t, n).pod(testenv.PodConfig{}, testenv.ContainerConfig{})
		c.sh("mv /etc/passwd /was; mkfifo /etc/passwd")
		_, err := c.within(limit, "echo", "hello")
		if !errors.Is(err, exec.ErrDeadline) {
			t.Errorf("%v", err)
		}
		if err := os.Rename(c.path("/was"), c.path("/etc/passwd")); err != nil {
			t.Fatal(err)
		}
		if r, err := c.run("echo", "again"); err != nil || r.Output != "again" {
			t.Errorf("afterwards: %+v, %v", r, err)
		}
		if left := c.processes("runc"); len(left) > 0 {
			t.Errorf("left running: %q", left)
		}
	})
}
