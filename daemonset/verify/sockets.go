package verify

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
)

// sockets says of what families listening sockets are.
type sockets uint8

const (
	overTCP sockets = 1 << iota
	overUnix
)

// Caps on what is read to tell who listens. The kernel prints TCP sockets that
// listen before all others, so that connections, however many, are not read.
const (
	maxSockets = 128 << 10 // lines of one file
	maxLine    = 512       // a unix socket's name is at most 108 bytes
)

// listeners are the sockets that listen in a network namespace.
type listeners map[uint64]sockets // by inode

// readListeners reads those in the network namespace of a process.
func readListeners(pid int) (listeners, error) {
	all := listeners{}
	for _, of := range []struct {
		file   string
		family sockets
		parse  func([]byte) (inode uint64, more bool, err error)
	}{
		{"net/tcp", overTCP, parseTCP}, {"net/tcp6", overTCP, parseTCP}, {"net/unix", overUnix, parseUnix},
	} {
		if err := all.read(fmt.Sprintf("/proc/%d/%s", pid, of.file), of.family, of.parse); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (l listeners) read(file string, family sockets, parse func([]byte) (uint64, bool, error)) error {
	f, err := os.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil // a kernel without that family, or a process that has gone
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := l.scan(f, family, parse); err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	return nil
}

func (l listeners) scan(r io.Reader, family sockets, parse func([]byte) (uint64, bool, error)) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, maxLine), maxLine)
	lines.Scan() // the names of the columns
	for n := 0; lines.Scan(); n++ {
		if n == maxSockets {
			return fmt.Errorf("%w: more than %d sockets in its network", ErrUnprovable, maxSockets)
		}
		inode, more, err := parse(lines.Bytes())
		if err != nil {
			return err
		}
		if inode != 0 {
			l[inode] = family
		}
		if !more {
			break
		}
	}
	return lines.Err()
}

// parseTCP reads a line of /proc/PID/net/tcp or tcp6 (proc_pid_net(5)): the
// fourth column is the state, and 0A is TCP_LISTEN; the tenth is the inode.
// There are no more behind the first that does not listen.
func parseTCP(line []byte) (inode uint64, more bool, err error) {
	fields := bytes.Fields(line)
	if len(fields) < 10 {
		return 0, false, fmt.Errorf("%d columns of 10", len(fields))
	}
	if string(fields[3]) != "0A" {
		return 0, false, nil
	}
	inode, err = strconv.ParseUint(string(fields[9]), 10, 64)
	return inode, err == nil, err
}

// parseUnix reads a line of /proc/PID/net/unix: the fourth column has the flags,
// of which 00010000 (__SO_ACCEPTCON) says that it listens; the seventh is the
// inode, and the rest of the line, if any, the container's to write.
func parseUnix(line []byte) (inode uint64, more bool, err error) {
	fields := bytes.Fields(line)
	if len(fields) < 7 {
		// A name with a line feed in it looks like a line of its own.
		return 0, true, nil
	}
	if string(fields[3]) != "00010000" {
		return 0, true, nil
	}
	inode, err = strconv.ParseUint(string(fields[6]), 10, 64)
	if err != nil {
		return 0, true, nil
	}
	return inode, true, nil
}
