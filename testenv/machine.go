package testenv

import (
	"fmt"
	"os"
	"regexp"
	goruntime "runtime"
	"strings"

	"golang.org/x/sys/unix"
)

var model = regexp.MustCompile(`(?m)^model name\s*: (.*)$`)

// Machine says what the numbers were measured on.
func Machine() string {
	var u unix.Utsname
	_ = unix.Uname(&u) // a name of nothing is seen to be wrong
	cpu := goruntime.GOARCH
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if m := model.FindSubmatch(info); m != nil {
			cpu = string(m[1])
		}
	}
	return fmt.Sprintf("Linux %s, %d CPUs (%s)", unix.ByteSliceToString(u.Release[:]), goruntime.NumCPU(), cpu)
}

// LoadAverage is that of the last minute.
func LoadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(text), " ")
	return first
}
