package source

import (
	"flag"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain runs more tests at once than there are cores: most of what they do
// is to wait for an etcd that comes or goes.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		os.Exit(2)
	}
	// An embedded etcd that is stopped while another member asks for its version leaves that
	// request waiting for a lock of its closed database: etcd's own goroutine, not ours.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("go.etcd.io/etcd/server/v3/etcdserver.(*EtcdServer).StorageVersion"))
}
