package shim

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

const victimOf = "PODRELOAD_SHIM_TEST_VICTIM" // names the root that the victim works in

// oldFiles and newFiles are the two sets that a killed request may leave in any
// mixture. A nil is a file that is not there.
var (
	paths    = []string{"/etc/replaced", "/etc/fresh", "/made/dir/fresh", "/etc/removed", "/etc/last"}
	oldFiles = map[string]*string{"/etc/replaced": text("old\n"), "/etc/removed": text("old\n"), "/etc/last": text("old\n")}
	newFiles = map[string]*string{"/etc/replaced": text("new\n"), "/etc/fresh": text("new\n"), "/made/dir/fresh": text("new\n"), "/etc/last": text("new\n")}
)

func text(s string) *string { return &s }

// applying is the request that leads to a set.
func applying(set map[string]*string) Request {
	req := Request{Op: Apply, UID: 7, GID: 8}
	for _, path := range paths {
		f := File{Path: path, Mkdir: true, Absent: set[path] == nil}
		if !f.Absent {
			f.Data = []byte(*set[path])
		}
		req.Files = append(req.Files, f)
	}
	return req
}

// victim does the request on its main thread as soon as it is told to.
func victim(dir string) {
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		os.Exit(2)
	}
	self, err := unix.Open("/proc/self/fd", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		os.Exit(3)
	}
	os.Stdout.Write([]byte("r")) // ready
	unix.Read(0, make([]byte, 1))
	if res := Run(Root{root, self}, applying(newFiles), nil); res.Error != nil {
		os.Stderr.WriteString(res.Error.Error())
		os.Exit(4)
	}
	os.Exit(0)
}

// A shim that is killed before any call that changes something leaves every file
// whole, old or new, and the next request for the same files takes away what it
// left beside them: whether it does the same again or puts the old ones back.
func TestKilledAnywhere(t *testing.T) {
	runtime.LockOSThread() // the tracer is a thread
	defer runtime.UnlockOSThread()
	mixed, hidden := 0, 0
	for n := 1; ; n++ {
		c := newContainer(t)
		for path, text := range oldFiles {
			c.write(path, *text, 0o640)
		}
		killed := c.killAt(n)

		old, now := 0, 0
		for _, path := range paths {
			switch is := c.text(path); {
			case same(is, oldFiles[path]):
				old++
			case same(is, newFiles[path]):
				now++
			default:
				t.Errorf("killed at call %d: %s is neither the old file nor the new", n, path)
			}
		}
		for _, dir := range []string{"/made", "/made/dir"} {
			var st unix.Stat_t
			if err := unix.Lstat(c.path(dir), &st); err == nil && (st.Mode != unix.S_IFDIR|0o755 || st.Uid != 7 || st.Gid != 8) {
				t.Errorf("killed at call %d: %s has mode %o, owner %d:%d", n, dir, st.Mode, st.Uid, st.Gid)
			}
		}
		if old > 0 && now > 0 {
			mixed++
		}
		if len(c.hidden()) > 0 {
			hidden++
		}
		next := []map[string]*string{newFiles, oldFiles}[n%2]
		if res := c.run(applying(next)); res.Error != nil {
			t.Errorf("killed at call %d, then: %v", n, res.Error)
		}
		for _, path := range paths {
			if is := c.text(path); !same(is, next[path]) {
				t.Errorf("killed at call %d: %s is not as the next request wants it", n, path)
			}
		}
		c.clean()
		if !killed {
			t.Logf("%d calls; %d times the set was mixed, %d times something hidden was left", n-1, mixed, hidden)
			break
		}
		if t.Failed() || n == 10000 {
			t.FailNow()
		}
	}
	if mixed == 0 || hidden == 0 {
		t.Errorf("%d times the set was mixed, %d times something hidden was left: the test kills beside the commit", mixed, hidden)
	}
}

func same(a, b *string) bool { return a == nil && b == nil || a != nil && b != nil && *a == *b }

// text is what is in a file, nil if there is none.
func (c *container) text(path string) *string {
	b, err := os.ReadFile(c.path(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	c.must(err)
	return text(string(b))
}

// hidden are the names of ours.
func (c *container) hidden() []string {
	names, err := filepath.Glob(c.path("/etc/.podreload*"))
	c.must(err)
	return names
}

// changing are the calls by which the shim changes a filesystem.
var changing = map[uint64]bool{
	unix.SYS_OPENAT: true, unix.SYS_WRITE: true, unix.SYS_FCHOWN: true, unix.SYS_FCHMOD: true, unix.SYS_FSETXATTR: true, unix.SYS_FREMOVEXATTR: true,
	unix.SYS_MKDIRAT: true, unix.SYS_LINKAT: true, unix.SYS_RENAMEAT: true, unix.SYS_RENAMEAT2: true, unix.SYS_UNLINKAT: true,
}

// killAt runs a victim and kills it before its nth call that changes something.
// It answers whether the victim made so many.
func (c *container) killAt(n int) (killed bool) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{victimOf + "=" + c.dir}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	c.must(err)
	stdout, err := cmd.StdoutPipe()
	c.must(err)
	c.must(cmd.Start())
	defer cmd.Wait()
	pid := cmd.Process.Pid
	defer unix.Kill(pid, unix.SIGKILL)
	_, err = stdout.Read(make([]byte, 1))
	c.must(err)
	c.must(unix.PtraceSeize(pid))
	c.must(unix.PtraceInterrupt(pid))
	var status unix.WaitStatus
	_, err = unix.Wait4(pid, &status, unix.WALL, nil)
	c.must(err)
	c.must(unix.PtraceSetOptions(pid, unix.PTRACE_O_TRACESYSGOOD|unix.PTRACE_O_EXITKILL))
	stdin.Write([]byte("g")) // go
	const syscallStop = unix.SIGTRAP | 0x80
	for calls := 0; ; {
		signal := 0
		switch {
		case status.Exited():
			if status.ExitStatus() != 0 {
				c.t.Fatalf("the victim failed: %s", stderr.String())
			}
			return false
		case status.StopSignal() == syscallStop:
			if nr, entering := c.call(pid); !entering || !changing[nr] {
				break
			}
			if calls++; calls == n {
				c.must(unix.Kill(pid, unix.SIGKILL))
				return true
			}
		case status.StopSignal() != unix.SIGTRAP:
			signal = int(status.StopSignal()) // of Go's runtime to itself
		}
		c.must(unix.PtraceSyscall(pid, signal))
		_, err := unix.Wait4(pid, &status, unix.WALL, nil)
		c.must(err)
	}
}

// call is the system call that a stopped process enters or leaves: ptrace(2),
// PTRACE_GET_SYSCALL_INFO, which is the same on every architecture.
func (c *container) call(pid int) (nr uint64, entering bool) {
	var info struct {
		op     uint8 // 1: PTRACE_SYSCALL_INFO_ENTRY
		_      [3]uint8
		arch   uint32
		ip, sp uint64
		nr     uint64
		args   [6]uint64
	}
	if _, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(pid), unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0); errno != 0 {
		c.t.Fatal("PTRACE_GET_SYSCALL_INFO:", errno)
	}
	return info.nr, info.op == 1
}
