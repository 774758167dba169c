package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Daemon claims the directory for this process until done is called or the
// process ends; ErrRunning names who has it. The runtime's endpoint is written
// in for the manual commands, which ignore a daemon of another runtime.
//
// It waits until ctx ends for who has it: a daemon that is on its way out, or a child
// that one which was killed had forked and that has not come to its exec yet, where
// it lets go of what it inherited.
func (s *Store) Daemon(ctx context.Context, endpoint string) (done func(), err error) {
	f, err := await(ctx, func() (*os.File, error) { return s.lockFile("daemon") })
	if errors.Is(err, ErrLocked) {
		return nil, fmt.Errorf("%w with the state directory %s (%w); end it or name another with --state", ErrRunning, s.dir, err)
	}
	if err != nil {
		return nil, err
	}
	note(f, strconv.Itoa(os.Getpid())+"\n"+endpoint)
	return func() { release(f) }, nil
}

// Running tells of the daemon that has the directory now; ok is false also for
// the moment in which it starts or ends.
func (s *Store) Running() (pid int, endpoint string, ok bool) {
	f, err := s.root.Open("daemon")
	if err != nil {
		return 0, "", false
	}
	defer f.Close()
	if !taken(f) {
		return 0, "", false
	}
	first, rest, _ := strings.Cut(read(f), "\n")
	if pid, err = strconv.Atoi(first); err != nil {
		return 0, "", false
	}
	endpoint, _, _ = strings.Cut(rest, "\n")
	return pid, endpoint, true
}
