package main

import (
	"fmt"
	"os"
	"regexp"
	goruntime "runtime"
	"strings"

	"golang.org/x/sys/unix"
)

var model = regexp.MustCompile(`(?m)^model name\s*: (.*)$`)

// machine says what the numbers were measured on.
func machine() string {
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

// loadAverage is that of the last minute.
func loadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(text), " ")
	return first
}
