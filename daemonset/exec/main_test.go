package exec_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/podreload/podreload/testenv"
)

// patience is how long a container may take on a slow and busy machine.
const patience = 2 * time.Minute

// parts are what the tests share, since a node costs seconds.
var parts struct {
	sync.Mutex
	nodes map[testenv.Version]*testenv.Node
}

func TestMain(m *testing.M) {
	code := m.Run()
	var errs []error
	for _, n := range parts.nodes {
		errs = append(errs, n.Close())
	}
	if err := errors.Join(errs...); err != nil {
		fmt.Fprintln(os.Stderr, "close the nodes:", err)
		code = 1
	}
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// sharedNode is the node of a version, which starts when first asked for.
func sharedNode(t testing.TB, v testenv.Version) *testenv.Node {
	t.Helper()
	testenv.Needs(t)
	parts.Lock()
	defer parts.Unlock()
	if n := parts.nodes[v]; n != nil {
		return n
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	n, err := testenv.StartNode(ctx, testenv.NodeConfig{Version: v})
	if err != nil {
		t.Fatal(err)
	}
	if parts.nodes == nil {
		parts.nodes = map[testenv.Version]*testenv.Node{}
	}
	parts.nodes[v] = n
	return n
}

// eachVersion runs a test on the nodes of both containerds.
func eachVersion(t *testing.T, test func(*testing.T, *testenv.Node)) {
	for _, v := range []testenv.Version{testenv.Debian, testenv.V2} {
		t.Run(string(v), func(t *testing.T) { test(t, sharedNode(t, v)) })
	}
}
