package inside

import (
	"bytes"
	"strconv"

	"golang.org/x/sys/unix"
)

// maxMaps bounds what is read of /proc/self/maps, in bytes. Go's runtime has
// some thirty mappings at its start, each with a line of about 60.
const maxMaps = 8 << 10

// warmth is how large a mapping may be that is touched ahead, in bytes. What is larger is
// Go's heap, and touched as it is needed.
const warmth = 128 << 10

// prepare does to this process's memory, while nobody waits, what makes its one
// request quick.
//
// No page but those of the program, and those that newMessenger gives it, goes to the messenger, and so to its child: madvise(2), MADV_DONTFORK. To clone
// them then copies hardly any page tables, which was most of what a clone cost (half of a whole
// crossing, measured), and leaves a container that traces the child little to read. It
// is an economy and no fence: there was no request yet.
//
// What the request will touch is mapped now (MADV_POPULATE_WRITE and _READ, of Linux
// 5.14): to do so page by page takes a twentieth of a crossing, measured.
//
// What cannot be done is left.
func prepare() {
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
		m, ok := parseMapping(line)
		if !ok {
			continue
		}
		if m.mode != "r-xp" {
			m.advise(unix.MADV_DONTFORK)
		}
		switch {
		case m.mode != "rw-p":
			m.advise(unix.MADV_POPULATE_READ)
		case m.end-m.start <= warmth: // the variables, and the runtime's own
			m.advise(unix.MADV_POPULATE_WRITE)
		}
	}
}

// mapping is a private mapping of memory.
type mapping struct {
	start, end uintptr
	mode       string
}

func (m mapping) advise(advice uintptr) {
	unix.RawSyscall(unix.SYS_MADVISE, m.start, m.end-m.start, advice)
}

// parseMapping reads a line of /proc/self/maps (proc(5)), if it is that of a private
// mapping that can be read.
func parseMapping(line []byte) (mapping, bool) {
	bounds, rest, _ := bytes.Cut(line, []byte(" "))
	mode, _, _ := bytes.Cut(rest, []byte(" "))
	low, high, _ := bytes.Cut(bounds, []byte("-"))
	start, errA := strconv.ParseUint(string(low), 16, 64)
	end, errB := strconv.ParseUint(string(high), 16, 64)
	m := mapping{uintptr(start), uintptr(end), string(mode)}
	return m, errA == nil && errB == nil && start < end && len(mode) == 4 && mode[0] == 'r' && mode[3] == 'p'
}
