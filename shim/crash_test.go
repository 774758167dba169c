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

	"golang.org/x/sys/unix"
)

const victimOf = "PODRELOAD_SHIM_TEST_VICTIM" // names the root that the victim works in

// oldFiles and newFiles are the two sets that a killed request may leave in any
// mixture. A nil is a file that is not there.
var (
	paths    = []string{"/etc/replaced", "/etc/fresh", "/etc/removed", "/etc/last"}
	oldFiles = map[string]*string{"/etc/replaced": text("old\n"), "/etc/removed": text("old\n"), "/etc/last": text("old\n")}
	newFiles = map[string]*string{"/etc/replaced": text("new\n"), "/etc/fresh": text("new\n"), "/etc/last": text("new\n")}
)

func text(s string) *string { return &s }

// applying is the request that leads to a set.
func applying(set map[string]*string) Request {
	req := Request{Op: Apply}
	for _, path := range paths {
		f := File{Path: path, Absent: set[path] == nil}
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

// A shim that is killed before any one of its system calls leaves every file
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
			t.Logf("%d system calls; %d times the set was mixed, %d times something hidden was left", n-1, mixed, hidden)
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

// killAt runs a victim and kills it before its nth system call. It answers
// whether the victim made so many.
func (c *container) killAt(n int) (killed bool) {
	cmd := exec.Command("/proc/self/exe")
	// No signals of the runtime's own.
	cmd.Env = []string{victimOf + "=" + c.dir, "GODEBUG=asyncpreemptoff=1", "GOGC=off"}
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
	for stops := 0; ; {
		signal := 0
		switch {
		case status.Exited():
			if status.ExitStatus() != 0 {
				c.t.Fatalf("the victim failed: %s", stderr.String())
			}
			return false
		case status.StopSignal() == syscallStop:
			// Each call stops twice; the first stop is the return of the read
			// that the victim waited in.
			if stops++; stops == 2*n {
				c.must(unix.Kill(pid, unix.SIGKILL))
				return true
			}
		case status.StopSignal() != unix.SIGTRAP:
			signal = int(status.StopSignal())
		}
		c.must(unix.PtraceSyscall(pid, signal))
		_, err := unix.Wait4(pid, &status, unix.WALL, nil)
		c.must(err)
	}
}
