package exec_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/podreload/podreload/daemonset/exec"
	"github.com/podreload/podreload/testenv"
)

// A start that takes long, whatever ends meanwhile, leaves nothing: the command has its whole limit once it
// runs, and a start that does not end is given up by us and the shim together.
func TestStartIsSlow(t *testing.T) {
	for i, tt := range []struct {
		name    string
		runs    bool // the command does, and the runtime has not said so
		cancel  bool
		limit   time.Duration
		goes    time.Duration // when the start goes on; 0: never
		atLeast time.Duration
		err     error
	}{
		{name: "cancelled", cancel: true, goes: 2 * time.Second, err: context.Canceled},
		{name: "cancelled, and does not end", cancel: true, err: context.Canceled},
		{name: "longer than the limit", runs: true, limit: 2 * time.Second, goes: 3 * time.Second, atLeast: 5 * time.Second, err: exec.ErrDeadline},
		{name: "does not end", runs: true, err: exec.ErrDeadline},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newRig(t, testenv.SharedNode(t, testenv.V2)).pod(testenv.PodConfig{}, testenv.ContainerConfig{})
			c.sh("mv /etc/passwd /was; mkfifo /etc/passwd")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			args := []string{"sleep", strconv.Itoa(987650 + i)}
			var group errgroup.Group
			group.Go(func() error {
				_, err := c.Run(ctx, c.Container, exec.Command{Args: args, Timeout: tt.limit})
				return err
			})
			runtime, passwd := c.holdStart()
			defer passwd.Close()
			begun := time.Now()
			if tt.runs {
				passwd.Close()
				testenv.Await(t, func() bool { return len(withArgs(strings.Join(args, " ")+" ")) == 1 })
			}
			if tt.cancel {
				cancel()
			}
			if tt.goes > 0 {
				time.AfterFunc(tt.goes, func() {
					passwd.Close()
					runtime.Signal(syscall.SIGCONT)
				})
			}
			err := group.Wait()
			if took := time.Since(begun); !errors.Is(err, tt.err) || took < tt.atLeast || took > 14*time.Second {
				t.Errorf("after %s: %v", took, err)
			}
			if left := c.processes(args[1]); len(left) > 0 {
				t.Errorf("left running: %q", left)
			}
			c.nothingLeft()
		})
	}
}

// holdStart waits until a command's runtime reads /etc/passwd, which is a FIFO, and stops it, as a busy node would. What
// it has begun inside goes on when the FIFO is closed; there is a file in its place by then.
func (c *run) holdStart() (runtime *os.Process, passwd *os.File) {
	c.t.Helper()
	testenv.Await(c.t, func() (opened bool) {
		var err error
		passwd, err = os.OpenFile(c.path("/etc/passwd"), os.O_WRONLY|syscall.O_NONBLOCK, 0)
		return err == nil // there is a reader
	})
	if err := os.Rename(c.path("/was"), c.path("/etc/passwd")); err != nil {
		c.t.Fatal(err)
	}
	pids := withArgs(" exec ", c.ID)
	if len(pids) != 1 {
		c.t.Fatalf("%d runtimes start a command in the container", len(pids))
	}
	runtime, err := os.FindProcess(pids[0])
	if err != nil {
		c.t.Fatal(err)
	}
	if err := runtime.Signal(syscall.SIGSTOP); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { runtime.Signal(syscall.SIGCONT) })
	return runtime, passwd
}

// withArgs are the processes of the node that have all the words in their arguments, each of which a space follows.
func withArgs(words ...string) (pids []int) {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
next:
	for _, f := range files {
		line, _ := os.ReadFile(f)
		for _, w := range words {
			if !strings.Contains(strings.ReplaceAll(string(line), "\x00", " "), w) {
				continue next
			}
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		pids = append(pids, pid)
	}
	return pids
}
