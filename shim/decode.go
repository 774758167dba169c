package shim

import (
	"encoding/binary"
	"errors"
)

// decoder takes values off the front of rest. After the first failure it
// returns zero values only, so that the error has to be looked at once.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) fail(why string) {
	if d.err == nil {
		d.err = errors.New(why)
	}
	d.rest = nil
}

func (d *decoder) take(n int) []byte {
	if n > len(d.rest) {
		d.fail("it ends too early")
		n = 0
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) byte() byte {
	if b := d.take(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (d *decoder) number() uint32 {
	if b := d.take(4); len(b) == 4 {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) bytes(limit int) []byte {
	n := d.number()
	if uint64(n) > uint64(limit) {
		d.fail("a field is too long")
		return nil
	}
	return d.take(int(n))
}

func (d *decoder) optional(has byte) *uint32 {
	if has == 0 {
		return nil
	}
	n := d.number()
	return &n
}

func (d *decoder) attributes(has byte) *Attributes {
	if has == 0 {
		return nil
	}
	return &Attributes{Mode: d.number(), UID: d.number(), GID: d.number()}
}

func (d *decoder) idMap() []IDMap {
	var ranges []IDMap
	for n := d.count(MaxMap); n > 0 && d.err == nil; n-- {
		ranges = append(ranges, IDMap{Inside: d.number(), Outside: d.number(), Size: d.number()})
	}
	return ranges
}

func (d *decoder) count(limit uint32) uint32 {
	n := d.number()
	if n > limit {
		d.fail("too many entries")
		return 0
	}
	return n
}

func (d *decoder) flags(known byte) byte {
	b := d.byte()
	if b&^known != 0 {
		d.fail("an unknown flag is set")
	}
	return b
}

func (d *decoder) expect(kind byte) {
	if d.byte() != kind {
		d.fail("it is of another kind")
	}
}

func (d *decoder) end() error {
	if d.err == nil && len(d.rest) > 0 {
		d.fail("something follows its end")
	}
	return d.err
}
