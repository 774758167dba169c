package exec_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/exec"
	"github.com/podreload/podreload/testenv"
)

func TestRun(t *testing.T) {
	testenv.EachVersion(t, func(t *testing.T, n *testenv.Node) {
		c := newRig(t, n).pod(testenv.PodConfig{}, testenv.ContainerConfig{})
		for _, tt := range []struct {
			line, output string
			code         int
			signal       syscall.Signal
		}{
			{line: "true"},
			{line: "echo hello world", output: "hello world"},
			{line: "echo one; echo two >&2; echo three", output: "one two three"},
			{line: "printf '\\033[31mred\\033[0m\\a\\n'", output: "red"},
			{line: "echo broken >&2; exit 3", code: 3, output: "broken"},
			{line: "false", code: 1},
			{line: "kill -9 $$", code: 137, signal: syscall.SIGKILL},
			{line: "exit 255", code: 255},
		} {
			r, err := c.run(daemonset.SplitCommand(tt.line)...)
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				if exit.Code != tt.code || exit.Signal != tt.signal || words(exit.Output) != tt.output {
					t.Errorf("%s: %+v, want %+v", tt.line, exit, tt)
				}
				if !strings.Contains(err.Error(), "exit code") || !strings.Contains(err.Error(), tt.output) {
					t.Errorf("%s: %v", tt.line, err)
				}
				continue
			}
			if err != nil || tt.code != 0 || words(r.Output) != tt.output || r.Took <= 0 {
				t.Errorf("%s: %+v, %v, want %+v", tt.line, r, err, tt)
			}
		}
	})
}

// words are those that it said, in any order: standard output and error are two pipes.
func words(output string) string {
	if strings.Contains(output, "one") {
		for _, w := range []string{"one", "two", "three"} {
			if !strings.Contains(output, w) {
				return output
			}
		}
		return "one two three"
	}
	return output
}

func TestNotStarted(t *testing.T) {
	testenv.EachVersion(t, func(t *testing.T, n *testenv.Node) {
		c := newRig(t, n).pod(testenv.PodConfig{}, testenv.ContainerConfig{})
		c.sh("rm /bin/sh; echo no program > /text; echo '#!/nowhere' > /script; chmod +x /script; mkdir /dir")
		for _, tt := range []struct {
			args []string
			want string
		}{
			{[]string{"no-such-program", "-s"}, "there is no such program in the container"},
			{[]string{"/no/such/program"}, "there is no such program in the container"},
			{daemonset.SplitCommand("nginx -s reload && true"), "has no shell"},
			{[]string{"/text"}, "permission denied"},
			{[]string{"/dir"}, ""},
			{nil, "empty"},
			{[]string{""}, "empty"},
			{[]string{"echo", "a\x00b"}, "NUL"},
			{[]string{"echo", strings.Repeat("x", 200<<10)}, "less than 131072 can be"},
			{slices.Repeat([]string{strings.Repeat("x", 100<<10)}, 20), "1048576 can be"},
		} {
			_, err := c.run(tt.args...)
			if !errors.Is(err, exec.ErrNotStarted) || !strings.Contains(err.Error(), tt.want) || len(err.Error()) > 2000 {
				t.Errorf("%.60q: %.2000v, want %q in it", tt.args, err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("more than a line: %v", err)
			}
		}
		// The exec of a script with a bad interpreter fails inside.
		if _, err := c.run("/script"); err == nil {
			t.Error("a script without its interpreter runs")
		}
		if r, err := c.run("echo", strings.Repeat("x", 100<<10)); err != nil || !strings.HasPrefix(r.Output, "xxx") {
			t.Errorf("100 KiB of arguments: %.200v, %.200q", err, r.Output)
		}
	})
}

func TestGone(t *testing.T) {
	t.Parallel()
	testenv.EachVersion(t, func(t *testing.T, n *testenv.Node) {
		c := newRig(t, n).pod(testenv.PodConfig{}, testenv.ContainerConfig{})
		other := c.Container
		other.Pid = 1 // as if it had started anew
		if _, err := c.Run(t.Context(), other, exec.Command{Args: []string{"true"}}); !errors.Is(err, exec.ErrGone) {
			t.Errorf("another process: %v", err)
		}
		other = c.Container
		other.ID = strings.Repeat("0", 64)
		if _, err := c.Run(t.Context(), other, exec.Command{Args: []string{"true"}}); !errors.Is(err, exec.ErrGone) {
			t.Errorf("no such container: %v", err)
		}
		if err := c.inside.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.run("true"); !errors.Is(err, exec.ErrGone) {
			t.Errorf("a stopped container: %v", err)
		}
	})
}

func TestCancel(t *testing.T) {
	c := newRig(t, testenv.SharedNode(t, testenv.Debian)).pod(testenv.PodConfig{}, testenv.ContainerConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	var group errgroup.Group
	group.Go(func() error {
		_, err := c.Run(ctx, c.Container, exec.Command{Args: []string{"/bin/sh", "-c", "touch /runs; sleep 987654"}})
		return err
	})
	c.awaitFile("/runs")
	cancel()
	if err := group.Wait(); !errors.Is(err, context.Canceled) || errors.Is(err, exec.ErrDeadline) {
		t.Errorf("%v", err)
	}
	if left := c.processes("987654"); len(left) > 0 {
		t.Errorf("left running: %q", left)
	}
	c.nothingLeft()
	if _, err := c.Run(ctx, c.Container, exec.Command{Args: []string{"true"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("with a cancelled context: %v", err)
	}
}

// Equal commands in many containers, and several in one, which take turns.
func TestMany(t *testing.T) {
	testenv.EachVersion(t, func(t *testing.T, n *testenv.Node) {
		r := newRig(t, n)
		all := r.pods(testenv.PodConfig{}, make([]testenv.ContainerConfig, 8)...)
		var group errgroup.Group
		for i := range 24 {
			c := all[i%len(all)]
			group.Go(func() error {
				// One that finds another at it fails.
				_, err := c.Run(t.Context(), c.Container, exec.Command{
					Args: []string{"/bin/sh", "-c", "mkdir /lock && echo x >> /count && rmdir /lock"}, Timeout: patience,
				})
				return err
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		for _, c := range all {
			if got := c.sh("wc -l < /count"); got != "3" {
				t.Errorf("%s: run %s times, want 3", c.Name, got)
			}
			c.nothingLeft()
		}
	})
}

func TestNew(t *testing.T) {
	if _, err := exec.New(nil, "relative"); err == nil {
		t.Error("a relative folder is taken")
	}
}

// BenchmarkRun is a command that does nothing.
func BenchmarkRun(b *testing.B) {
	for _, v := range []testenv.Version{testenv.Debian, testenv.V2} {
		b.Run(string(v), func(b *testing.B) {
			c := newRig(b, testenv.SharedNode(b, v)).pod(testenv.PodConfig{}, testenv.ContainerConfig{})
			var took time.Duration
			n := 0
			for b.Loop() {
				r, err := c.Run(b.Context(), c.Container, exec.Command{Args: []string{"true"}})
				if err != nil {
					b.Fatal(err)
				}
				took += r.Took
				n++
			}
			b.ReportMetric(float64(took.Microseconds())/float64(n), "µs-started-to-ended")
		})
	}
}
