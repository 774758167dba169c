package testenv

import (
	"archive/tar"
	"bytes"
	"io/fs"
	"os"
)

// layer is a tar file in the making; the first error stays. Its zero value is empty.
type layer struct {
	buf bytes.Buffer
	tw  *tar.Writer
	err error
}

func (l *layer) add(h *tar.Header, data []byte) {
	if l.tw == nil {
		l.tw = tar.NewWriter(&l.buf)
	}
	if l.err == nil {
		h.Size = int64(len(data))
		l.err = l.tw.WriteHeader(h)
	}
	if l.err == nil {
		_, l.err = l.tw.Write(data)
	}
}

func (l *layer) mkdir(name string, mode fs.FileMode) {
	bits := int64(mode.Perm())
	if mode&fs.ModeSticky != 0 {
		bits |= 0o1000
	}
	l.add(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: bits}, nil)
}

func (l *layer) symlink(name, target string) {
	l.add(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}, nil)
}

func (l *layer) file(name string, mode fs.FileMode, data []byte) {
	l.add(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: int64(mode.Perm())}, data)
}

// copy adds the file src, links followed, as name.
func (l *layer) copy(src, name string) error {
	info, err := os.Stat(src)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(src)
	if err != nil {
		return err
	}
	l.file(name, info.Mode(), data)
	return l.err
}

// close ends the tar file and returns it.
func (l *layer) close() ([]byte, error) {
	if l.err == nil {
		l.err = l.tw.Close()
	}
	return l.buf.Bytes(), l.err
}
