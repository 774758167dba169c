package main

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/podreload/podreload/daemonset/status"
	"github.com/podreload/podreload/testenv"
)

// TestWakeAfterInterrupt: what was noted before ^C counts, so the daemon is told of it all the same.
func TestWakeAfterInterrupt(t *testing.T) {
	dir, conf := t.TempDir(), t.TempDir()
	if err := testenv.WriteTree(conf, testenv.ExperimentConf()); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, status.SocketName))
	if err != nil {
		t.Fatal(err)
	}
	woken := make(chan string, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		woken <- r.URL.Path
		w.WriteHeader(http.StatusNoContent)
	}))
	server.Listener = l
	server.Start()
	defer server.Close()

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	args := []string{"podreload", "--config", "", "--confdir", conf, "--state", dir, "--root", t.TempDir(), "pause", "--profile", "web"}
	if err := newApp(&stdout, &stderr).Run(ctx, args); err != nil {
		t.Fatal(err)
	}
	select {
	case path := <-woken:
		if path != "/v1/wake" {
			t.Errorf("asked for %s", path)
		}
	default:
		t.Errorf("the daemon was not woken: %s", stderr.String())
	}
	if stderr.Len() > 0 {
		t.Errorf("stderr: %s", stderr.String())
	}
}
