package nsenter

import (
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	allow = cmp.AllowUnexported(stat{}, status{})
	rest  = " 0 3" + strings.Repeat(" 0", 15)
)

func TestParseStat(t *testing.T) {
	for in, want := range map[string]stat{
		"7 (nginx) S 5" + rest + " 1234 0":                             {"nginx", 'S', 5, 3, false, 1234},
		"7 (a) Z 1 1 (b) R 6" + rest + " 18 0":                         {"a) Z 1 1 (b", 'R', 6, 3, false, 18},
		"7 (x\n) S 5" + rest + " 18446744073709551615":                 {"x\n", 'S', 5, 3, false, 1<<64 - 1},
		"7 (x) D 5 0 3 0 -1 4194308" + strings.Repeat(" 0", 12) + " 9": {"x", 'D', 5, 3, true, 9}, // PF_EXITING and PF_RANDOMIZE
	} {
		got, err := parseStat([]byte(in))
		if diff := cmp.Diff(want, got, allow); diff != "" || err != nil {
			t.Errorf("%q: %v, -want +got:\n%s", in, err, diff)
		}
	}
	for _, in := range []string{"", "7 nginx S 5", "7 )nginx( S", "7 (nginx) S 5 0", "7 (nginx) SS 5" + rest + " 1", "7 (nginx) S x" + rest + " 1", "7 (nginx) S 5 0 x" + strings.Repeat(" 0", 15) + " 1"} {
		if got, err := parseStat([]byte(in)); err == nil {
			t.Errorf("%q: %+v", in, got)
		}
	}
}

func TestParseStatus(t *testing.T) {
	const text = "Name:\tx\nUid:\t1\t2\t3\t4\nNSpid:\t700\t6\t1\nSigCgt:\t0000000000000001\n"
	got, err := parseStatus([]byte(text))
	if diff := cmp.Diff(status{nspid: 1, sigCgt: 1, uid: 2}, got, allow); diff != "" || err != nil {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	for _, in := range []string{"", strings.Replace(text, "SigCgt", "SigIgn", 1), strings.Replace(text, "700\t6\t1", "x", 1)} {
		if got, err := parseStatus([]byte(in)); err == nil {
			t.Errorf("%q: %+v", in, got)
		}
	}
}

func TestCatches(t *testing.T) {
	info := Info{SigCgt: 1 | 1<<63}
	for sig, want := range map[syscall.Signal]bool{-1: false, 0: false, 1: true, 2: false, 64: true, 65: false} {
		if got := info.Catches(sig); got != want {
			t.Errorf("%d: %v", sig, got)
		}
	}
}

func TestChildrenByScan(t *testing.T) {
	if !haveChildren() {
		t.Skip("the kernel has no list of children (CONFIG_PROC_CHILDREN)")
	}
	want, err := children(os.Getppid())
	if err != nil {
		t.Fatal(err)
	}
	got, err := childrenByScan(os.Getppid())
	if err != nil || !slices.Contains(want, os.Getpid()) || !slices.Contains(got, os.Getpid()) {
		t.Errorf("%v by scan, %v by the list, %v", got, want, err)
	}
}

func TestAtLeast(t *testing.T) {
	for release, want := range map[string]bool{
		"5.10.0-28-amd64": true, "5.9.16": false, "6.1": true, "4.19.0": false, "5.10": true, "10.0.0": true, "": false, "x.y": false,
	} {
		if got := atLeast(release, 5, 10); got != want {
			t.Errorf("%q: %v", release, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("7 (nginx) S 5" + rest + " 1234 0"))
	f.Add([]byte("Uid:\t1\t2\t3\t4\nNSpid:\t700\t6\nSigCgt:\tff\nCapEff:\tff\n"))
	f.Add([]byte("12:memory:/a\n0::/b\n"))
	f.Add([]byte("1 2 3"))
	f.Add([]byte("mnt:[4026531841]"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if st, err := parseStat(b); err != nil && st != (stat{}) {
			t.Errorf("%+v, %v", st, err)
		}
		if st, err := parseStatus(b); err != nil && st != (status{}) {
			t.Errorf("%+v, %v", st, err)
		}
		if pids, err := parsePids(b); err != nil && pids != nil {
			t.Errorf("%v, %v", pids, err)
		}
		parseNamespace(string(b))
		parseCapEff(b)
		i := Info{Cgroup: string(b)}
		if len(parseCgroup(i.Cgroup)) > 0 && !i.SameContainer(i) {
			t.Errorf("%q is not the same as itself", b)
		}
	})
}
