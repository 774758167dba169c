package nsenter_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/nsenter/frame"
)

// A shim is looked at from the node while it hangs inside: it has nothing of
// this process.
func TestShimHoldsNothing(t *testing.T) {
	t.Setenv("PODRELOAD_SECRET", "secret")
	// A descriptor that somebody forgot to mark close-on-exec.
	leak, err := unix.Open("/", unix.O_PATH, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(leak)

	p, s := start(t, "plain"), sealed(t)
	info, end := hanging(t, p, s)
	defer end()

	proc := fmt.Sprintf("/proc/%d/", info.Pid)
	if info.PIDNS != mustInfo(t, os.Getpid()).PIDNS || info.NSPid != info.Pid {
		t.Errorf("it is in the PID namespace %d, as %d", info.PIDNS, info.NSPid)
	}
	if b, err := os.ReadFile(proc + "environ"); err != nil || string(b) != "GOMAXPROCS=1\x00" {
		t.Errorf("its environment is %q, %v: nothing of this one's is to be in it", b, err)
	}
	status := status(t, info.Pid)
	for key, want := range map[string]string{"NoNewPrivs": "1", "Name": "podreload-shim"} {
		if status[key] != want {
			t.Errorf("%s is %q, want %q", key, status[key], want)
		}
	}
	if b, err := os.ReadFile(proc + "maps"); err != nil || bytes.Contains(b, []byte(filepath.Base(os.Args[0]))) {
		t.Errorf("this program is in its memory, or %v", err)
	}
	if sid, err := unix.Getsid(info.Pid); err != nil || sid != info.Pid {
		t.Errorf("its session is %d, %v", sid, err)
	}
	own, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	tasks, err := os.ReadDir(proc + "task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		if ns, err := os.Readlink(proc + "task/" + task.Name() + "/ns/mnt"); err != nil || ns != own {
			if got := statusOf(t, proc+"task/"+task.Name())["NoNewPrivs"]; got != "1" {
				t.Errorf("thread %s is inside (%v) with NoNewPrivs %q", task.Name(), err, got)
			}
		}
		held := descriptors(t, proc+"task/"+task.Name())
		for fd, target := range held {
			switch {
			case target == "anon_inode:[pidfd]", strings.HasPrefix(target, "socket:"), fd == 1 && strings.HasPrefix(target, "pipe:"):
			case target == "anon_inode:[eventpoll]", target == "anon_inode:[eventfd]": // Go's poller
			case target == "/": // the container's root
			case target == proc+"fd":
			default:
				t.Errorf("thread %s holds %d, %s", task.Name(), fd, target)
			}
		}
	}
}

// hanging starts a crossing that does not come back before its end is called, and waits until its shim is inside.
func hanging(t *testing.T, p *process, s *nsenter.Shim) (shim nsenter.Info, end func()) {
	t.Helper()
	needsDead(t, p)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Cross(ctx, p.Process, p.Process, write(t, "/dead/dir/x", ""))
	}()
	return shimProcess(t), func() { cancel(); <-done }
}

// The child that is born in the container is the one part of podreload that a
// container can ever see. Held at its birth, as by a container that stops it, it has
// nothing.
func TestChildHoldsNothing(t *testing.T) {
	p := start(t, "quiet")
	runtime.LockOSThread() // ptrace(2): all requests of one tracer come from one thread
	defer runtime.UnlockOSThread()
	shim, _ := trace(t, p, write(t, "/etc/x", ""))

	child := mustInfo(t, awaitBirth(t, shim))
	if child.PIDNS != mustInfo(t, p.Pid()).PIDNS {
		t.Error("it is in another PID namespace than the container")
	}
	status := status(t, child.Pid)
	for key, want := range map[string]string{
		"Threads": "1", "NoNewPrivs": "1", "Seccomp": "2",
		"CapEff": "0000000000000020", "CapPrm": "0000000000000020", "CapInh": "0000000000000000", "CapAmb": "0000000000000000",
	} {
		if status[key] != want {
			t.Errorf("%s is %q, want %q", key, status[key], want)
		}
	}
	proc := fmt.Sprintf("/proc/%d", child.Pid)
	if fds := descriptors(t, proc); len(fds) != 1 || fds[0] != "anon_inode:[pidfd]" {
		t.Errorf("it holds %v", fds)
	}
	if kept := dataOf(t, proc); len(kept) > 0 {
		t.Errorf("it has the shim's variables or stack: %q", kept)
	}
	if size := privateOf(t, proc); size > 4*os.Getpagesize() {
		maps, _ := os.ReadFile(proc + "/maps")
		t.Errorf("it has %d bytes that are not the program's, more than a page of its own and three of a stack:\n%s", size, maps)
	}
	if child.MntNS != mustInfo(t, p.Pid()).MntNS {
		t.Error("it is in another mount namespace than the container")
	}
	for _, name := range []string{"root", "cwd"} {
		if got, want := inode(t, proc+"/"+name), inode(t, fmt.Sprintf("/proc/%d/root", p.Pid())); got != want {
			t.Errorf("its %s is %v, the container's root %v", name, got, want)
		}
	}
	if group, err := unix.Getpgid(child.Pid); err != nil || group != shim {
		t.Errorf("it is in process group %d (%v), not in its shim's, which is killed as a whole", group, err)
	}
}

