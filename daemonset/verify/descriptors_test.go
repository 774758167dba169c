package verify

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestPipes(t *testing.T) {
	var d descriptors
	before, err := d.pipes(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	after, err := d.pipes(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	var opened []uint64
	for pipe := range after {
		if !before[pipe] {
			opened = append(opened, pipe)
		}
	}
	if len(opened) != 1 {
		t.Fatalf("one pipe more: got %v", opened)
	}
	if found, err := d.has(os.Getpid(), map[uint64]bool{opened[0]: true}); err != nil || !found {
		t.Errorf("it has the pipe: %v, %v", found, err)
	}
	if found, err := d.has(os.Getpid(), map[uint64]bool{1: true}); err != nil || found {
		t.Errorf("it has a pipe that is not there: %v, %v", found, err)
	}
	out, err := os.Readlink("/proc/self/fd/1")
	if n := inode(out, "pipe"); err != nil || n != 0 && after[n] {
		t.Errorf("standard output is among its pipes: %s, %v", out, err)
	}
	if d.seen == 0 {
		t.Error("no descriptor was counted")
	}
}

func FuzzInode(f *testing.F) {
	f.Add("socket:[2560702]", "socket")
	f.Add("pipe:[1]", "socket")
	f.Fuzz(func(t *testing.T, link, kind string) {
		if n := inode(link, kind); n != 0 && (!strings.HasPrefix(link, kind) || !strings.Contains(link, fmt.Sprint(n))) {
			t.Fatalf("%q gives %d", link, n)
		}
	})
}
