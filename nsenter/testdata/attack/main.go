// Attack is what a hostile container runs while podreload crosses into it: it
// looks through /proc at every process that it can see, as fast as it can, and
// says on stdout what it got hold of that is not its own container's.
package main

import (
	"bytes"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// secret is in the environment and the memory of the program that crosses.
const secret = "agent-secret-"

// PIDFD_GETFD is pidfd_getfd(2) on every architecture.
const (
	pidfdOpen  = 434
	pidfdGetfd = 438
)

var self = os.Getpid()

func main() {
	hup := make(chan os.Signal, 64)
	signal.Notify(hup, syscall.SIGHUP)
	go func() {
		for range hup {
		}
	}()
	root := identity("/")
	say("attacking")
	for range 2 {
		go func() {
			for {
				proc, err := os.Open("/proc")
				if err != nil {
					panic(err)
				}
				names, _ := proc.Readdirnames(-1)
				proc.Close()
				for _, name := range names {
					if pid, err := strconv.Atoi(name); err == nil && pid != self {
						attack(pid, root)
					}
				}
			}
		}()
	}
	select {}
}

// attack takes from one process all that /proc and pidfd_getfd give.
func attack(pid int, root [2]uint64) {
	proc := fmt.Sprintf("/proc/%d", pid)
	say("seen %d", pid)
	tasks, _ := os.ReadDir(proc + "/task")
	dirs := []string{proc}
	for _, task := range tasks {
		dirs = append(dirs, proc+"/task/"+task.Name())
	}
	for _, dir := range dirs {
		for _, name := range []string{"root", "cwd"} {
			if id := identity(dir + "/" + name); id != root && id != [2]uint64{} {
				say("leak %s is not the container's root", name)
			}
		}
		fds, _ := os.ReadDir(dir + "/fd")
		for _, fd := range fds {
			target, err := os.Readlink(dir + "/fd/" + fd.Name())
			if err == nil && target != "anon_inode:[pidfd]" {
				say("leak descriptor %s", target)
			}
		}
		if b, _ := os.ReadFile(dir + "/environ"); len(b) > 0 {
			say("leak environment %q", b)
		}
		for _, ns := range []string{"mnt", "pid", "net", "ipc", "uts", "cgroup"} {
			theirs, err := os.Readlink(dir + "/ns/" + ns)
			ours, _ := os.Readlink("/proc/self/ns/" + ns)
			if err == nil && theirs != ours {
				say("leak %s namespace", ns)
			}
		}
	}
	network(proc)
	if exe, err := os.OpenFile(proc+"/exe", os.O_WRONLY, 0); err == nil {
		exe.Close()
		say("leak the binary can be written")
	}
	if status, err := os.ReadFile(proc + "/status"); err == nil && !bytes.Contains(status, []byte("CapEff:\t0000000000000020")) {
		say("leak other capabilities than KILL")
	}
	memory(proc)
	take(pid)
}

// network looks for sockets of another network than this one's, for which nobody needs to be
// permitted to trace.
func network(proc string) {
	theirs, _ := os.ReadFile(proc + "/net/unix")
	for line := range strings.Lines(string(theirs)) {
		if fields := strings.Fields(line); len(fields) > 7 && fields[7] != "Path" {
			say("leak network with socket %s", fields[7])
			return
		}
	}
}

// memory looks for the secret in everything that the process can write to.
func memory(proc string) {
	maps, _ := os.ReadFile(proc + "/maps")
	mem, err := os.Open(proc + "/mem")
	if err != nil {
		return
	}
	defer mem.Close()
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		var mode string
		fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode)
		if !strings.HasPrefix(mode, "rw") || to-from > 8<<20 {
			continue
		}
		b := make([]byte, to-from)
		n, _ := mem.ReadAt(b, from)
		if bytes.Contains(b[:max(n, 0)], []byte(secret)) {
			say("leak the memory holds the agent's secret")
		}
		if n > 0 {
			say("memory was read")
		}
	}
}

// take copies the process's descriptors into this one.
func take(pid int) {
	pidfd, _, errno := syscall.Syscall(pidfdOpen, uintptr(pid), 0, 0)
	if errno != 0 {
		return
	}
	defer syscall.Close(int(pidfd))
	for fd := range uintptr(8) {
		got, _, errno := syscall.Syscall(pidfdGetfd, pidfd, fd, 0)
		if errno != 0 {
			continue
		}
		if target, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", got)); target != "anon_inode:[pidfd]" {
			say("leak taken descriptor %s", target)
		}
		syscall.Close(int(got))
	}
}

func identity(path string) [2]uint64 {
	var st syscall.Stat_t
	if syscall.Stat(path, &st) != nil {
		return [2]uint64{}
	}
	return [2]uint64{st.Dev, st.Ino}
}

var said struct {
	sync.Mutex
	lines map[string]bool
}

// say prints a line once.
func say(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	said.Lock()
	defer said.Unlock()
	if said.lines == nil {
		said.lines = map[string]bool{}
	}
	if !said.lines[line] {
		said.lines[line] = true
		fmt.Println(line)
	}
}
