package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/podreload/podreload/testenv"
)

// process is a child.
type process struct {
	cmd    *exec.Cmd
	exited <-chan struct{}
	ask    io.WriteCloser
	told   *json.Decoder
	stderr bytes.Buffer // read when it has ended
}

// spawn starts a child and waits until it serves.
func spawn(args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(self, append([]string{"--"}, args...)...)}
	p.cmd.Stderr = &p.stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if p.ask, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	p.told = json.NewDecoder(bufio.NewReader(out))
	if p.exited, err = testenv.Start(p.cmd); err != nil {
		return nil, err
	}
	if err := p.told.Decode(&told{}); err != nil {
		_ = p.cmd.Process.Kill()
		<-p.exited
		return nil, fmt.Errorf("start %s: %w; it says: %s", args[0], err, p.stderr.String())
	}
	return p, nil
}

// tell asks how it fares.
func (p *process) tell() (t told, err error) {
	if _, err = io.WriteString(p.ask, "\n"); err == nil {
		err = p.told.Decode(&t)
	}
	return t, err
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // that it has ended shows
	<-p.exited
}

// cpu is the processor time that a process has taken: proc_pid_stat(5).
func (p *process) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(text), ") ") // its name is ours: without a bracket
	fields := strings.Fields(after)
	const user, system, tick = 11, 12, 10 * time.Millisecond
	if len(fields) <= system {
		return 0, fmt.Errorf("/proc/%d/stat is short", p.cmd.Process.Pid)
	}
	u, err1 := strconv.ParseInt(fields[user], 10, 64)
	s, err2 := strconv.ParseInt(fields[system], 10, 64)
	if err1 != nil || err2 != nil {
		return 0, fmt.Errorf("/proc/%d/stat has no times", p.cmd.Process.Pid)
	}
	return time.Duration(u+s) * tick, nil
}

// traffic is what this process has read and written: proc_pid_io(5).
func traffic() (sum int64, err error) {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0, err
	}
	var read, written int64
	if _, err := fmt.Sscanf(string(text), "rchar: %d\nwchar: %d\n", &read, &written); err != nil {
		return 0, fmt.Errorf("/proc/self/io: %w", err)
	}
	return read + written, nil
}
