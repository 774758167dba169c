// Player plays one process of a tree for the tests of package verify: real
// processes with real parents, cgroups and signal handlers, whose names and
// titles say whatever a test wants.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// node is the process to play; the test has the same type.
type node struct {
	Name     string
	Title    string
	Cgroup   string
	Ignore   bool
	Block    bool
	Exit     bool
	Listen   bool
	Children []node
}

type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

var children = map[int]*child{}

func main() {
	runtime.LockOSThread() // the children of fork end with their parent's thread
	if err := play(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// play starts the children, says its pid when they are ready, and obeys the
// lines on stdin until that ends.
func play() error {
	var n node
	if err := json.Unmarshal([]byte(os.Getenv("NODE")), &n); err != nil {
		return err
	}
	if n.Cgroup != "" {
		if err := os.WriteFile(filepath.Join(n.Cgroup, "cgroup.procs"), []byte("0"), 0); err != nil {
			return err
		}
	}
	if n.Ignore {
		signal.Ignore(syscall.SIGHUP)
	} else {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	if n.Block {
		set := unix.Sigset_t{Val: [16]uint64{1 << (unix.SIGHUP - 1)}}
		if err := unix.PthreadSigmask(unix.SIG_BLOCK, &set, nil); err != nil {
			return err
		}
	}
	if n.Listen {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer l.Close()
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		defer r.Close()
		defer w.Close()
	}
	for _, c := range n.Children {
		if _, err := start(c); err != nil {
			return err
		}
	}
	fmt.Println(os.Getpid())
	if n.Exit {
		return nil
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		answer, err := obey(lines.Text(), n)
		if err != nil {
			return err
		}
		fmt.Println(answer)
	}
	for _, c := range children {
		c.in.Close()
		c.cmd.Wait()
	}
	return nil
}

// obey does "start NODE", "kill PID", "title PID TITLE", "retitle TITLE", "spin" and "sleep".
func obey(line string, n node) (int, error) {
	verb, rest, _ := strings.Cut(line, " ")
	if verb == "start" {
		var n node
		if err := json.Unmarshal([]byte(rest), &n); err != nil {
			return 0, err
		}
		return start(n)
	}
	if verb == "retitle" { // the same process, under another title
		b, err := json.Marshal(node{Name: n.Name, Title: rest})
		if err != nil {
			return 0, err
		}
		return 0, syscall.Exec("/proc/self/exe", []string{rest}, []string{"NODE=" + string(b)})
	}
	if verb == "spin" || verb == "sleep" {
		return fork(verb == "sleep")
	}
	word, title, _ := strings.Cut(rest, " ")
	pid, err := strconv.Atoi(word)
	if err != nil {
		return 0, err
	}
	c := children[pid]
	switch {
	case c == nil:
		return 0, errors.New("whose child is " + word)
	case verb == "kill":
		delete(children, pid)
		c.cmd.Process.Kill()
		c.cmd.Wait()
		return pid, nil
	case verb == "title":
		fmt.Fprintln(c.in, "retitle", title)
		return c.answer()
	}
	return 0, errors.New("what is " + line)
}

// start starts a child and waits until it and all below it are ready, or gone.
func start(n node) (int, error) {
	b, err := json.Marshal(n)
	if err != nil {
		return 0, err
	}
	cmd := &exec.Cmd{
		// The executables are links beside each other.
		Path:   filepath.Join(filepath.Dir(self), n.Name),
		Args:   []string{n.Name},
		Env:    []string{"NODE=" + string(b)},
		Stderr: os.Stderr,
	}
	if n.Title != "" {
		cmd.Args[0] = n.Title
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return 0, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	c := &child{cmd, in, bufio.NewReader(out)}
	pid, err := c.answer()
	if n.Exit {
		io.Copy(io.Discard, c.out)
	}
	children[pid] = c
	return pid, err
}

// fork starts a child that executes nothing, as servers do, and sleeps or runs until its parent
// ends. What it runs makes system calls and uses no memory of Go's, whose runtime is not there.
func fork(sleep bool) (int, error) {
	pid, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	switch {
	case errno != 0:
		return 0, errno
	case pid > 0:
		return int(pid), nil
	}
	syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0)
	for {
		if sleep {
			syscall.RawSyscall6(syscall.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
		}
	}
}

func (c *child) answer() (int, error) {
	line, err := c.out.ReadString('\n')
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(line))
}

var self, _ = os.Executable()
