package check

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
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
	s := clean(o.kept.String())
	if left := o.size - int64(o.kept.Len()); left > 0 {
		s += fmt.Sprintf("\n… and %d bytes more", left)
	}
	return s
}

// sequences are what moves a terminal's cursor, colours its text, sets its title.
var sequences = regexp.MustCompile("\x1b\\[[0-?]*[ -/]*[@-~]|\x1b[\\]P^_X][^\x07\x1b]*(?:\x07|\x1b\\\\)?|\x1b[@-_]")

// clean makes text that a container wrote harmless to show.
func clean(s string) string {
	s = sequences.ReplaceAllString(strings.ToValidUTF8(s, "�"), "")
	s = strings.ReplaceAll(s, "\r\n", "\n")
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t':
			return r
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r): // Cf: what turns the direction of text
			return -1
		}
		return r
	}, s)
	return strings.TrimSpace(s)
}

// oneLine is for tables and errors.
func oneLine(s string) string { return clip(strings.Join(strings.Fields(clean(s)), " "), 1000) }

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