// dataOf is what a process has of a program's variables and of its first stack:
// mappings that it may write to and that have a name (proc(5), maps). The child
// runs on a goroutine's stack, which has none.
func dataOf(t *testing.T, proc string) (named []string) {
	t.Helper()
	maps, err := os.ReadFile(proc + "/maps")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(maps)) {
		if fields := strings.Fields(line); len(fields) > 5 && strings.HasPrefix(fields[1], "rw") {
			named = append(named, line)
		}
	}
	return named
}

// privateOf is how much memory without a name a process may use, in bytes.
func privateOf(t *testing.T, proc string) (size int) {
	t.Helper()
	maps, err := os.ReadFile(proc + "/maps")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(maps)) {
		var start, end uint64
		if _, err := fmt.Sscanf(line, "%x-%x", &start, &end); err != nil {
			t.Fatal(err)
		}
		if fields := strings.Fields(line); len(fields) == 5 && fields[1] != "---p" { // what is reserved has no pages
			size += int(end - start)
		}
	}
	return size
}

// trace starts a shim with this thread as its tracer, as nsenter does but for that,
// and gives it the request as its agent. Its threads, its messenger and that one's child stop at their birth.
func trace(t *testing.T, p *process, request []byte) (shim int, life *os.File) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "shim")
	defer theirs.Close()
	t.Cleanup(func() { unix.Close(pair[0]) })
	until, life, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer until.Close()
	t.Cleanup(func() { life.Close() })
	process, err := os.StartProcess(binary, []string{"podreload-shim"}, &os.ProcAttr{
		Dir: "/", Env: []string{}, Files: []*os.File{theirs, until}, Sys: &syscall.SysProcAttr{Setsid: true, Ptrace: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // or the container would wait for what only its tracer can reap
		unix.Kill(-process.Pid, unix.SIGKILL)
		for err := error(nil); err == nil || errors.Is(err, unix.EINTR); {
			_, err = unix.Wait4(-process.Pid, nil, unix.WALL, nil) // each thread and the child
		}
		process.Release()
	})
	if status := awaitStop(t, process.Pid); !status.Stopped() {
		t.Fatalf("the shim did not stop at its start: %#x", status)
	}
	if err := unix.PtraceSetOptions(process.Pid, unix.PTRACE_O_TRACECLONE|unix.PTRACE_O_TRACEVFORK); err != nil {
		t.Fatal(err)
	}
	if err := unix.PtraceCont(process.Pid, 0); err != nil {
		t.Fatal(err)
	}
	pidfd, err := unix.PidfdOpen(p.Pid(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	if err := unix.Sendmsg(pair[0], frame.Header(frame.Request, len(request)), unix.UnixRights(pidfd, pidfd), nil, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(pair[0], request); err != nil {
		t.Fatal(err)
	}
	return process.Pid, life
}

// awaitBirth lets a traced shim's threads and its messenger run until there is a child inside, which is stopped
// before its first instruction.
func awaitBirth(t *testing.T, shim int) (child int) {
	t.Helper()
	node := mustInfo(t, os.Getpid()).PIDNS
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-shim, &status, unix.WALL, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || pid == shim && !status.Stopped() {
			t.Fatalf("process %d ended without a child: %#x, %v", shim, status, err)
		}
		if !status.Stopped() {
			continue // a thread ended
		}
		if info, err := nsenter.ReadInfo(pid); err == nil && info.PIDNS != node {
			return pid
		}
		signal := status.StopSignal()
		if signal == unix.SIGTRAP || signal == unix.SIGSTOP { // the tracer's own
			signal = 0
		}
		if err := unix.PtraceCont(pid, int(signal)); err != nil {
			t.Fatal(err)
		}
	}
}

func awaitStop(t *testing.T, pid int) (status unix.WaitStatus) {
	t.Helper()
	for {
		_, err := unix.Wait4(pid, &status, unix.WALL, nil)
		if err == nil {
			return status
		}
		if !errors.Is(err, unix.EINTR) {
			t.Fatal(err)
		}
	}
}

func mustInfo(t *testing.T, pid int) nsenter.Info {
	t.Helper()
	info, err := nsenter.ReadInfo(pid)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func status(t *testing.T, pid int) map[string]string {
	t.Helper()
	return statusOf(t, fmt.Sprintf("/proc/%d", pid))
}

// statusOf is what status in a process's or a thread's folder of /proc says.
func statusOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	b, err := os.ReadFile(dir + "/status")
	if err != nil {
		t.Fatal(err)
	}
	fields := make(map[string]string)
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(line, ":")
		fields[key] = strings.TrimSpace(value)
	}
	return fields
}

func descriptors(t *testing.T, proc string) map[int]string {
	t.Helper()
	entries, err := os.ReadDir(proc + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	fds := make(map[int]string)
	for _, entry := range entries {
		fd, _ := strconv.Atoi(entry.Name())
		if fds[fd], err = os.Readlink(proc + "/fd/" + entry.Name()); err != nil {
			t.Error(err)
		}
	}
	return fds
}

func inode(t *testing.T, path string) [2]uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return [2]uint64{st.Dev, st.Ino}
}
