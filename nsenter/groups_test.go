package nsenter_test

import (
	"os/exec"
	"syscall"
	"testing"

	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/testenv"
)

// A process has as many groups as the kernel has room for, which CAP_SETGID permits, and its status
// names them all before what is looked for.
func TestInfoOfManyGroups(t *testing.T) {
	testenv.NeedsRoot(t)
	groups := make([]uint32, 65536) // NGROUPS_MAX
	for i := range groups {
		groups[i] = 4294967294 - uint32(i)
	}
	cmd := exec.Command("sleep", "100")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Groups: groups}}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	info, err := nsenter.ReadInfo(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if info.NSPid != cmd.Process.Pid {
		t.Errorf("NSPid is %d, want %d", info.NSPid, cmd.Process.Pid)
	}
}
