package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// startTimeout bounds the start of a node or an etcd on a slow, busy machine.
const startTimeout = 2 * time.Minute

// Lacking ends a test that this machine has not got what for: skipped, or failed under CI.
func Lacking(t testing.TB, why error) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// NeedsRoot is for a test that root alone can run.
func NeedsRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		Lacking(t, errors.New("needs root"))
	}
}

// Needs is for a test that needs root and the parts.
func Needs(t testing.TB) {
	t.Helper()
	NeedsRoot(t)
	if _, err := findParts(); err != nil {
		Lacking(t, err)
	}
}

// endWith closes with the test what was started for it.
func endWith(t testing.TB, what string, end func() error) {
	t.Cleanup(func() {
		if err := end(); err != nil {
			t.Errorf("close %s: %v", what, err)
		}
	})
}

// NewNode starts a node that ends with the test, which then fails if anything was left.
func NewNode(t testing.TB, v Version) *Node {
	t.Helper()
	Needs(t)
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	n, err := StartNode(ctx, NodeConfig{Version: v})
	if err != nil {
		t.Fatal(err)
	}
	endWith(t, "the node", n.Close)
	return n
}

// needsEtcd is for a test that needs an etcd of the parts.
func needsEtcd(t testing.TB, v Version) {
	t.Helper()
	if v == "" {
		return // it is in this process
	}
	p, err := findParts()
	if err == nil {
		_, err = os.Stat(p.etcd())
	}
	if err != nil {
		Lacking(t, err)
	}
}

// NewEtcd starts an etcd that ends with the test.
func NewEtcd(t testing.TB) *Etcd {
	t.Helper()
	return NewEtcdWith(t, EtcdConfig{})
}

// NewEtcdWith is NewEtcd of a certain etcd.
func NewEtcdWith(t testing.TB, config EtcdConfig) *Etcd {
	t.Helper()
	needsEtcd(t, config.Version)
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	e, err := StartEtcdWith(ctx, t.TempDir(), config)
	if err != nil {
		t.Fatal(err)
	}
	endWith(t, "etcd", e.Close)
	return e
}

// NewCluster starts an etcd of several members that ends with the test.
func NewCluster(t testing.TB, v Version, members int) *Cluster {
	t.Helper()
	needsEtcd(t, v)
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	c, err := StartCluster(ctx, t.TempDir(), v, members)
	if err != nil {
		t.Fatal(err)
	}
	endWith(t, "the cluster", c.Close)
	return c
}

// Shim is the path of podreload-shim, as [Binary] builds it.
func Shim(t testing.TB) string {
	t.Helper()
	return Binary(t, "podreload-shim")
}

var binaries struct {
	sync.Mutex
	paths map[string]string
}

// Binary builds cmd/NAME, once in a test process, and returns its path.
func Binary(t testing.TB, name string) string {
	t.Helper()
	binaries.Lock()
	defer binaries.Unlock()
	if path := binaries.paths[name]; path != "" {
		return path
	}
	path, err := build(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if binaries.paths == nil {
		binaries.paths = map[string]string{}
	}
	binaries.paths[name] = path
	return path
}

// build writes to build/test of the repository: a test process has no end at which it could
// delete a temporary folder. The name is unique until the file is whole.
func build(ctx context.Context, name string) (string, error) {
	root, err := Repository()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, "build", "test")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	tmp := fmt.Sprintf("%s.%d", path, os.Getpid())
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", tmp, "./cmd/"+name)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return path, os.Rename(tmp, path)
}
