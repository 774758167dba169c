package nsenter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestRefillOnce: of crossings that end at once one starts the next spare, and none where there is one.
func TestRefillOnce(t *testing.T) {
	s, err := Seal("/bin/cat") // ends with its socket, as a shim does
	if err != nil {
		t.Fatal(err)
	}
	s.spare = make(chan *running, 1)
	started := executions(t, s.fd)
	for range 2 {
		var ended sync.WaitGroup
		for range 24 {
			ended.Go(s.refill)
		}
		ended.Wait()
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if n := started(); n != 1 {
		t.Errorf("%d were started, want one", n)
	}
}

// executions counts how often the file of a descriptor has been executed since: fanotify(7).
func executions(t *testing.T, fd int) func() int {
	t.Helper()
	group, err := unix.FanotifyInit(unix.FAN_CLASS_NOTIF|unix.FAN_CLOEXEC|unix.FAN_NONBLOCK, unix.O_RDONLY|unix.O_CLOEXEC)
	if err == nil {
		t.Cleanup(func() { unix.Close(group) })
		err = unix.FanotifyMark(group, unix.FAN_MARK_ADD, unix.FAN_OPEN_EXEC, unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd))
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() (n int) {
		const header = 24 // struct fanotify_event_metadata: length first, the file's descriptor at 16
		for events := make([]byte, 64<<10); ; {
			size, err := unix.Read(group, events)
			if errors.Is(err, unix.EAGAIN) {
				return n
			}
			if err != nil {
				t.Fatal(err)
			}
			for e := events[:size]; len(e) >= header; e = e[binary.NativeEndian.Uint32(e):] {
				unix.Close(int(int32(binary.NativeEndian.Uint32(e[16:]))))
				n++
			}
		}
	}
}
