package inside

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWritable(t *testing.T) {
	type mapping struct {
		start, end uintptr
		ok         bool
	}
	for line, want := range map[string]mapping{
		"c000000000-c000400000 rw-p 00000000 00:00 0 \n":                  {0xc000000000, 0xc000400000, true},
		"7ffd1000-7ffd3000 rw-p 00000000 00:00 0          [stack]\n":      {0x7ffd1000, 0x7ffd3000, true},
		"00400000-0048c000 r-xp 00000000 00:01 1025 /memfd:x (deleted)\n": {0x400000, 0x48c000, false},
		"c000400000-c004000000 ---p 00000000 00:00 0 \n":                  {0xc000400000, 0xc004000000, false},
		"7f0000000000-7f0000001000 rw-s 00000000 00:01 9 /x\n":            {0x7f0000000000, 0x7f0000001000, false},
		"2000-1000 rw-p":   {0x2000, 0x1000, false},
		"1000 rw-p":        {0x1000, 0, false},
		"":                 {},
		"x-y rw-p 0 0 0\n": {},
	} {
		var got mapping
		got.start, got.end, got.ok = writable([]byte(line))
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(mapping{})); diff != "" {
			t.Errorf("%q (-want +got):\n%s", line, diff)
		}
	}
}

func FuzzWritable(f *testing.F) {
	f.Add([]byte("c000000000-c000400000 rw-p 00000000 00:00 0 \n"))
	f.Fuzz(func(t *testing.T, line []byte) {
		if start, end, ok := writable(line); ok && start >= end {
			t.Errorf("%q: %x to %x", line, start, end)
		}
	})
}
