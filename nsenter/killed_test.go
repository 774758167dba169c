package nsenter_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/shim"
)

// A copy of this program with agentOf in its environment, a container's pid, is an agent
// that crosses into it, by the binary that agentShim names.
const (
	agentOf   = "NSENTER_TEST_AGENT_OF"
	agentShim = "NSENTER_TEST_AGENT_SHIM"
)

// crossForGood crosses to where nothing ever comes back from.
func crossForGood(container, binary string) error {
	pid, err := strconv.Atoi(container)
	if err != nil {
		return err
	}
	p, err := nsenter.Pin(pid)
	if err != nil {
		return err
	}
	s, err := nsenter.Seal(binary)
	if err != nil {
		return err
	}
	request, err := shim.Request{Op: shim.Apply, Signal: int(unix.SIGHUP), Files: []shim.File{{Path: "/dead/dir/x"}}}.Encode()
	if err != nil {
		return err
	}
	_, err = s.Cross(context.Background(), p, p, request)
	return fmt.Errorf("it has come back: %w", errors.Join(err, errors.New("the filesystem was not dead")))
}

// TestAgentIsKilled: a shim ends with its agent, also where it hangs. Else it could put
// an old file in place when the next agent has long put a newer one there.
func TestAgentIsKilled(t *testing.T) {
	p := start(t, "plain")
	needsDead(t, p)
	agent := exec.Command("/proc/self/exe")
	agent.Env = []string{agentOf + "=" + strconv.Itoa(p.Pid()), agentShim + "=" + binary}
	agent.Stderr = os.Stderr
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	defer agent.Wait()
	defer agent.Process.Kill()
	hanging := pin(t, shimOf(t, agent.Process.Pid).Pid)
	if err := agent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // far less than a crossing's own deadline
	defer cancel()
	if err := hanging.Wait(ctx); err != nil {
		t.Errorf("the shim lives on: %v", err)
	}
}

// TestAgentIsKilledWhileChildIsHeld: the shim waits in the kernel for a child that a container holds, and ends with
// its agent all the same, and the child with it.
func TestAgentIsKilledWhileChildIsHeld(t *testing.T) {
	p := start(t, "quiet")
	runtime.LockOSThread() // ptrace(2): all requests of one tracer come from one thread
	defer runtime.UnlockOSThread()
	shim, life := trace(t, p, write(t, "/etc/x", ""))
	child := awaitBirth(t, shim)
	if err := life.Close(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(20*time.Second, func() { unix.Kill(-shim, unix.SIGKILL) })
	ended := make(map[int]bool)
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-shim, &status, unix.WALL, nil) // each thread, the messenger and the child
		if errors.Is(err, unix.ECHILD) {
			break
		}
		if err == nil && status.Stopped() {
			err = unix.PtraceCont(pid, 0)
		}
		if err != nil && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.ESRCH) { // it was killed in its stop
			t.Fatal(err)
		}
		if ended[pid] = status.Signaled(); ended[pid] && status.Signal() != unix.SIGKILL {
			t.Errorf("process %d ended by %v", pid, status.Signal())
		}
	}
	if !late.Stop() {
		t.Error("they lived on")
	}
	if !ended[shim] || !ended[child] {
		t.Errorf("the shim, %d, or the child, %d, was not killed: %v", shim, child, ended)
	}
}
