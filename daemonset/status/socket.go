package status

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
)

// SocketName is the socket's name in the state directory.
const SocketName = "podreload.sock"

// longestPath is what fits into a socket's address.
const longestPath = 107

// listenSocket makes the socket, for root alone: others may pass the state directory, but not
// connect to what they may not write to. There is no look at who the peer is, since the mode
// says it already. It gets its name only when it has its mode, in the place of one that a
// killed daemon has left.
func listenSocket(dir string) (net.Listener, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	fail := func(err error) (net.Listener, error) {
		return nil, fmt.Errorf("the socket of podreload status: %w", err)
	}
	private := filepath.Join(dir, ".new")
	path, fresh := filepath.Join(dir, SocketName), filepath.Join(private, SocketName)
	if len(fresh) > longestPath {
		return fail(fmt.Errorf("the path of %s is too long for a socket, %d bytes of %d; name a shorter --state", path, len(fresh), longestPath))
	}
	if err := os.RemoveAll(private); err != nil {
		return fail(err)
	}
	if err := os.Mkdir(private, 0o700); err != nil {
		return fail(err)
	}
	defer os.RemoveAll(private)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: fresh, Net: "unix"})
	if err != nil {
		return fail(err)
	}
	l.SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(fresh, 0o600), os.Rename(fresh, path)); err != nil {
		return fail(errors.Join(err, l.Close()))
	}
	return &named{UnixListener: l, path: path}, nil
}

// named takes its name away when it closes.
type named struct {
	*net.UnixListener
	path string
	once sync.Once
}

// Close is that of [net.Listener].
func (n *named) Close() (err error) {
	n.once.Do(func() { err = errors.Join(os.Remove(n.path), n.UnixListener.Close()) })
	return err
}
