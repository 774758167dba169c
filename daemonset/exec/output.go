package exec

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/podreload/podreload/daemonset"
)

const (
	// keep is how much is kept of what a command says first, and of what it says last, in bytes.
	keep = 8 << 10

	// outputDelay is how long to wait for more once the command has ended: it may have left
	// somebody behind who holds its output open for good.
	outputDelay = time.Second
)

// output is the FIFO that a command writes into by way of containerd's shim. It is read until
// the shim lets go of it, so that nobody who writes is ever held up, and nothing of it
// gets to a disk.
type output struct {
	path   string
	read   *os.File
	keeper *os.File      // as long as it is open the FIFO has a writer, and so no end
	done   chan struct{} // closed when it is read to its end

	mu   sync.Mutex
	head []byte
	tail []byte // a ring, once it is full
	next int    // where in it the next byte goes
	size int64
}

// openOutput makes a FIFO of the name, and takes away one that was left there.
func openOutput(dir, name string) (*output, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	o := &output{path: filepath.Join(dir, name), done: make(chan struct{})}
	if err := os.Remove(o.path); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	if err := syscall.Mkfifo(o.path, 0o600); err != nil {
		return nil, fmt.Errorf("make the FIFO %s: %w", o.path, err)
	}
	var err error
	// Without O_NONBLOCK both opens would wait for somebody at the other end: fifo(7).
	if o.read, err = os.OpenFile(o.path, os.O_RDONLY|syscall.O_NONBLOCK, 0); err == nil {
		if o.keeper, err = os.OpenFile(o.path, os.O_WRONLY|syscall.O_NONBLOCK, 0); err != nil {
			o.read.Close()
		}
	}
	if err != nil {
		os.Remove(o.path)
		return nil, err
	}
	go o.drain()
	return o, nil
}

func (o *output) drain() {
	defer close(o.done)
	b := make([]byte, 32<<10)
	for {
		n, err := o.read.Read(b)
		o.take(b[:n])
		if err != nil {
			return
		}
	}
}

// take keeps the first and the last of what is said.
func (o *output) take(b []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.size += int64(len(b))
	n := min(len(b), keep-len(o.head))
	o.head = append(o.head, b[:n]...)
	b = b[n:]
	b = b[max(0, len(b)-keep):]
	n = min(len(b), keep-len(o.tail))
	o.tail = append(o.tail, b[:n]...)
	for b = b[n:]; len(b) > 0; b = b[n:] {
		n = copy(o.tail[o.next:], b)
		o.next = (o.next + n) % keep
	}
}

// started lets go of the FIFO's name and of its spare writer: the shim has it open now.
func (o *output) started() {
	o.keeper.Close()
	os.Remove(o.path)
}

// await waits until all is said that will be.
func (o *output) await() {
	select {
	case <-o.done:
	case <-time.After(outputDelay):
	}
}

// String is what was said up to now. Both ends are cleaned by themselves: what is left
// out must not be what a sequence of the first part goes on until.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	left := o.size - int64(len(o.head)+len(o.tail))
	tail := string(o.tail[o.next:]) + string(o.tail[:o.next])
	if left == 0 {
		return daemonset.CleanText(string(o.head) + tail)
	}
	return fmt.Sprintf("%s\n… %d bytes left out …\n%s", daemonset.CleanText(string(o.head)), left, daemonset.CleanText(tail))
}

// close ends the reading.
func (o *output) close() {
	o.keeper.Close()
	os.Remove(o.path)
	o.read.Close() // wakes a read that waits
	<-o.done
}
