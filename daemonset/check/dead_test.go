package check_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/daemonset/check"
	"github.com/podreload/podreload/testenv"
)

// mute mounts a filesystem that is there, and never answers what is in it (fuse(4)).
func mute(t *testing.T, dir string) (end func()) {
	t.Helper()
	fuse, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("mute", dir, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fuse)); err != nil {
		unix.Close(fuse)
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for request := make([]byte, 1<<20); ; {
			n, err := unix.Read(fuse, request)
			if err == unix.EINTR || err == nil && (n < 16 || binary.NativeEndian.Uint32(request[4:]) != 26) {
				continue // of all but FUSE_INIT the answer is awaited for good
			}
			if err != nil {
				return // unmounted
			}
			reply := make([]byte, 16+64) // fuse_out_header and fuse_init_out of linux/fuse.h
			binary.NativeEndian.PutUint32(reply, uint32(len(reply)))
			copy(reply[8:16], request[8:16])
			binary.NativeEndian.PutUint32(reply[16:], 7)
			binary.NativeEndian.PutUint32(reply[20:], 31)
			binary.NativeEndian.PutUint32(reply[36:], 1<<12)
			unix.Write(fuse, reply)
		}
	}()
	return func() {
		if err := unix.Unmount(dir, unix.MNT_FORCE|unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
		<-ended
		unix.Close(fuse)
	}
}

// TestDeadBelow has a volume that is a folder inside a filesystem whose server is away: to look at it
// asks the server.
func TestDeadBelow(t *testing.T) {
	for _, readOnly := range []bool{true, false} {
		t.Run(fmt.Sprint("read-only ", readOnly), func(t *testing.T) {
			r := newRig(t, testenv.SharedNode(t, testenv.V2))
			remote := t.TempDir()
			volume := filepath.Join(remote, "www")
			if err := os.Mkdir(volume, 0o755); err != nil {
				t.Fatal(err)
			}
			_, c := r.pod(testenv.PodConfig{}, testenv.ContainerConfig{Mounts: []testenv.Mount{{HostPath: volume, ContainerPath: "/data", ReadOnly: readOnly}}})
			end := sync.OnceFunc(mute(t, remote))
			defer end()
			for range 2 { // the second is told by what the first has left
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				_, err := r.checker.Check(ctx, r.trial(c, nil, "true"))
				cancel()
				if !errors.Is(err, check.ErrDeadline) {
					t.Errorf("%v, want ErrDeadline", err)
				}
			}
			end()
			if _, err := r.check(r.trial(c, nil, "true")); err != nil {
				t.Errorf("with the volume back: %v", err)
			}
		})
	}
}
