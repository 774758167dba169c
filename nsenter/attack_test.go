package nsenter_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/testenv"
)

// TestAttack crosses into containers that may trace and mount, and that look at all
// they can see meanwhile. What decided the order in which podreload enters
// namespaces is the last of it: a process that is only put into the PID
// namespace, as exec inside would, gives the node's root away at once.
func TestAttack(t *testing.T) {
	attack := buildAttack(t)
	t.Setenv("PODRELOAD_TEST_SECRET", "agent-secret-in-environment")
	s := sealed(t)
	for _, test := range []struct {
		name         string
		version      testenv.Version
		users        bool
		capabilities []string
	}{
		{"plain", testenv.Debian, false, nil},
		{"ptrace", testenv.Debian, false, []string{"SYS_PTRACE"}},
		{"ptrace-admin", testenv.Debian, false, []string{"SYS_PTRACE", "SYS_ADMIN"}},
		// In a user namespace those capabilities are over its own only.
		{"ptrace-admin-users", testenv.V2, true, []string{"SYS_PTRACE", "SYS_ADMIN"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, p := attacker(t, testenv.NewNode(t, test.version), testenv.PodConfig{Name: test.name, UserNS: test.users}, attack, test.capabilities)
			seen := crossUntilSeen(t, s, p, c)
			log, err := c.Logs()
			if err != nil {
				t.Fatal(err)
			}
			if leaks := leaks(log); len(leaks) > 0 {
				t.Errorf("the container got hold of %q", leaks)
			}
			t.Logf("%d children were seen", seen)

			if test.users {
				return // not even what follows gives anything away there
			}
			// The attack does find what there is to find.
			naive := exec.Command("nsenter", "--target", fmt.Sprint(p.Pid()), "--pid", "sleep", "1000")
			naive.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it forks
			if err := naive.Start(); err != nil {
				testenv.Lacking(t, fmt.Errorf("no nsenter(1) to compare with: %w", err))
			}
			defer func() {
				syscall.Kill(-naive.Process.Pid, syscall.SIGKILL)
				naive.Wait()
			}()
			waitFor(t, c, func(log string) bool {
				return strings.Contains(log, "leak network") && (strings.Contains(log, "leak root") || test.capabilities == nil)
			})
		})
	}
}

func buildAttack(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "attack"), "./testdata/attack")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

func attacker(t *testing.T, node *testenv.Node, config testenv.PodConfig, dir string, capabilities []string) (*testenv.Container, *nsenter.Process) {
	t.Helper()
	config.Containers = []testenv.ContainerConfig{{
		Name: "attacker", Command: []string{"/attack/attack"}, Capabilities: capabilities,
		Mounts: []testenv.Mount{{HostPath: dir, ContainerPath: "/attack", ReadOnly: true}},
	}}
	pod, err := node.RunPod(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	c := pod.Container("attacker")
	pid, err := c.Pid(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, c, func(log string) bool { return strings.Contains(log, "attacking") })
	return c, pin(t, pid)
}

// crossUntilSeen crosses until the attack has caught sight of some children, and
// at least a hundred times.
func crossUntilSeen(t *testing.T, s *nsenter.Shim, p *nsenter.Process, c *testenv.Container) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i := 1; ; i++ {
		if _, err := s.Cross(ctx, p, p, write(t, "/tmp/x", fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
		if i%100 > 0 {
			continue
		}
		log, err := c.Logs()
		if err != nil {
			t.Fatal(err)
		}
		if seen := strings.Count(log, "seen "); seen >= 5 {
			return seen
		}
	}
}

func waitFor(t *testing.T, c *testenv.Container, done func(log string) bool) {
	t.Helper()
	for t.Context().Err() == nil {
		log, err := c.Logs()
		if err != nil {
			t.Fatal(err)
		}
		if done(log) {
			return
		}
		time.Sleep(10 * time.Millisecond) // the runtime copies a container's output in its own time
	}
}

func leaks(log string) []string {
	var found []string
	for line := range strings.Lines(log) {
		if _, leak, ok := strings.Cut(line, "leak "); ok {
			found = append(found, strings.TrimSpace(leak))
		}
	}
	return found
}
