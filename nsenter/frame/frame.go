package frame

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"syscall"
)

// MaxBody is the largest body in bytes: what package shim allows, and a little
// for its wrapping.
const MaxBody = 64<<20 + 1<<20

// HeaderSize is the size of every header in bytes.
const HeaderSize = 5

// StepJoin is the step that fails when the agent may not enter.
const StepJoin = "join the mount and PID namespace"

// Kind says what a body is.
type Kind byte

// The kinds of frames.
const (
	Request Kind = 1 // the request's bytes; descriptors: the process to enter, and the one to signal if any
	Reply   Kind = 2 // the reply's bytes
	Failure Kind = 3 // a [Fault]: the crossing itself failed
)

// ErrMalformed is a frame that neither side of the same build makes.
var ErrMalformed = errors.New("malformed frame")

// Header returns the header of a frame.
func Header(kind Kind, body int) []byte {
	return binary.LittleEndian.AppendUint32([]byte{byte(kind)}, uint32(body))
}

// ParseHeader is the way back. It allows no body over MaxBody.
func ParseHeader(b []byte) (Kind, int, error) {
	if len(b) != HeaderSize {
		return 0, 0, ErrMalformed
	}
	kind, size := Kind(b[0]), binary.LittleEndian.Uint32(b[1:])
	if kind < Request || kind > Failure || size > MaxBody {
		return 0, 0, ErrMalformed
	}
	return kind, int(size), nil
}

// Read reads one frame.
func Read(r io.Reader) (Kind, []byte, error) {
	header := make([]byte, HeaderSize)
	if _, err := io.ReadFull(r, header); err != nil {
		return 0, nil, err
	}
	kind, size, err := ParseHeader(header)
	if err != nil {
		return 0, nil, err
	}
	body := make([]byte, size)
	_, err = io.ReadFull(r, body)
	return kind, body, err
}

// Fault is the step of a crossing that failed, and why.
type Fault struct {
	Step  string
	Errno syscall.Errno
}

// Error is for a person who knows the step's name.
func (f Fault) Error() string { return fmt.Sprintf("%s: %v", f.Step, f.Errno) }

// Unwrap is the errno.
func (f Fault) Unwrap() error { return f.Errno }

// Encode returns the body of a Failure.
func (f Fault) Encode() []byte {
	return append(binary.LittleEndian.AppendUint32(nil, uint32(f.Errno)), f.Step...)
}

// DecodeFault is the way back.
func DecodeFault(b []byte) (Fault, error) {
	if len(b) < 4 || len(b) > 256 {
		return Fault{}, ErrMalformed
	}
	return Fault{Step: string(b[4:]), Errno: syscall.Errno(binary.LittleEndian.Uint32(b))}, nil
}
