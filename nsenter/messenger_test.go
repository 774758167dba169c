package nsenter_test

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/shim"
	"github.com/podreload/podreload/testenv"
)

// The messenger waits beside its shim with one end of a line. It is nobody's user, and may make one process.
func TestMessengerHoldsNothing(t *testing.T) {
	p, s := start(t, "plain"), sealed(t)
	shim, end := hanging(t, p, s)
	defer end()
	messenger := messengerOf(t, shim.Pid)

	proc := fmt.Sprintf("/proc/%d", messenger)
	if fds := descriptors(t, proc); len(fds) != 1 || !strings.HasPrefix(fds[0], "socket:") {
		t.Errorf("it holds %v", fds)
	}
	if kept := dataOf(t, proc); len(kept) > 0 {
		t.Errorf("it has the shim's variables or stack: %q", kept)
	}
	status := status(t, messenger)
	user, _, _ := strings.Cut(status["Uid"], "\t")
	if n, err := strconv.ParseUint(user, 10, 32); err != nil || n < 1<<31 {
		t.Errorf("its user is %s", user)
	}
	for key, want := range map[string]string{
		"Threads": "1", "NoNewPrivs": "1", "Seccomp": "2", "Uid": strings.Join([]string{user, user, user, user}, "\t"),
		"CapInh": "0000000000000000", "CapAmb": "0000000000000000", "SigBlk": "fffffffffffbfeff",
	} {
		if status[key] != want {
			t.Errorf("%s is %q, want %q", key, status[key], want)
		}
	}
	limits, err := os.ReadFile(proc + "/limits")
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Fields("Max processes 2 2 processes"); !strings.Contains(strings.Join(strings.Fields(string(limits)), " "), strings.Join(want, " ")) {
		t.Errorf("its limits are\n%s", limits)
	}
}

// messengerOf awaits the child of a shim that has shed what it came with.
func messengerOf(t *testing.T, shim int) (pid int) {
	t.Helper()
	testenv.Await(t, func() bool {
		children, err := nsenter.Children(shim)
		if err != nil || len(children) != 1 {
			return false
		}
		pid = children[0]
		return statusOf(t, fmt.Sprintf("/proc/%d", pid))["Seccomp"] == "2"
	})
	return pid
}

// Whether it had an errand or not, a shim that has answered ends its messenger, and leaves no zombie to init.
func TestMessengerEnds(t *testing.T) {
	p := start(t, "quiet")
	for name, signal := range map[string]*nsenter.Process{"no signal": nil, "signal": p.Process} {
		t.Run(name, func(t *testing.T) {
			s := sealed(t)
			s.KeepSpare()
			process := spareShim(t, make(map[int]bool))
			messenger := messengerOf(t, process.Pid())
			if _, err := s.Cross(t.Context(), p.Process, signal, write(t, "/etc/x", name)); err != nil {
				t.Fatal(err)
			}
			if err := process.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			if info, err := nsenter.ReadInfo(messenger); !errors.Is(err, nsenter.ErrGone) {
				t.Errorf("the messenger is still there: %+v, %v", info, err)
			}
		})
	}
}

// That the messenger is ended, as by the kernel for want of memory, is no answer, and no container is blamed for it.
func TestMessengerIsKilled(t *testing.T) {
	p, s := start(t, "quiet"), sealed(t)
	s.KeepSpare()
	messenger := messengerOf(t, spareShim(t, make(map[int]bool)).Pid())
	if err := unix.Kill(messenger, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	testenv.Await(t, func() bool { return statusOf(t, fmt.Sprintf("/proc/%d", messenger))["State"] == "Z (zombie)" })
	reply, err := s.Cross(t.Context(), p.Process, p.Process, write(t, "/etc/x", ""))
	if err != nil {
		t.Fatal(err)
	}
	res, err := shim.DecodeResult(reply)
	if err != nil {
		t.Fatal(err)
	}
	if res.Signalled || res.Error == nil || !strings.Contains(res.Error.Error(), "by none in the container") {
		t.Errorf("signalled: %v, %v", res.Signalled, res.Error)
	}
}
