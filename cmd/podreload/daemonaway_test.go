package main

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/podreload/podreload/daemonset/state"
	"github.com/podreload/podreload/daemonset/status"
)

// TestDaemonAway: who asks a daemon that is not there, that hangs or whose socket is gone is told which
// it is, and prints nothing.
func TestDaemonAway(t *testing.T) {
	pid := "process " + strconv.Itoa(os.Getpid())
	for name, tt := range map[string]struct {
		daemon, socket bool
		want           []string
	}{
		"none":           {want: []string{"no podreload daemon runs", "start podreload daemon"}},
		"without socket": {daemon: true, want: []string{pid, "nobody listens"}},
		"hangs":          {daemon: true, socket: true, want: []string{status.SocketName + ": context deadline exceeded", pid}},
	} {
		t.Run(name, func(t *testing.T) {
			dir, root := t.TempDir(), t.TempDir()
			if tt.daemon {
				store, err := state.Open(dir, root)
				if err != nil {
					t.Fatal(err)
				}
				defer store.Close()
				done, err := store.Daemon(t.Context(), "here")
				if err != nil {
					t.Fatal(err)
				}
				defer done()
			}
			if tt.socket {
				l, err := net.Listen("unix", filepath.Join(dir, status.SocketName)) // nobody accepts
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
			}
			for _, command := range []string{"status", "events"} {
				var stdout, stderr bytes.Buffer
				err := newApp(&stdout, &stderr).Run(t.Context(), []string{"podreload", "--config", "", "--state", dir, "--root", root, "-t", "100ms", command})
				if err == nil || stdout.Len() > 0 {
					t.Fatalf("%s: %v, prints %q", command, err, stdout.String())
				}
				for _, want := range tt.want {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%s: %q does not say %q", command, err, want)
					}
				}
				if strings.Contains(err.Error(), "http://") {
					t.Errorf("%s: %q", command, err)
				}
			}
		})
	}
}
