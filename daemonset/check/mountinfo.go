package check

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// mountPoint is where something is mounted, what kind of filesystem it is, and what of it does
// not count there.
type mountPoint struct {
	path, kind   string
	denies       []string // of denials
	device, root string   // whose files, and from where on, it shows
}

// denials are the options of a mount that take something from who is in it.
var denials = []string{"nosuid", "nodev", "noexec"}

// mountPoints reads the mount points of this thread's mount namespace, the newest last.
func mountPoints() ([]mountPoint, error) { return mountPointsOf("thread-self") }

// mountPointsOf reads those of a process, by its folder in /proc.
func mountPointsOf(process string) ([]mountPoint, error) {
	b, err := readFile("/proc/" + process + "/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("read the mounts: %w", err)
	}
	return parseMountinfo(b), nil
}

// parseMountinfo takes the third to the sixth field of each line, and the first behind the hyphen
// that ends the optional ones: proc_pid_mountinfo(5).
func parseMountinfo(b []byte) []mountPoint {
	var points []mountPoint
	for line := range bytes.Lines(b) {
		fields := strings.Fields(string(line))
		if len(fields) <= 4 {
			continue
		}
		p := mountPoint{path: unescape(fields[4]), device: fields[2], root: unescape(fields[3])}
		if i := slices.Index(fields, "-"); i > 5 && i+1 < len(fields) {
			p.kind = fields[i+1]
			for option := range strings.SplitSeq(fields[5], ",") {
				if slices.Contains(denials, option) {
					p.denies = append(p.denies, option)
				}
			}
		}
		points = append(points, p)
	}
	return points
}

// mountOf is the mount that a path is on.
func mountOf(points []mountPoint, path string) mountPoint {
	var at mountPoint
	for _, p := range points { // of two on one point the newer hides the other
		if (path == p.path || below(path, p.path)) && len(p.path) >= len(at.path) {
			at = p
		}
	}
	return at
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
