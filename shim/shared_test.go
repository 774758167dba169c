package shim

import (
	"fmt"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Two containers that have one directory (a hostPath, a ReadWriteMany claim) get the same files at the
// same time, as when a key changes: neither is in the other's way, and what one says is so.
func TestSharedDirectory(t *testing.T) {
	for about, dir := range map[string]func(gen int) string{
		"as it is": func(int) string { return "/conf.d/" },
		"made":     func(gen int) string { return fmt.Sprintf("/conf.d/%d/sub/", gen) },
	} {
		t.Run(about, func(t *testing.T) {
			c := newContainer(t)
			c.mkdir("/conf.d")
			for gen := range 300 {
				var files []File
				for i := range 3 {
					files = append(files, File{Path: fmt.Sprint(dir(gen), i, ".conf"), Data: fmt.Append(nil, "generation ", gen), Mkdir: true})
				}
				files[2].Absent = gen%2 == 1
				var results [2]Result
				var all sync.WaitGroup
				for i := range results {
					all.Go(func() { results[i] = c.run(Request{Op: Apply, Files: files}) })
				}
				all.Wait()
				for _, res := range results {
					if res.Error != nil {
						t.Errorf("generation %d: %v", gen, res.Error)
					}
				}
				if res := c.run(Request{Op: Compare, Files: files}); res.Error != nil || res.Changed() {
					t.Errorf("generation %d is not in place: %+v", gen, res)
				}
			}
			c.clean()
		})
	}
}

// Who holds the directories' locks delays a request, and no more, however many there are.
func TestLockIsHeld(t *testing.T) {
	c := newContainer(t)
	var files []File
	for i := range 3 {
		dir := fmt.Sprint("/", i)
		c.mkdir(dir)
		f, err := os.Open(c.path(dir))
		c.must(err)
		t.Cleanup(func() { f.Close() })
		c.must(unix.Flock(int(f.Fd()), unix.LOCK_EX))
		files = append(files, File{Path: dir + "/x", Data: []byte("x")})
	}
	begin := time.Now()
	if res := c.run(Request{Op: Compare, Files: files}); res.Error != nil || !res.Changed() {
		t.Errorf("compare: %+v", res)
	}
	if took := time.Since(begin); took >= lockPatience {
		t.Errorf("to compare took %v", took)
	}
	begin = time.Now()
	if res := c.run(Request{Op: Apply, Files: files}); res.Error != nil || !res.Committed {
		t.Errorf("apply: %+v", res)
	}
	if took := time.Since(begin); took < lockPatience || took > 2*lockPatience {
		t.Errorf("to apply took %v, want a little more than %v", took, lockPatience)
	}
	c.clean()
}

// A second name of the same directory, and one in which another is made, are locked once.
func TestLockIsNotItsOwnHindrance(t *testing.T) {
	c := newContainer(t)
	c.mkdir("/d")
	c.symlink("d", "/link")
	begin := time.Now()
	res := c.run(Request{Op: Apply, Files: []File{
		{Path: "/d/x", Data: []byte("x")}, {Path: "/link/y", Data: []byte("y")}, {Path: "/d/new/dir/z", Data: []byte("z"), Mkdir: true}, {Path: "/d/new/w", Data: []byte("w")},
		{Path: "/d/none/x", Absent: true}, {Path: "/v", Data: []byte("v")},
	}, Signal: int(syscall.SIGHUP)})
	if res.Error != nil || !res.Committed || !res.Signalled {
		t.Errorf("%+v", res)
	}
	if took := time.Since(begin); took >= lockPatience {
		t.Errorf("it took %v", took)
	}
	c.clean()
}
