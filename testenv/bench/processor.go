package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

// tick is the unit of /proc's processor times: USER_HZ, which is 100 on all that Go runs on.
const tick = 10 * time.Millisecond

// processor is what processes have used, those of their children included that were reaped:
// proc_pid_stat(5), fields 14 to 17. It is cut to whole ticks, so single reloads are to be summed up.
func processor(pids ...int) (sum time.Duration, err error) {
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, err
		}
		// The name, in parentheses, may hold anything.
		fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
		ticks, err := total(fields, 14-3, 15-3, 16-3, 17-3)
		if err != nil {
			return 0, fmt.Errorf("process %d: %w", pid, err)
		}
		sum += ticks
	}
	return sum, nil
}

// machine is what all processes of the node have used, and the kernel for them: proc_stat(5),
// all of the first line but what was idle or stolen.
func machine() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	return total(bytes.Fields(line), 1, 2, 3, 6, 7)
}

func total(fields [][]byte, which ...int) (sum time.Duration, err error) {
	for _, i := range which {
		if i >= len(fields) {
			return 0, errors.New("too few fields of /proc")
		}
		n, err := strconv.ParseInt(string(fields[i]), 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(n) * tick
	}
	return sum, nil
}
