package agent_test

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/podreload/podreload/testenv"
)

// parts are what the tests of this package share beside nodes, on which each test chooses its
// pods by its own labels.
var parts struct {
	sync.Mutex
	etcd *testenv.Etcd
	dir  string // etcd's
}

func TestMain(m *testing.M) {
	testenv.Main(m, func() error {
		if parts.etcd == nil {
			return nil
		}
		return errors.Join(parts.etcd.Close(), os.RemoveAll(parts.dir))
	})
}

// sharedEtcd is an etcd that no test stops.
func sharedEtcd(t testing.TB) *testenv.Etcd {
	t.Helper()
	parts.Lock()
	defer parts.Unlock()
	if parts.etcd != nil {
		return parts.etcd
	}
	dir, err := os.MkdirTemp("", "podreload-agent-")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	e, err := testenv.StartEtcd(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	parts.etcd, parts.dir = e, dir
	return e
}
