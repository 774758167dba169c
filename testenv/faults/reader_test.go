package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

// readPause is between two looks at a target's files.
const readPause = 5 * time.Millisecond

// reader reads a target's files as its container sees them, all the time: each must be whole, and
// once the target was Live it must be there.
type reader struct {
	target *target
	writer *writer
	events *events

	volume map[string]bool // by path: it was in the volume, which outlives the container
	said   map[string]string
	reads  atomic.Int64
}

func newReader(t *target, w *writer, e *events) *reader {
	return &reader{target: t, writer: w, events: e, volume: map[string]bool{}, said: map[string]string{}}
}

func (r *reader) run(ctx context.Context) {
	tick := time.NewTicker(readPause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, path := range []string{firstPath, secondPath} {
			said := ""
			if err := r.look(path); err != nil {
				said = err.Error()
			}
			// What stays wrong is said once.
			if said != "" && said != r.said[path] {
				r.events.fail("%s: %s: %s", r.target.name, path, said)
			}
			r.said[path] = said
		}
	}
}

func (r *reader) look(path string) error {
	pid, settled := r.target.settled()
	if pid == 0 {
		return nil
	}
	n, err := readNumber(pid, path)
	switch {
	case err == nil:
	case !alive(pid):
		return nil
	case !settled && !r.volume[path] && (errors.Is(err, os.ErrNotExist) || errors.Is(err, errImage)):
		return nil // not there yet, or taken back: no reload was proved here
	default:
		return err
	}
	r.volume[path] = r.target.volume
	r.reads.Add(1)
	if r.target.checked && r.writer.isBad(n) {
		return fmt.Errorf("number %d is bad and got inside, though it should have been refused", n)
	}
	return nil
}

// errImage: the file is the image's own.
var errImage = errors.New("the image's file")

// readNumber reads a file in the container of a process.
func readNumber(pid int, path string) (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/root%s", pid, path))
	if err != nil {
		return 0, err
	}
	if bytes.Contains(b, []byte("hello from the image")) {
		return 0, errImage
	}
	return unseal(b)
}

// alive answers whether a container's init had its filesystem until now. The kernel takes that
// away before it takes the mounts down.
func alive(pid int) bool {
	_, err := os.Readlink(fmt.Sprintf("/proc/%d/root", pid))
	return err == nil
}
