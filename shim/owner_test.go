package shim

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

var ranges = []IDMap{{0, 100000, 1000}, {1000, 500, 1}, {2000, 200000, 4294765295}}

func TestIDs(t *testing.T) {
	for _, test := range []struct {
		ids             []IDMap
		inside, outside uint32
		known           bool
	}{
		{nil, 7, 7, true},
		{nil, 4294967295, 4294967295, true},
		{ranges, 0, 100000, true},
		{ranges, 999, 100999, true},
		{ranges, 1000, 500, true},
		{ranges, 2000, 200000, true},
		{ranges, 4294767294, 4294965294, true},
		{ranges, 1001, 0, false},
		{ranges, 4294767295, 0, false},
		{[]IDMap{{0, 5, 0}}, 0, 0, false},
	} {
		got, ok := outside(test.ids, test.inside)
		if ok != test.known || ok && got != test.outside {
			t.Errorf("%d is %d outside, %v", test.inside, got, ok)
		}
		if !test.known {
			continue
		}
		if got, ok := inside(test.ids, test.outside); !ok || got != test.inside {
			t.Errorf("%d is %d inside, %v", test.outside, got, ok)
		}
	}
	for _, id := range []uint32{0, 499, 501, 99999, 101000, 4294965295} {
		if got, ok := inside(ranges, id); ok {
			t.Errorf("%d of the node is %d inside", id, got)
		}
	}
}

// Without the capabilities to become somebody else nothing is written as root.
func TestCannotBecome(t *testing.T) {
	c := newContainer(t)
	done := make(chan Result)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var sets [2]unix.CapUserData
		if err := unix.Capget(&header, &sets[0]); err != nil {
			t.Error(err)
		}
		sets[0].Effective &^= 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID
		if err := unix.Capset(&header, &sets[0]); err != nil {
			t.Error(err)
		}
		done <- c.run(Request{Op: Apply, Signal: 1, UIDMap: ranges, GIDMap: ranges, Files: []File{{Path: "/x"}}})
	}()
	c.refused(<-done, StepBecome, 0, "CAP_SETUID and CAP_SETGID")
	if unix.Access(c.path("/x"), unix.F_OK) == nil {
		t.Error("it was written all the same")
	}
}
