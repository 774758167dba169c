package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
)

// shared are the nodes that the tests of a package share, since a node costs seconds. Pods
// stay until the node ends.
var shared struct {
	sync.Mutex
	nodes map[Version]*Node
}

// SharedNode is the package's node of a version, which starts when first asked for and ends
// with [Main].
func SharedNode(t testing.TB, v Version) *Node {
	t.Helper()
	Needs(t)
	shared.Lock()
	defer shared.Unlock()
	if n := shared.nodes[v]; n != nil {
		return n
	}
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	n, err := StartNode(ctx, NodeConfig{Version: v})
	if err != nil {
		t.Fatal(err)
	}
	if shared.nodes == nil {
		shared.nodes = map[Version]*Node{}
	}
	shared.nodes[v] = n
	return n
}

// EachVersion runs a test on the shared nodes of both containerds.
func EachVersion(t *testing.T, test func(*testing.T, *Node)) {
	for _, v := range []Version{Debian, V2} {
		t.Run(string(v), func(t *testing.T) { test(t, SharedNode(t, v)) })
	}
}

// Main is the TestMain of a package with shared nodes: it runs the tests, ends the nodes and
// what else is to end, and fails if a goroutine is left. It does not return.
func Main(m *testing.M, end ...func() error) {
	code := m.Run()
	var errs []error
	for _, n := range shared.nodes {
		errs = append(errs, n.Close())
	}
	for _, f := range end {
		errs = append(errs, f())
	}
	if err := errors.Join(errs...); err != nil {
		fmt.Fprintln(os.Stderr, "close what the tests share:", err)
		code = 1
	}
	if code == 0 {
		if err := Leaks(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}
