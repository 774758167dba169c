package pods

import (
	"errors"
	"io/fs"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/testenv"
)

func TestSocketPath(t *testing.T) {
	t.Chdir("/")
	tests := []struct{ socket, want, err string }{
		{socket: "/run/containerd/containerd.sock", want: "/run/containerd/containerd.sock"},
		{socket: "unix:///run/containerd/containerd.sock", want: "/run/containerd/containerd.sock"},
		{socket: "run/../c.sock", want: "/c.sock"},
		{socket: "unix://c.sock", want: "/c.sock"},
		{socket: "", err: "not a path"},
		{socket: "unix://", err: "not a path"},
		{socket: "tcp://127.0.0.1:1", err: "not a path"},
		{socket: "/" + strings.Repeat("x", 107), err: "at most 107"},
	}
	for _, tt := range tests {
		got, err := SocketPath(tt.socket)
		if got != tt.want || (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("SocketPath(%q) = %q, %v; want %q, %q", tt.socket, got, err, tt.want, tt.err)
		}
	}
}

func TestDialMissing(t *testing.T) {
	_, err := Dial(filepath.Join(t.TempDir(), "c.sock"), "k8s.io")
	if !errors.Is(err, ErrAway) || !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "--runtime-endpoint") {
		t.Errorf("got %v, want ErrAway and fs.ErrNotExist, with advice", err)
	}
}

func TestDialNotPermitted(t *testing.T) {
	testenv.NeedsRoot(t) // to become someone else
	path := filepath.Join(t.TempDir(), "c.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	done := make(chan error)
	go func() {
		// The filesystem's uid is the thread's alone, and it takes
		// CAP_DAC_OVERRIDE with it (capabilities(7)). Never unlocked, the
		// thread ends with the goroutine.
		runtime.LockOSThread()
		if err := unix.Setfsuid(65534); err != nil {
			done <- err
			return
		}
		_, err := Dial(path, "k8s.io")
		done <- err
	}()
	if err := <-done; !errors.Is(err, ErrAway) || !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "root") {
		t.Errorf("got %v, want ErrAway and fs.ErrPermission, with advice", err)
	}
}

func TestDialNoNamespace(t *testing.T) {
	if _, err := Dial("/c.sock", ""); err == nil || !strings.Contains(err.Error(), "k8s.io") {
		t.Errorf("got %v, want an error that names k8s.io", err)
	}
}
