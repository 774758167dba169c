package nsenter_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/shim"
)

var binary string

func TestMain(m *testing.M) {
	if os.Getenv("NSENTER_TEST_CONTAINER") != "" {
		container()
		return
	}
	dir, err := os.MkdirTemp("", "nsenter")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "podreload-shim")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "../cmd/podreload-shim")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		panic(string(out))
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// container is a process with mount and PID namespaces of its own.
func container() {
	dir := os.Getenv("NSENTER_TEST_CONTAINER")
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	must(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	must(unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=755"))
	must(os.MkdirAll(dir+"/proc", 0o755))
	must(os.MkdirAll(dir+"/etc", 0o755))
	must(unix.Mount("proc", dir+"/proc", "proc", 0, ""))
	must(unix.Chdir(dir))
	must(unix.PivotRoot(".", "."))
	must(unix.Unmount(".", unix.MNT_DETACH))
	must(unix.Chdir("/"))
	got := make(chan os.Signal, 8)
	signal.Notify(got, unix.SIGHUP)
	os.Stdout.WriteString("ready\n")
	for sig := range got {
		os.Stdout.WriteString("got " + sig.String() + " pid " + strconv.Itoa(os.Getpid()) + "\n")
	}
}

func startContainer(t testing.TB) (*exec.Cmd, *bufio.Reader) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{"NSENTER_TEST_CONTAINER=" + t.TempDir()}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID, Pdeathsig: 0}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); io.Copy(io.Discard, out); cmd.Wait() })
	r := bufio.NewReader(out)
	if line, err := r.ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatal(line, err)
	}
	return cmd, r
}

func cross(t testing.TB, s *nsenter.Shim, into, signal *nsenter.Process, req shim.Request) shim.Result {
	t.Helper()
	b, err := req.Encode()
	if err != nil {
		t.Fatal(err)
	}
	reply, err := s.Cross(t.Context(), into, signal, b)
	if err != nil {
		t.Fatal(err)
	}
	res, err := shim.DecodeResult(reply)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestCross(t *testing.T) {
	cmd, out := startContainer(t)
	s, err := nsenter.Seal(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p, err := nsenter.Pin(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil || info.NSPid != 1 || !info.Catches(unix.SIGHUP) {
		t.Fatalf("%+v, %v: want NSPid 1 and a handler for HUP", info, err)
	}
	res := cross(t, s, p, p, shim.Request{Op: shim.Apply, Signal: 1, Files: []shim.File{{Path: "/etc/x", Data: []byte("hello")}}})
	want := shim.Result{Signalled: true, Committed: true, Files: []shim.FileResult{{Path: "/etc/x", Changed: true}}}
	if diff := cmp.Diff(want, res, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if line, err := out.ReadString('\n'); line != "got hangup pid 1\n" {
		t.Errorf("the process said %q, %v", line, err)
	}
	b, err := os.ReadFile("/proc/" + strconv.Itoa(p.Pid()) + "/root/etc/x")
	if string(b) != "hello" {
		t.Errorf("inside stands %q, %v", b, err)
	}
	if _, err := os.Stat("/etc/x"); err == nil {
		t.Error("the file is on the node")
	}
}
