package shim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
)

// The form of a request and a result: numbers of 32 bits, little endian; bytes
// with their length before them; everything in a fixed order. Both ends are of
// the same build, so there is nothing to negotiate; the first byte only keeps
// the two kinds apart. Decoding never allocates more than a small multiple of
// its input and refuses what encoding would not have made.
const (
	kindRequest = 0x01
	kindResult  = 0x02
)

// The bits of a file of a request, of a file of a result, and of a result.
const (
	hasMode, hasUID, hasGID, wantsMkdir, isAbsent = 1, 2, 4, 8, 16
	isChanged, hasExisted, hasBefore, hasAfter    = 1, 2, 4, 8
	isSignalled, isCommitted, hasError            = 1, 2, 4
)

// ErrTooLarge is a request or a result over one of the limits.
var ErrTooLarge = errors.New("too large")

// Encode returns the request as bytes, or ErrTooLarge.
func (r Request) Encode() ([]byte, error) {
	if len(r.Files) > MaxFiles {
		return nil, fmt.Errorf("%d files in one request, %d can be: %w", len(r.Files), MaxFiles, ErrTooLarge)
	}
	if n := max(len(r.UIDMap), len(r.GIDMap)); n > MaxMap {
		return nil, fmt.Errorf("%d ranges in a map of users or groups, %d can be: %w", n, MaxMap, ErrTooLarge)
	}
	size := 3 + 7*4 + (len(r.UIDMap)+len(r.GIDMap))*3*4
	for _, f := range r.Files {
		if len(f.Path) > MaxPath {
			return nil, fmt.Errorf("path of %d bytes, %d can be: %w", len(f.Path), MaxPath, ErrTooLarge)
		}
		size += 4 + len(f.Path) + 4 + len(f.Data) + 1 + 3*4
	}
	b, err := buffer(size)
	if err != nil {
		return nil, err
	}
	b = append(b, kindRequest, byte(r.Op), flags(r.Always, 1))
	b = number(b, r.UID, r.GID, uint32(r.Signal), r.Limit)
	b = mapOf(mapOf(b, r.UIDMap), r.GIDMap)
	b = number(b, uint32(len(r.Files)))
	for _, f := range r.Files {
		b = bytesOf(bytesOf(b, f.Path), f.Data)
		b = append(b, flags(f.Mode != nil, hasMode)|flags(f.UID != nil, hasUID)|flags(f.GID != nil, hasGID)|
			flags(f.Mkdir, wantsMkdir)|flags(f.Absent, isAbsent))
		for _, n := range []*uint32{f.Mode, f.UID, f.GID} {
			if n != nil {
				b = number(b, *n)
			}
		}
	}
	return b, nil
}

// DecodeRequest is the way back. The data of its files is part of b.
func DecodeRequest(b []byte) (Request, error) {
	d := decoder{rest: b}
	d.expect(kindRequest)
	r := Request{Op: Op(d.byte())}
	if r.Op < Apply || r.Op > Fetch {
		d.fail("no such operation")
	}
	r.Always = d.flags(1) != 0
	r.UID, r.GID, r.Signal = d.number(), d.number(), int(d.number())
	if r.Signal > 64 {
		d.fail("no such signal")
	}
	r.Limit = d.number()
	r.UIDMap, r.GIDMap = d.idMap(), d.idMap()
	for n := d.count(MaxFiles); n > 0 && d.err == nil; n-- {
		f := File{Path: string(d.bytes(MaxPath)), Data: d.bytes(MaxSize)}
		has := d.flags(hasMode | hasUID | hasGID | wantsMkdir | isAbsent)
		f.Mode, f.UID, f.GID = d.optional(has&hasMode), d.optional(has&hasUID), d.optional(has&hasGID)
		f.Mkdir, f.Absent = has&wantsMkdir != 0, has&isAbsent != 0
		r.Files = append(r.Files, f)
	}
	if err := d.end(); err != nil {
		return Request{}, fmt.Errorf("decode request: %w", err)
	}
	return r, nil
}

// Encode returns the result as bytes, or ErrTooLarge.
func (r Result) Encode() ([]byte, error) {
	size := 2 + 3*(4+MaxPath)
	for _, f := range r.Files {
		size += 1 + 4 + len(f.Path) + 4 + len(f.Data) + 2*3*4
	}
	b, err := buffer(size)
	if err != nil {
		return nil, err
	}
	b = append(b, kindResult, flags(r.Signalled, isSignalled)|flags(r.Committed, isCommitted)|flags(r.Error != nil, hasError))
	if e := r.Error; e != nil {
		b = number(bytesOf(bytesOf(bytesOf(b, e.Step), e.Path), e.Message), uint32(e.Errno))
	}
	b = number(b, uint32(len(r.Files)))
	for _, f := range r.Files {
		b = append(b, flags(f.Changed, isChanged)|flags(f.Existed, hasExisted)|flags(f.Before != nil, hasBefore)|flags(f.After != nil, hasAfter))
		b = bytesOf(bytesOf(b, f.Path), f.Data)
		for _, a := range []*Attributes{f.Before, f.After} {
			if a != nil {
				b = number(b, a.Mode, a.UID, a.GID)
			}
		}
	}
	return b, nil
}

// DecodeResult is the way back. The data of its files is part of b.
func DecodeResult(b []byte) (Result, error) {
	d := decoder{rest: b}
	d.expect(kindResult)
	has := d.flags(isSignalled | isCommitted | hasError)
	r := Result{Signalled: has&isSignalled != 0, Committed: has&isCommitted != 0}
	if has&hasError != 0 {
		r.Error = &Error{Step: string(d.bytes(MaxPath)), Path: string(d.bytes(MaxPath)), Message: string(d.bytes(4 * MaxPath))}
		r.Error.Errno = syscall.Errno(d.number())
	}
	for n := d.count(MaxFiles); n > 0 && d.err == nil; n-- {
		has := d.flags(isChanged | hasExisted | hasBefore | hasAfter)
		r.Files = append(r.Files, FileResult{
			Changed: has&isChanged != 0, Existed: has&hasExisted != 0,
			Path: string(d.bytes(MaxPath)), Data: d.bytes(MaxSize),
			Before: d.attributes(has & hasBefore), After: d.attributes(has & hasAfter),
		})
	}
	if err := d.end(); err != nil {
		return Result{}, fmt.Errorf("decode result: %w", err)
	}
	return r, nil
}

// buffer makes room for a whole encoding, so that it is copied once.
func buffer(size int) ([]byte, error) {
	if size > MaxSize {
		return nil, fmt.Errorf("%d bytes in all, %d can be: %w", size, MaxSize, ErrTooLarge)
	}
	return make([]byte, 0, size), nil
}

func flags(set bool, bit byte) byte {
	if set {
		return bit
	}
	return 0
}

func number(b []byte, numbers ...uint32) []byte {
	for _, n := range numbers {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	return b
}

func bytesOf[T string | []byte](b []byte, v T) []byte {
	return append(number(b, uint32(len(v))), v...)
}

func mapOf(b []byte, ranges []IDMap) []byte {
	b = number(b, uint32(len(ranges)))
	for _, r := range ranges {
		b = number(b, r.Inside, r.Outside, r.Size)
	}
	return b
}
