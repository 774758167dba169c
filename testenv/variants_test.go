package testenv

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

var forever = []string{"sleep", "1000000"}

// testVariants runs a pod of each kind and looks at it from inside.
func testVariants(t *testing.T, n *Node) {
	host := t.TempDir()
	if err := os.WriteFile(filepath.Join(host, "file"), []byte("from the node"), 0o644); err != nil {
		t.Fatal(err)
	}
	nginx := int64(101)
	for _, tt := range []struct {
		name string
		pod  PodConfig
		c    ContainerConfig
		cmd  string
		want string
	}{
		{name: "args", c: ContainerConfig{Command: []string{"tini", "--"}, Args: forever}, cmd: "tr '\\0' ' ' < /proc/1/cmdline", want: "tini -- sleep 1000000"},
		{name: "env", c: ContainerConfig{Env: []string{"COLOUR=dark=blue"}}, cmd: "echo $COLOUR", want: "dark=blue"},
		{name: "shared-pid", pod: PodConfig{SharePID: true}, cmd: "cat /proc/1/comm", want: "pause"},
		{name: "host-pid", pod: PodConfig{HostPID: true}, cmd: "readlink /proc/self/ns/pid", want: readlink(t, "/proc/self/ns/pid")},
		{name: "host-network", pod: PodConfig{HostNetwork: true}, cmd: "readlink /proc/self/ns/net", want: readlink(t, "/proc/self/ns/net")},
		{name: "hostname", cmd: "hostname", want: "hostname"},
		{name: "readonly", c: ContainerConfig{ReadonlyRoot: true}, cmd: "touch /x 2>&1 || true", want: "touch: /x: Read-only file system"},
		{name: "user", c: ContainerConfig{User: &nginx}, cmd: "id -u", want: "101"},
		{name: "mount", c: ContainerConfig{Mounts: []Mount{{HostPath: host, ContainerPath: "/mnt"}}}, cmd: "cat /mnt/file", want: "from the node"},
		{name: "capability", c: ContainerConfig{Capabilities: []string{"SYS_PTRACE"}}, cmd: "grep CapEff /proc/self/status", want: "CapEff:\t00000000a80c25fb"},
		{name: "masked", cmd: "wc -c < /proc/keys", want: "0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.pod.Name, tt.c.Name = tt.name, "main"
			if tt.c.Command == nil {
				tt.c.Command = forever
			}
			tt.pod.Containers = []ContainerConfig{tt.c}
			p, err := n.RunPod(t.Context(), tt.pod)
			if err != nil {
				t.Fatal(err)
			}
			var got string
			Await(t, func() bool { // until what runs there is no longer the runtime's process
				if got, err = p.Container("main").Exec(t.Context(), "sh", "-c", tt.cmd); err != nil {
					t.Fatal(err)
				}
				return !strings.Contains(got, "runc init")
			})
			if got = strings.TrimSpace(got); got != tt.want {
				t.Errorf("%s: %q, want %q", tt.cmd, got, tt.want)
			}
			if err := p.Remove(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func readlink(t *testing.T, path string) string {
	t.Helper()
	s, err := os.Readlink(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestExecError(t *testing.T) {
	n := NewNode(t, Debian)
	p, err := n.RunPod(t.Context(), PodConfig{Name: "web", Containers: []ContainerConfig{{Name: "nginx"}}})
	if err != nil {
		t.Fatal(err)
	}
	c := p.Container("nginx")
	_, err = c.Exec(t.Context(), "sh", "-c", "echo broken >&2; exit 3")
	if err == nil || !strings.Contains(err.Error(), "exit code 3: broken") {
		t.Errorf("exec: %v, want the exit code and what it said", err)
	}
	testGet(t, p)
	logs, err := c.Logs()
	if err != nil || !strings.Contains(logs, "start worker processes") {
		t.Errorf("logs of nginx: %q, %v", logs, err)
	}
	if _, err := p.Get(t.Context(), 81, "/"); err == nil {
		t.Error("a port where nothing listens answers")
	}
	// Nothing of a pod that fails to start may stay.
	if _, err := n.RunPod(t.Context(), PodConfig{Name: "bad", Containers: []ContainerConfig{{Name: "c", Command: []string{"/none"}}}}); err == nil {
		t.Error("a container without a program starts")
	}
	if got := len(n.pods); got != 1 {
		t.Errorf("%d pods, want 1", got)
	}
}

// TestCrash does to a node what the end of its owner does, which kills containerd and frees the
// lock, and lets the next one clear up.
func TestCrash(t *testing.T) {
	for _, v := range []Version{Debian, V2} {
		t.Run(string(v), func(t *testing.T) {
			n := NewNode(t, v)
			p, err := n.RunPod(t.Context(), web)
			if err != nil {
				t.Fatal(err)
			}
			pid, err := p.Container("nginx").Pid(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			sockets, err := shimSockets(n.dir)
			if len(sockets) == 0 || err != nil {
				t.Errorf("sockets of shims: %v, %v", sockets, err)
			}
			if err := n.KillContainerd(); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat("/proc/" + strconv.Itoa(pid)); err != nil {
				t.Fatalf("nginx did not outlive containerd: %v", err)
			}
			if err := n.lock.Close(); err != nil {
				t.Fatal(err)
			}
			n.lock = nil // what is left is no longer n's to close
			orphans()
			wantNothingLeft(t, n)
			for _, s := range sockets {
				if _, err := os.Stat(s); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: %v, want it gone", s, err)
				}
			}
		})
	}
}
