package shim_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/shim"
	"github.com/podreload/podreload/testenv"
)

// hostile builds the program of hostile containers and returns how it is mounted.
func hostile(t *testing.T) testenv.Mount {
	t.Helper()
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "hostile"), "./testdata/hostile")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return testenv.Mount{HostPath: dir, ContainerPath: "/attack", ReadOnly: true}
}

// A process inside exchanges every component of the path, and the file itself,
// for links and worse, while files are written there. In a container that sees
// the node's processes the links of /proc lead out of it, where the shim could go.
func TestSwaps(t *testing.T) {
	node := testenv.NewNode(t, testenv.Debian)
	program := hostile(t)
	const file = "/srv/a/b/file"
	for _, pod := range []testenv.PodConfig{{Name: "own"}, {Name: "host-pid", HostPID: true}} {
		t.Run(pod.Name, func(t *testing.T) {
			outside := t.TempDir()
			targets := []string{
				fmt.Sprintf("/proc/%d/root%s", os.Getpid(), outside), fmt.Sprintf("/proc/%d/cwd", os.Getpid()),
				"../../../../../../../.." + outside, outside, "/proc/1/root", "/proc/self/cwd", "/proc/self/fd", "/dev/shm", "/loop-1",
			}
			in := enter(t, node, pod, testenv.ContainerConfig{
				Command: append([]string{"/attack/hostile", "swap", file}, targets...), Mounts: []testenv.Mount{program},
			})
			t.Chdir(outside) // which is what the cwd of /proc leads to
			written, refused := 0, 0
			for i := 0; written < 50 || refused < 50; i++ {
				res := in.cross(shim.Request{Op: shim.Apply, Files: []shim.File{
					{Path: file, Data: fmt.Append(nil, i), Mkdir: i%2 == 0}, {Path: "/srv/a/other", Data: fmt.Append(nil, i)},
				}})
				if res.Error == nil {
					written++
				} else if refused++; res.Committed {
					t.Errorf("a half of it stayed: %+v", res)
				}
				if i == 5000 {
					t.Fatalf("%d times written, %d times refused: it is no race", written, refused)
				}
			}
			t.Logf("%d times written, %d times refused", written, refused)
			if there, err := os.ReadDir(outside); err != nil || len(there) > 0 {
				t.Errorf("on the node there is %v, %v", there, err)
			}
			if err := syscall.Kill(in.p.Pid(), syscall.SIGSTOP); err != nil { // or find would not
				t.Fatal(err)
			}
			if got := in.sh("find / -xdev -name '.podreload*'"); got != "" {
				t.Errorf("in the container there is %q", got)
			}
			// What the file's hard link shares with it was not written to.
			if got := in.sh("cat /precious"); got != "precious" {
				t.Errorf("the other name of a hard link has %q", got)
			}
		})
	}
}

// A process inside that kills or stops all it sees gets the child that signals,
// and nothing by it: the answer says so, or the deadline does.
func TestChildIsHunted(t *testing.T) {
	node := testenv.NewNode(t, testenv.Debian)
	program := hostile(t)
	req := shim.Request{Op: shim.Apply, Signal: int(syscall.SIGHUP), Always: true}
	t.Run("kill", func(t *testing.T) {
		in := enter(t, node, testenv.PodConfig{Name: "kill"}, testenv.ContainerConfig{
			Command: []string{"/attack/hostile", "kill"}, Mounts: []testenv.Mount{program},
		})
		for i := 0; ; i++ {
			res := in.cross(req)
			if res.Error == nil {
				if !res.Signalled {
					t.Errorf("neither signalled nor an error: %+v", res)
				}
			} else if want := "signal: a process in the container ended the one that was to send the signal"; res.Error.Error() != want || res.Signalled {
				t.Fatalf("%+v, want %s", res, want)
			} else {
				return
			}
			if i == 5000 {
				t.Fatal("the child was never hit")
			}
		}
	})
	t.Run("stop", func(t *testing.T) {
		in := enter(t, node, testenv.PodConfig{Name: "stop"}, testenv.ContainerConfig{
			Command: []string{"/attack/hostile", "stop"}, Mounts: []testenv.Mount{program},
		})
		b, err := req.Encode()
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; ; i++ {
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			_, err := in.shim.Cross(ctx, in.p, in.p, b)
			cancel()
			if errors.Is(err, nsenter.ErrDeadline) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if i == 5000 {
				t.Fatal("the child was never hit")
			}
		}
		// The stopped child ends with its shim.
		for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			if got := in.processes(); len(got) == 1 {
				break
			} else if time.Now().After(deadline) {
				t.Fatalf("in the container there are %v", got)
			}
		}
	})
}

// processes are those in the container's PID namespace, by the node's /proc.
func (in *crossed) processes() (pids []int) {
	in.t.Helper()
	of := func(pid string) string {
		ns, _ := os.Readlink("/proc/" + pid + "/ns/pid")
		return ns
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		in.t.Fatal(err)
	}
	for _, e := range entries {
		var pid int
		if _, err := fmt.Sscan(e.Name(), &pid); err == nil && of(e.Name()) == of(fmt.Sprint(in.p.Pid())) && !strings.Contains(e.Name(), "self") {
			pids = append(pids, pid)
		}
	}
	return pids
}
