package verify

import (
	"bytes"
	"fmt"
	"strconv"
	"syscall"

	"github.com/podreload/podreload/nsenter"
)

// Caps on what is read of a file in /proc.
const (
	maxStatus = 1 << 20 // a process may have 65536 groups, which stand before the signals
	maxTitle  = 64      // the prefixes of presets are shorter
)

// mask is what /proc/PID/status says of one signal (proc_pid_status(5), SigPnd,
// ShdPnd and SigBlk).
type mask struct {
	pending bool // sent and not taken yet
	blocked bool // kept off by the process
}

func (m mask) idle() bool { return !m.pending && !m.blocked }

// readMask reads the mask of a process's main thread, which the kernel prints
// under the lock that guards it: both parts are of one moment.
func readMask(pid int, sig syscall.Signal) (mask, error) {
	b, err := nsenter.ReadProc(pid, "status", maxStatus)
	if err != nil {
		return mask{}, err
	}
	m, err := parseMask(b, sig)
	if err != nil {
		return mask{}, fmt.Errorf("read /proc/%d/status: %w", pid, err)
	}
	return m, nil
}

func parseMask(status []byte, sig syscall.Signal) (mask, error) {
	var m mask
	seen := 0
	for line := range bytes.Lines(status) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		var to *bool
		switch string(name) {
		case "SigPnd", "ShdPnd":
			to = &m.pending
		case "SigBlk":
			to = &m.blocked
		default:
			continue
		}
		bits, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 16, 64)
		if err != nil {
			return mask{}, fmt.Errorf("%s: %w", name, err)
		}
		*to = *to || bits>>(sig-1)&1 == 1
		seen++
	}
	if seen != 3 {
		return mask{}, fmt.Errorf("%d of the 3 signal masks are there", seen)
	}
	return m, nil
}

// hasWaited says whether the process has gone to sleep by itself yet (proc_pid_status(5),
// voluntary_ctxt_switches, of its main thread), as every server does for a connection.
func hasWaited(pid int) (bool, error) {
	b, err := nsenter.ReadProc(pid, "status", maxStatus)
	if err != nil {
		return false, gone(pid, err)
	}
	_, after, _ := bytes.Cut(b, []byte("\nvoluntary_ctxt_switches:"))
	number, _, _ := bytes.Cut(after, []byte("\n"))
	n, err := strconv.ParseUint(string(bytes.TrimSpace(number)), 10, 64)
	if err != nil {
		return false, fmt.Errorf("read /proc/%d/status: voluntary_ctxt_switches: %w", pid, err)
	}
	return n > 0, nil
}

// readTitle is the beginning of a process's command line, which is where
// servers put their titles. It is the container's to write, and lies in its
// memory: a process whose arguments are mapped from a filesystem that never
// answers makes the read hang. So it is read only while one target is proved,
// never to find a server.
func readTitle(pid int) (string, error) {
	b, err := nsenter.ReadProc(pid, "cmdline", maxTitle)
	return string(b), err
}
