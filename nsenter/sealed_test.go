package nsenter_test

import (
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/testenv"
)

// Who sees a shim (a container with the node's PID namespace, say) cannot write
// to the binary that the agent runs: not while it runs, and not by a descriptor
// that outlives it (CVE-2019-5736).
func TestBinaryIsSealed(t *testing.T) {
	p, s := start(t, "plain"), sealed(t)
	info, end := hanging(t, p, s)
	defer end()
	shim := pin(t, info.Pid)
	exe := fmt.Sprintf("/proc/%d/exe", shim.Pid())
	if fd, err := unix.Open(exe, unix.O_WRONLY|unix.O_CLOEXEC, 0); !errors.Is(err, unix.ETXTBSY) {
		t.Errorf("opened to be written while it runs: %d, %v; want ETXTBSY", fd, err)
	}
	kept, err := unix.Open(exe, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(kept)
	end()
	if err := shim.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}

	var fd int
	testenv.Await(t, func() bool { // its messenger ends after it, and runs the same program
		fd, err = unix.Open(fmt.Sprintf("/proc/self/fd/%d", kept), unix.O_RDWR|unix.O_CLOEXEC, 0)
		return !errors.Is(err, unix.ETXTBSY)
	})
	if err != nil {
		t.Fatalf("opened again: %v; then this test shows nothing", err)
	}
	_, mapped := unix.Mmap(fd, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	_, written := unix.Pwrite(fd, []byte("#!/bin/sh\n"), 0)
	_, unsealed := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, 0)
	for what, err := range map[string]error{
		"written": written, "mapped": mapped, "sealed otherwise": unsealed,
		"made shorter": unix.Ftruncate(fd, 0), "made longer": unix.Ftruncate(fd, 64<<20), "punched": unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 4096),
	} {
		if !errors.Is(err, unix.EPERM) {
			t.Errorf("%s: %v, want EPERM", what, err)
		}
	}
	unix.Close(fd) // what is open to be written is not executed
	if _, err := s.Cross(t.Context(), p.Process, nil, write(t, "/etc/x", "")); err != nil {
		t.Errorf("the next request: %v", err)
	}
}
