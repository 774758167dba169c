package source

import (
	"flag"
	"os"
	"testing"

	"github.com/podreload/podreload/testenv"
)

// TestMain runs more tests at once than there are cores: most of what they do
// is to wait for an etcd that comes or goes.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		os.Exit(2)
	}
	testenv.Main(m)
}
