package nsenter_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/shim"
	"github.com/podreload/podreload/testenv"
)

// binary is the shim's, built for these tests.
var binary string

func TestMain(m *testing.M) {
	if mode := os.Getenv("NSENTER_TEST_CONTAINER"); mode != "" {
		if err := contain(mode, os.Getenv("NSENTER_TEST_ROOT")); err != nil {
			fmt.Fprintln(os.Stderr, "container:", err)
			os.Exit(1)
		}
		return
	}
	if of := os.Getenv(agentOf); of != "" {
		if err := crossForGood(of, os.Getenv(agentShim)); err != nil {
			fmt.Fprintln(os.Stderr, "agent:", err)
			os.Exit(1)
		}
		return
	}
	dir, err := os.MkdirTemp("", "nsenter")
	if err == nil {
		binary = filepath.Join(dir, "podreload-shim")
		build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "../cmd/podreload-shim")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		build.Stderr = os.Stderr
		err = build.Run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	testenv.Main(m, func() error { return os.RemoveAll(dir) })
}

// contain makes this process, which was started with mount and PID namespaces of
// its own, into a small container: a root on tmpfs with /proc and /etc. It says
// on stdout what signals it gets.
func contain(mode, root string) error {
	for _, step := range []func() error{
		func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") },
		func() error { return unix.Mount("tmpfs", root, "tmpfs", 0, "mode=755") },
		func() error { return os.Mkdir(root+"/proc", 0o755) },
		func() error { return os.Mkdir(root+"/etc", 0o755) },
		func() error { return os.Mkdir(root+"/dead", 0o755) },
		func() error { return unix.Mount("proc", root+"/proc", "proc", 0, "") },
		func() error { return mountDead(root + "/dead") },
		func() error { return unix.Chdir(root) },
		func() error { return unix.PivotRoot(".", ".") },
		func() error { return unix.Unmount(".", unix.MNT_DETACH) },
		func() error { return unix.Chdir("/") },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	got := make(chan os.Signal, 8)
	signal.Notify(got, unix.SIGHUP)
	go func() { // end with the test
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	fmt.Println("ready")
	for sig := range got {
		if mode != "quiet" { // for who does not listen
			fmt.Println("got", sig, "as", os.Getpid())
		}
	}
	return nil
}

// mountDead mounts a FUSE filesystem that never answers: every look into it
// hangs, in state D. It ends with the process that holds the descriptor.
func mountDead(dir string) error {
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil // the tests that need it find no mount there
	}
	return unix.Mount("dead", dir, "fuse", 0, "fd="+strconv.Itoa(fd)+",rootmode=40000,user_id=0,group_id=0")
}

// process is a container that runs.
type process struct {
	*nsenter.Process
	t    testing.TB
	said *bufio.Reader
}

func start(t testing.TB, mode string) *process {
	t.Helper()
	testenv.NeedsRoot(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{"NSENTER_TEST_CONTAINER=" + mode, "NSENTER_TEST_ROOT=" + t.TempDir()}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Process.Kill()
		cmd.Wait()
	})
	p := &process{t: t, said: bufio.NewReader(out)}
	p.says("ready")
	if p.Process, err = nsenter.Pin(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// says waits for the next line that the container prints.
func (p *process) says(want string) {
	p.t.Helper()
	line, err := p.said.ReadString('\n')
	if err != nil || strings.TrimSpace(line) != want {
		p.t.Fatalf("the container says %q, %v; want %q", line, err, want)
	}
}

// end kills the container and waits until its pid is free.
func (p *process) end() {
	p.t.Helper()
	unix.Kill(p.Pid(), unix.SIGKILL)
	if err := p.Wait(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
}

func sealed(t testing.TB) *nsenter.Shim {
	t.Helper()
	s, err := nsenter.Seal(binary)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// write is a request that writes one file and sends HUP.
func write(t testing.TB, path, text string) []byte {
	t.Helper()
	b, err := shim.Request{Op: shim.Apply, Signal: int(unix.SIGHUP), Files: []shim.File{{Path: path, Data: []byte(text)}}}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}
