package check

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/testenv"
)

// TestRuntimeHangs: a runtime that waits for a server of a filesystem, which has its question and never
// answers, cannot be killed. As long as it hangs there is no other for the same container.
func TestRuntimeHangs(t *testing.T) {
	testenv.NeedsRoot(t)
	dir, asked, end := mute(t)
	pid, err := syscall.ForkExec("/bin/ls", []string{"ls", dir}, &syscall.ProcAttr{Sys: &syscall.SysProcAttr{Setsid: true}})
	if err != nil {
		t.Fatal(err)
	}
	<-asked
	c := &Checker{}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := c.await(ctx, pid, "one"); !errors.Is(err, nsenter.ErrDeadline) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("await: %v, want that it took too long", err)
	}
	if err := c.hanging.none(t.Context(), "one"); !errors.Is(err, ErrDeadline) {
		t.Errorf("another for the same container: %v, want %v", err, ErrDeadline)
	}
	if err := c.hanging.none(t.Context(), "two"); err != nil {
		t.Errorf("one for another container: %v", err)
	}
	end()
	if err := c.hanging.none(t.Context(), "one"); err != nil {
		t.Errorf("after its end: %v", err)
	}
	c.behind.Wait()
	if len(c.hanging.of) > 0 {
		t.Errorf("left: %v", c.hanging.of)
	}
}

// mute mounts a filesystem of FUSE that reads what it is asked and answers nothing, until its end: fuse(4).
// Asked is closed with the first question.
func mute(t *testing.T) (dir string, asked <-chan struct{}, end func()) {
	t.Helper()
	fuse, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		testenv.Lacking(t, err)
	}
	dir = t.TempDir()
	if err := unix.Mount("mute", dir, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fuse)); err != nil {
		t.Fatal(err)
	}
	question := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for buffer := make([]byte, 1<<20); ; {
			n, err := unix.Read(fuse, buffer)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil {
				return // unmounted
			}
			const header, initialize = 40, 26
			if n < header || binary.NativeEndian.Uint32(buffer[4:]) != initialize {
				close(question)
				return
			}
			reply := make([]byte, 16+64) // struct fuse_out_header, struct fuse_init_out
			binary.NativeEndian.PutUint32(reply, uint32(len(reply)))
			copy(reply[8:16], buffer[8:16])                  // which question
			binary.NativeEndian.PutUint32(reply[16:], 7)     // version 7.31
			binary.NativeEndian.PutUint32(reply[20:], 31)    //
			binary.NativeEndian.PutUint32(reply[36:], 1<<12) // largest write
			if _, err := unix.Write(fuse, reply); err != nil {
				return
			}
		}
	}()
	end = func() {
		unix.Unmount(dir, unix.MNT_FORCE|unix.MNT_DETACH) // answers all questions with an error
		<-ended
		unix.Close(fuse)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir, question, end
}
