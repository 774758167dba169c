package inside

import (
	"bytes"
	"strconv"

	"golang.org/x/sys/unix"
)

// maxMaps bounds what is read of /proc/self/maps, in bytes. Go's runtime has
// some thirty mappings at its start.
const maxMaps = 64 << 10

// forgetful keeps every page that this process can write to now from its child,
// but those that cloneAndSignal takes back for its own frame: madvise(2),
// MADV_DONTFORK. To clone it then copies hardly any page tables, which is most of
// what a clone costs (half of a whole crossing, measured), and leaves a container
// that traces the child little to read. It is an economy and no fence: what the
// runtime takes later is copied, and what cannot be done is left.
func forgetful() {
	fd, err := unix.Open("/proc/self/maps", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	maps := make([]byte, maxMaps)
	n := 0
	for n < len(maps) {
		m, err := unix.Read(fd, maps[n:])
		if m <= 0 || err != nil {
			break
		}
		n += m
	}
	for line := range bytes.Lines(maps[:n]) {
		if start, end, ok := writable(line); ok {
			unix.RawSyscall(unix.SYS_MADVISE, start, end-start, unix.MADV_DONTFORK)
		}
	}
}

// writable takes the range out of a line of /proc/self/maps (proc(5)), if it is
// that of a private writable mapping.
func writable(line []byte) (start, end uintptr, ok bool) {
	bounds, rest, _ := bytes.Cut(line, []byte(" "))
	low, high, _ := bytes.Cut(bounds, []byte("-"))
	a, errA := strconv.ParseUint(string(low), 16, 64)
	b, errB := strconv.ParseUint(string(high), 16, 64)
	ok = errA == nil && errB == nil && a < b && bytes.HasPrefix(rest, []byte("rw-p"))
	return uintptr(a), uintptr(b), ok
}
