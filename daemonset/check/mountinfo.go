package check

import (
	"bytes"
	"fmt"
	"strings"
)

// mountPoints reads the mount points of this thread's mount namespace, the newest last.
func mountPoints() ([]string, error) {
	b, err := readFile("/proc/thread-self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("read the node's mounts: %w", err)
	}
	return parseMountinfo(b), nil
}

// parseMountinfo takes the fifth field of each line: proc_pid_mountinfo(5).
func parseMountinfo(b []byte) []string {
	var points []string
	for line := range bytes.Lines(b) {
		if fields := bytes.Fields(line); len(fields) > 4 {
			points = append(points, unescape(string(fields[4])))
		}
	}
	return points
}

// unescape undoes the kernel's octal for white space and the backslash.
func unescape(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && octal(s[i+1:i+4]) {
			out.WriteByte((s[i+1]-'0')<<6 | (s[i+2]-'0')<<3 | (s[i+3] - '0'))
			i += 3
			continue
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

func octal(s string) bool { return strings.Trim(s, "01234567") == "" && s[0] < '4' }
