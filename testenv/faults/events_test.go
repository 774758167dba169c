package faults

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// events is the time line of a run: what was done and what went wrong.
type events struct {
	begun time.Time

	mu     sync.Mutex
	lines  []string // the newest
	wrong  []string
	number int // of what went wrong
}

// shown is how much of each is kept.
const shown = 50

func (e *events) add(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lines = keep(e.lines, e.line(format, args...))
}

// fail notes what must not be.
func (e *events) fail(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	line := e.line("WRONG: "+format, args...)
	e.lines = keep(e.lines, line)
	if e.number++; e.number <= shown {
		e.wrong = append(e.wrong, line)
	}
}

func (e *events) line(format string, args ...any) string {
	return fmt.Sprintf("%9.3fs  ", time.Since(e.begun).Seconds()) + fmt.Sprintf(format, args...)
}

func keep(lines []string, line string) []string {
	if len(lines) == shown {
		lines = lines[1:]
	}
	return append(lines, line)
}

// failures is what went wrong, empty if nothing did.
func (e *events) failures() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.number == 0 {
		return ""
	}
	return fmt.Sprintf("%d times something was wrong:\n%s", e.number, strings.Join(e.wrong, "\n"))
}

func (e *events) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return strings.Join(e.lines, "\n")
}
