package check_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/check"
	"github.com/podreload/podreload/daemonset/turns"
	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/testenv"
)

// order is what a child process of these tests is to do.
type order struct {
	Dir, Shim string
	Container daemonset.Container
}

const orderEnv = "CHECK_TEST_ORDER"

// child makes checks until it is killed, and says when the first has ended.
func child(text string) error {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	sealed, err := nsenter.Seal(o.Shim)
	if err != nil {
		return err
	}
	c, err := check.Open(o.Dir, turns.New(check.AtOnce(), check.Turn), nil)
	if err != nil {
		return err
	}
	x := crosser{shim: sealed}
	for i := range 10_000 {
		v, err := c.Check(context.Background(), x.trial(o.Container, file(conf, fmt.Sprintf("# %d\n%s", i, good)), "nginx", "-t"))
		if err != nil {
			return err
		}
		if i == 0 {
			fmt.Println("checked", v.Took > 0)
		}
	}
	return errors.New("nobody has killed it")
}

// start starts a child and waits for its first check.
func (o order) start(t *testing.T, wrap ...string) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	args := append(wrap, "/proc/self/exe")
	if len(wrap) > 0 {
		if args[len(wrap)], err = os.Executable(); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), orderEnv+"="+string(text))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "checked true\n" {
		cmd.Process.Kill()
		cmd.Wait()
		t.Fatalf("the child says %q, %v", line, err)
	}
	return cmd
}

// bury collects what runtimes of a killed child were making of themselves. On a node that is
// init's to do; here the nearest subreaper above the child is this process.
func bury(t *testing.T) {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		left := 0
		children, err := nsenter.Children(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		for _, pid := range children {
			if info, err := nsenter.ReadInfo(pid); err == nil && strings.HasPrefix(info.Comm, "runc") {
				left++
				syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
			}
		}
		if left == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d processes of runtimes do not end", left)
		}
	}
}

// TestSweep kills processes at any moment of a check, and lets another clear up.
func TestSweep(t *testing.T) {
	testenv.EachVersion(t, func(t *testing.T, n *testenv.Node) {
		r := newRig(t, n)
		t.Cleanup(func() { bury(t) })
		_, c := r.pod(testenv.PodConfig{}, testenv.ContainerConfig{})
		alive := order{r.dir, testenv.Shim(t), c}.start(t)
		left := 0
		for range 8 {
			cmd := order{r.dir, testenv.Shim(t), c}.start(t)
			time.Sleep(rand.N(100 * time.Millisecond)) // the moment is what is to vary
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			cmd.Wait()
			left += len(r.cgroups("podreload-"))
			if err := r.checker.Sweep(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if left == 0 {
			t.Error("nothing was left by those that were killed: the test has shown nothing")
		}
		// The one that lives goes on, and goes with the next sweep.
		r.sweep(2)
		if err := alive.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		alive.Wait()
		r.sweep(1)
	})
}

// sweep sweeps until so many folders are left. The lock of a process that was killed while it
// forked is its child's, until that executes another program.
func (r *rig) sweep(left int) {
	r.t.Helper()
	testenv.Await(r.t, func() bool {
		if err := r.checker.Sweep(r.t.Context()); err != nil {
			r.t.Error(err)
		}
		entries, err := os.ReadDir(r.dir)
		return err == nil && len(entries) == left
	})
}

// TestForeign makes checks from a mount namespace that is not the node's, as that of an
// agent in a pod.
func TestForeign(t *testing.T) {
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	t.Cleanup(func() { bury(t) })
	_, c := r.pod(testenv.PodConfig{}, testenv.ContainerConfig{})
	cmd := order{r.dir, testenv.Shim(t), c}.start(t, "unshare", "-m", "--propagation", "private")
	own, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	if theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", cmd.Process.Pid)); err != nil || theirs == own {
		t.Errorf("the child is in %s, %v: the test shows nothing", theirs, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	r.sweep(1)
}
