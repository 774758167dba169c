package nsenter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// MaxDeadline is how long a crossing may take at most.
	MaxDeadline = 30 * time.Second

	// maxShims is how many shims there are at most, those included that were
	// killed and hang in the kernel: one for each container of a large node, all of which
	// may have their files on one server that is dead. Such a shim holds about a megabyte.
	maxShims = 256

	// closeTimeout is how long Close waits for killed shims to go.
	closeTimeout = 2 * time.Second
)

// Shim is the sealed binary that crosses. It is safe for concurrent use.
type Shim struct {
	fd     int           // the sealed memfd
	node   []uint64      // mount namespaces that no container has
	slots  chan struct{} // one taken for each shim process that is not reaped
	reaper sync.WaitGroup

	spare     chan *running // nil unless one is kept
	refilling atomic.Bool   // one is being started

	mu      sync.Mutex
	hanging map[identity]*running // shims that are not gone when they should be, by the process that they entered
}

// identity names a process for good.
type identity struct {
	pid   int
	start uint64
}

// KeepSpare keeps one shim started, from now until Close, that waits for the next
// request. It saves a crossing the larger part of its time, and costs two processes
// and some memory. Call it before the first Cross.
func (s *Shim) KeepSpare() {
	s.spare = make(chan *running, 1)
	s.reaper.Go(s.refill)
}

// Cross carries a request into the mount and PID namespace of a process, and a
// reply back. If signal is not nil the request's handler inside can signal
// that process, and no other.
//
// It starts one shim process, which ends before or soon after Cross returns. At the
// context's deadline, or after MaxDeadline, it is killed and the error is
// ErrDeadline (the context's error, if it was cancelled): Cross returns in time
// though the shim may hang in a dead filesystem until the kernel lets go of it.
// ErrGone: a process has exited. ErrPermission: a capability is missing.
// ErrNotContainer: the process to enter is the node's.
func (s *Shim) Cross(ctx context.Context, into, signal *Process, request []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, MaxDeadline)
	defer cancel()
	reply, err := s.cross(ctx, into, signal, request)
	if err != nil {
		return nil, fmt.Errorf("cross into process %d: %w", into.pid, err)
	}
	return reply, nil
}

func (s *Shim) cross(ctx context.Context, into, signal *Process, request []byte) ([]byte, error) {
	if err := s.admit(into); err != nil {
		return nil, err
	}
	if signal != nil {
		if err := signal.Alive(); err != nil {
			return nil, err
		}
	}
	if err := s.passable(ctx, into); err != nil {
		return nil, err
	}
	r, err := s.take(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		r.socket.Close() // which ends the shim, if it has not ended
		if s.spare != nil {
			s.reaper.Go(s.refill) // now that nobody waits for the processor
		}
	}()
	s.mu.Lock()
	r.into = identity{into.pid, into.start}
	s.mu.Unlock()
	stop := context.AfterFunc(ctx, r.kill)
	reply, err := r.exchange(into, signal, request)
	late := !stop()
	switch {
	case err == nil:
		return reply, nil
	case late:
		s.hang(r)
		return nil, overdue(ctx)
	}
	r.kill()
	return nil, err
}

// hang notes a shim that was killed, or has left something inside that was. Until that is reaped no other follows it
// to where it is, so that a container with a dead filesystem, or one that holds what it traces, holds one slot and
// not all.
func (s *Shim) hang(r *running) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-r.ended:
	default:
		s.hanging[r.into] = r
	}
}

// gone forgets a shim that is reaped.
func (s *Shim) gone(r *running) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hanging[r.into] == r {
		delete(s.hanging, r.into)
	}
}

// passable waits until no such shim hangs where the next one is to go.
func (s *Shim) passable(ctx context.Context, into *Process) error {
	s.mu.Lock()
	r := s.hanging[identity{into.pid, into.start}]
	s.mu.Unlock()
	if r == nil {
		return nil
	}
	select {
	case <-r.ended:
		return nil
	case <-ctx.Done():
		if err := overdue(ctx); !errors.Is(err, ErrDeadline) {
			return err
		}
		return fmt.Errorf("%w: process %d, killed before, has not ended; what filesystem does it wait for, or who traces what it left inside?", ErrStuck, r.process.Pid)
	}
}

// admit proves that the process is there and is not the node's: to write into the
// node's own files is the one mistake that must not be possible.
func (s *Shim) admit(into *Process) error {
	dir, err := openProc(into.pid)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	link, err := linkAt(dir, "ns/mnt")
	if err != nil {
		return err
	}
	if err := into.Alive(); err != nil { // so what was read is its own
		return err
	}
	if ns := parseNamespace(link); ns == 0 || slices.Contains(s.node, ns) {
		return fmt.Errorf("%w: it has the node's own mount namespace, as the processes of Kata's and gVisor's sandboxes have", ErrNotContainer)
	}
	return nil
}

// take returns the spare shim, or starts one.
func (s *Shim) take(ctx context.Context) (*running, error) {
	select {
	case r := <-s.spare:
		if !r.hasEnded() {
			return r, nil
		}
		r.socket.Close()
	default:
	}
	return s.start(ctx)
}

// refill starts a spare, if there is none and room for one. Of many crossings that end at once one
// does it. That it failed shows when the next request starts one for itself.
func (s *Shim) refill() {
	if !s.refilling.CompareAndSwap(false, true) {
		return
	}
	defer s.refilling.Store(false)
	if len(s.spare) > 0 {
		return
	}
	select {
	case s.slots <- struct{}{}:
	default:
		return
	}
	r, err := s.spawn()
	if err != nil {
		return
	}
	select {
	case s.spare <- r:
	default:
		r.socket.Close()
	}
}

// start starts a shim for one request.
func (s *Shim) start(ctx context.Context) (*running, error) {
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		if len(s.slots) < maxShims {
			return nil, overdue(ctx)
		}
		return nil, fmt.Errorf("start the shim: %w (%d): look for processes podreload-shim in state D, or traced", ErrStuck, maxShims)
	}
	return s.spawn()
}

// spawn starts a shim process, for which a slot has been taken, and sees to it
// that it is reaped.
func (s *Shim) spawn() (*running, error) {
	r, err := spawn(s.fd)
	if err != nil {
		<-s.slots
		return nil, fmt.Errorf("start the shim: %w", err)
	}
	s.reaper.Go(func() {
		r.reap(func() { s.hang(r) })
		s.gone(r)
		<-s.slots
	})
	return r, nil
}

func overdue(ctx context.Context) error {
	if err := ctx.Err(); errors.Is(err, context.Canceled) {
		return err
	}
	return ErrDeadline
}
