package daemonset

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io/fs"
)

// File is one file, as it has to stand in a container.
type File struct {
	Resource string // the template resource that made it, its path below conf.d; empty for what was there before
	Path     string // absolute, as the container sees it
	Data     []byte
	Absent   bool // there has to be none; the rest but Path counts for nothing

	// Mode, UID and GID are set where the resource says so. Nil means: the
	// existing file's, else 0644 and the container's user.
	Mode     *fs.FileMode
	UID, GID *uint32

	// Owner and Group are names, to be looked up as the container knows them;
	// empty where UID or GID is set, or the resource does not say.
	Owner, Group string

	Mkdir     bool // make missing parent directories
	Sensitive bool // never in a diff, a history or a log
	Remove    bool // it goes when its resource does
}

// Digest is the identity of a set of files: equal digests mean that nothing
// has to change inside. It covers paths, contents, and what is fixed of mode
// and owner, in the order given.
func Digest(files []File) string {
	h := sha256.New()
	field := func(b []byte) {
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(b))))
		h.Write(b)
	}
	number := func(set bool, n uint32) {
		if !set {
			h.Write([]byte{0})
			return
		}
		h.Write(binary.LittleEndian.AppendUint32([]byte{1}, n))
	}
	for _, f := range files {
		field([]byte(f.Path))
		field(f.Data)
		number(f.Mode != nil, uint32(value(f.Mode)))
		number(f.UID != nil, value(f.UID))
		number(f.GID != nil, value(f.GID))
		number(f.Absent, 0)
		if f.Owner != "" || f.Group != "" {
			h.Write([]byte("names"))
			field([]byte(f.Owner))
			field([]byte(f.Group))
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
