package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Claim is what a daemon notes of itself for the manual commands.
type Claim struct {
	Pid      int
	Endpoint string // the runtime's: commands ignore a daemon of another one
	Root     string // its --root; empty: it does not say, as those before this was noted
}

// Daemon claims both directories for this process until done is called or the
// process ends; ErrRunning names who has one of them. That below --root is claimed as well since
// two that keep there would take each other's for what nobody needs any more.
//
// It waits until ctx ends for who has it: a daemon that is on its way out, or a child
// that one which was killed had forked and that has not come to its exec yet, where
// it lets go of what it inherited.
func (s *Store) Daemon(ctx context.Context, endpoint string) (done func(), err error) {
	claim := Claim{Pid: os.Getpid(), Endpoint: endpoint}
	if claim.Root, err = filepath.Abs(s.kept.dir); err != nil {
		return nil, err
	}
	run, err := s.claim(ctx)
	if err != nil {
		return nil, err
	}
	disk, err := s.kept.claim(ctx)
	if err != nil {
		release(run)
		return nil, err
	}
	note(run, strings.Join([]string{strconv.Itoa(claim.Pid), claim.Endpoint, claim.Root}, "\n"))
	return func() {
		release(run)
		release(disk)
	}, nil
}

func (f folder) claim(ctx context.Context) (*os.File, error) {
	lock, err := await(ctx, func() (*os.File, error) { return f.lockFile("daemon") })
	if errors.Is(err, ErrLocked) {
		return nil, fmt.Errorf("%w with the directory %s (%w); end it, or name other directories with --state and --root", ErrRunning, f.dir, err)
	}
	return lock, err
}

// Running tells of the daemon that has the directory now; ok is false also for
// the moment in which it starts or ends.
func (s *Store) Running() (c Claim, ok bool) {
	f, err := s.root.Open("daemon")
	if err != nil {
		return Claim{}, false
	}
	defer f.Close()
	if !taken(f) {
		return Claim{}, false
	}
	lines := strings.SplitN(read(f), "\n", 4)
	lines = append(lines, "", "")
	if c.Pid, err = strconv.Atoi(lines[0]); err != nil {
		return Claim{}, false
	}
	c.Endpoint, c.Root = lines[1], lines[2]
	return c, true
}

// Apart answers whether a daemon that runs keeps below another --root than this store, so that it never
// hears of a pause that is noted here. By the lock, since a path may mean something else where it runs. A
// daemon that could not write its pid there, as on a full disk, is taken for the one.
func (s *Store) Apart(c Claim) bool {
	if c.Root == "" {
		return false
	}
	f, err := s.kept.root.Open("daemon")
	if err != nil {
		return true
	}
	defer f.Close()
	pid := holder(f)
	return !taken(f) || pid != unknown && pid != strconv.Itoa(c.Pid)
}
