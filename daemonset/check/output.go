package check

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/podreload/podreload/daemonset"
)

// maxOutput is how much is kept of what a command says, in bytes.
const maxOutput = 64 << 10

// output reads a pipe to its end, keeps the first of it and swallows the rest: a
// writer is never held up.
type output struct {
	pipe *os.File
	done chan struct{}

	mu   sync.Mutex
	kept bytes.Buffer
	size int64
}

// openOutput returns the output and the pipe's other end.
func openOutput() (*output, *os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	o := &output{pipe: r, done: make(chan struct{})}
	go o.read()
	return o, w, nil
}

func (o *output) read() {
	defer close(o.done)
	io.Copy(o, o.pipe) // to its end; the deadline of finish is one
}

// Write is for read: it takes all and keeps the first.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.size += int64(len(b))
	o.kept.Write(b[:min(len(b), maxOutput-o.kept.Len())])
	return len(b), nil
}

// forget drops what was said up to now.
func (o *output) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.kept.Reset()
	o.size = 0
}

// outputDelay is how long a pipe may stay open after its last writer was seen to end.
const outputDelay = time.Second

// finish returns what was said. All who could write have ended.
func (o *output) finish() string {
	o.pipe.SetReadDeadline(time.Now().Add(outputDelay))
	<-o.done
	o.pipe.Close()
	s := daemonset.CleanText(o.kept.String())
	if left := o.size - int64(o.kept.Len()); left > 0 {
		s += fmt.Sprintf("\n… and %d bytes more", left)
	}
	return s
}
