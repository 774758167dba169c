package state

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"syscall"
)

// folder is one directory that is the caller's alone.
type folder struct {
	root *os.Root
	dir  string
	flag string // that names another
}

// openFolder opens the directory and makes it if it is missing. It refuses one that is
// not the caller's own or that others may write to. One that is there keeps its mode: a person
// has named it, and it may be a directory that others use, too. What is made in it is closed.
func openFolder(dir, flag string, mode os.FileMode, subs ...string) (f folder, err error) {
	if err := os.MkdirAll(dir, mode); err != nil {
		return folder{}, fmt.Errorf("state: %w; run as root or name another directory with %s", err, flag)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return folder{}, fmt.Errorf("state: %w; run as root or name another directory with %s", err, flag)
	}
	f = folder{root: root, dir: dir, flag: flag}
	defer func() {
		if err != nil {
			root.Close()
		}
	}()
	if err := f.private(mode); err != nil {
		return folder{}, err
	}
	for _, sub := range subs {
		if err := root.Mkdir(sub, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return folder{}, fmt.Errorf("state: %w", err)
		}
	}
	return f, nil
}

func (f folder) private(mode os.FileMode) error {
	info, err := f.root.Stat(".")
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	if int(owner) != os.Geteuid() || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("state: %s belongs to user %d with mode %v; it must belong to user %d and be writable by no other (chmod %o)",
			f.dir, owner, info.Mode().Perm(), os.Geteuid(), mode)
	}
	return nil
}

// replace gives a file its new text by way of another, whole or not at all. Not synced:
// what lies below --state ends with the boot, and what does not is better old than late.
func (f folder) replace(staged, name string, text []byte) error {
	if err := f.root.WriteFile(staged, text, 0o600); err != nil {
		return errors.Join(err, f.drop(staged))
	}
	return f.root.Rename(staged, name)
}

// write gives a file its new contents, whole or not at all, also where the node loses its
// power at once after.
func (f folder) write(staged, name string, contents func(io.Writer) error) error {
	file, err := f.root.OpenFile(staged, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = contents(file)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, f.drop(staged))
	}
	if err := f.root.Rename(staged, name); err != nil {
		return err
	}
	dir, err := f.root.Open(path.Dir(name)) // which has the new name
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// writeText is write of a text that is there.
func (f folder) writeText(staged, name string, text []byte) error {
	return f.write(staged, name, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}

// drop removes a file that may not be there.
func (f folder) drop(name string) error {
	if err := f.root.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// read reads a document that is small.
func (f folder) read(name string) ([]byte, error) {
	file, err := f.root.Open(name)
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxStatus+1))
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	return text, nil
}
