package inside

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseMapping(t *testing.T) {
	for line, want := range map[string]mapping{
		"c000000000-c000400000 rw-p 00000000 00:00 0 \n":                  {0xc000000000, 0xc000400000, "rw-p"},
		"7ffd1000-7ffd3000 rw-p 00000000 00:00 0          [stack]\n":      {0x7ffd1000, 0x7ffd3000, "rw-p"},
		"00400000-0048c000 r-xp 00000000 00:01 1025 /memfd:x (deleted)\n": {0x400000, 0x48c000, "r-xp"},
		"c000400000-c004000000 ---p 00000000 00:00 0 \n":                  {},
		"7f0000000000-7f0000001000 rw-s 00000000 00:01 9 /x\n":            {},
		"2000-1000 rw-p":       {},
		"1000-2000 rw-p":       {0x1000, 0x2000, "rw-p"},
		"1000-2000 r--p extra": {0x1000, 0x2000, "r--p"},
		"1000 rw-p":            {},
		"":                     {},
		"x-y rw-p 0 0 0\n":     {},
	} {
		got, ok := parseMapping([]byte(line))
		if ok != (want != mapping{}) {
			t.Errorf("%q: %v", line, ok)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(mapping{})); ok && diff != "" {
			t.Errorf("%q (-want +got):\n%s", line, diff)
		}
	}
}

func FuzzParseMapping(f *testing.F) {
	f.Add([]byte("c000000000-c000400000 rw-p 00000000 00:00 0 \n"))
	f.Fuzz(func(t *testing.T, line []byte) {
		if m, ok := parseMapping(line); ok && (m.start >= m.end || len(m.mode) != 4) {
			t.Errorf("%q: %+v", line, m)
		}
	})
}
