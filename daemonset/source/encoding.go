package source

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
)

// magic begins an encoded snapshot. Its number goes up when an older podreload would
// misunderstand what follows.
const magic = "podreload snapshot 1\n"

// ErrDamaged says that what is read is no snapshot, or not whole.
var ErrDamaged = errors.New("damaged snapshot")

// Encode writes the snapshot for a [ReadSnapshot] of this or a later podreload: the magic, the
// cluster's id, the revision and the number of keys; of each key the lengths of key and value and the revision
// that wrote it, then both; the SHA-256 of all that. Numbers are varints of encoding/binary.
func (s *Snapshot) Encode(w io.Writer) error {
	sum := sha256.New()
	b := bufio.NewWriterSize(io.MultiWriter(w, sum), 64<<10)
	var head []byte
	number := func(n int64) { head = binary.AppendUvarint(head, uint64(n)) }
	head = append(head, magic...)
	head = binary.AppendUvarint(head, s.cluster)
	number(s.revision)
	number(int64(s.Len()))
	_, err := b.Write(head)
	s.tree.Ascend(func(it item) bool {
		head = head[:0]
		number(int64(it.size))
		number(int64(len(it.text) - it.size))
		number(it.mod)
		_, _ = b.Write(head) // a bufio.Writer keeps its error
		_, err = b.WriteString(it.text)
		return err == nil
	})
	if err == nil {
		err = b.Flush()
	}
	if err == nil {
		_, err = w.Write(sum.Sum(nil))
	}
	return err
}

// ReadSnapshot reads what [Snapshot.Encode] wrote. The error wraps [ErrDamaged] where that
// is not what comes. It takes no more memory than a feed may.
func ReadSnapshot(r io.Reader) (*Snapshot, error) {
	in := &summed{from: bufio.NewReaderSize(r, 64<<10), sum: sha256.New()}
	s, err := in.state()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return s.snapshot(), nil
}

// summed reads, and sums up what was read.
type summed struct {
	from *bufio.Reader
	sum  hash.Hash
}

func (r *summed) state() (*state, error) {
	if head, err := r.bytes(len(magic)); err != nil || string(head) != magic {
		return nil, errors.Join(errors.New("it does not begin as one of this version"), err)
	}
	s := newState()
	cluster, err := binary.ReadUvarint(r)
	revision, count := r.number(), r.number()
	if err != nil || revision < 0 || count < 0 {
		return nil, errors.New("it has no sound head")
	}
	s.cluster, s.revision = cluster, revision
	for range count {
		size, length, mod := r.number(), r.number(), r.number()
		if size < 0 || size > maxBytes || length < 0 || length > maxBytes || mod < 0 {
			return nil, fmt.Errorf("key %d: no sound lengths", s.tree.Len())
		}
		text, err := r.bytes(int(size + length))
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", s.tree.Len(), err)
		}
		if err := s.put(item{text: string(text), size: int(size), mod: mod}); err != nil {
			return nil, err
		}
	}
	want := r.sum.Sum(nil)
	is, err := r.bytes(sha256.Size)
	if err != nil || string(is) != string(want) {
		return nil, errors.Join(errors.New("its sum does not fit"), err)
	}
	if _, err := r.from.ReadByte(); !errors.Is(err, io.EOF) {
		return nil, errors.Join(errors.New("it goes on after its end"), err)
	}
	return s, nil
}

// number reads one, or -1 for what is none: what comes after shows it.
func (r *summed) number() int64 {
	n, err := binary.ReadUvarint(r)
	if err != nil || int64(n) < 0 {
		return -1
	}
	return int64(n)
}

// ReadByte is that of [io.ByteReader].
func (r *summed) ReadByte() (byte, error) {
	b, err := r.from.ReadByte()
	if err == nil {
		r.sum.Write([]byte{b})
	}
	return b, err
}

// bytes reads n bytes, which it believes in as they come.
func (r *summed) bytes(n int) ([]byte, error) {
	const step = 1 << 20
	out := make([]byte, 0, min(n, step))
	for len(out) < n {
		from := len(out)
		out = append(out, make([]byte, min(step, n-from))...)
		if _, err := io.ReadFull(r.from, out[from:]); err != nil {
			return nil, err
		}
	}
	r.sum.Write(out)
	return out, nil
}
