package shim

import (
	"os"
	"runtime"
	"testing"

	"github.com/podreload/podreload/testenv"
)

// The main goroutine stays on the main thread, so that who traces the process
// sees what it does.
func init() { runtime.LockOSThread() }

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimOf); dir != "" {
		victim(dir)
	}
	testenv.Main(m)
}
