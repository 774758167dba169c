package shim_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/podreload/podreload/shim"
	"github.com/podreload/podreload/testenv"
)

// hup writes one file and signals.
func hup(path, text string) shim.Request {
	return shim.Request{Op: shim.Apply, Signal: int(syscall.SIGHUP), Files: []shim.File{{Path: path, Data: []byte(text)}}}
}

// What a container has at /proc does not matter, neither to how handles are
// reopened nor to who is signalled.
func TestFakedProc(t *testing.T) {
	node := testenv.NewNode(t, testenv.Debian)
	in := enter(t, node, testenv.PodConfig{Name: "faked"}, testenv.ContainerConfig{Capabilities: []string{"SYS_ADMIN"}})
	in.sh(`
		echo precious > /precious && echo old > /etc/x
		mount -t tmpfs tmpfs /proc && mkdir -p /proc/self/fd /proc/thread-self /proc/1 && ln -s ../self/fd /proc/thread-self/fd
		i=0; while [ $i -lt 64 ]; do ln -s /precious /proc/self/fd/$i; i=$((i+1)); done
		echo "NSpid: 1" > /proc/1/status`)
	req := hup("/etc/x", "new\n")
	req.Files = append(req.Files, shim.File{Path: "/etc/y", Data: []byte("new\n")}, shim.File{Path: "/proc/self/fd/z"})
	for range 2 {
		// Their /proc is a directory as any other.
		if res := in.cross(req); res.Error != nil || !res.Signalled || !res.Changed() {
			t.Fatalf("%+v", res)
		}
		in.says("got hup")
		req.Files[0].Data = []byte("newer\n")
	}
	for path, want := range map[string]string{"/etc/x": "newer\n", "/etc/y": "new\n", "/precious": "precious\n", "/proc/self/fd/z": ""} {
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/root%s", in.p.Pid(), path)); err != nil || string(b) != want {
			t.Errorf("%s has %q, %v; want %q", path, b, err, want)
		}
	}
}

// A container that is paused does not hold the crossing up, which is in no
// cgroup of its: the files are there, and the signal waits for it.
func TestPausedContainer(t *testing.T) {
	node := testenv.NewNode(t, testenv.Debian)
	in := enter(t, node, testenv.PodConfig{Name: "paused"}, testenv.ContainerConfig{})
	runc := func(command string) {
		t.Helper()
		if out, err := exec.Command(node.Runc(), "--root", node.RuncRoot(), command, in.c.ID).CombinedOutput(); err != nil {
			t.Fatalf("runc %s: %v\n%s", command, err, out)
		}
	}
	runc("pause")
	t.Cleanup(func() { // or it could not be stopped; it is an error where the test has got to its end
		exec.Command(node.Runc(), "--root", node.RuncRoot(), "resume", in.c.ID).Run()
	})
	if res := in.cross(hup("/etc/x", "new\n")); res.Error != nil || !res.Signalled {
		t.Fatalf("%+v", res)
	}
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/root/etc/x", in.p.Pid())); err != nil || string(b) != "new\n" {
		t.Errorf("the file has %q, %v", b, err)
	}
	const pending = "ShdPnd:\t0000000000000001\n" // HUP: proc_pid_status(5)
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", in.p.Pid())); err != nil || !strings.Contains(string(b), pending) {
		t.Errorf("HUP is not pending, %v:\n%s", err, b)
	}
	runc("resume")
	in.says("got hup")
}
