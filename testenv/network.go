package testenv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// openNetns opens the pod's network namespace, so that Dial needs no containerd.
func (p *Pod) openNetns(ctx context.Context) (*os.File, error) {
	r, err := p.node.runtime.PodSandboxStatus(ctx, &cri.PodSandboxStatusRequest{PodSandboxId: p.ID, Verbose: true})
	if err != nil {
		return nil, err
	}
	pid, err := infoPid(r.Info)
	if err != nil {
		return nil, err
	}
	return os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
}

// closeNetns may be called on a pod that never got so far, and twice.
func (p *Pod) closeNetns() error {
	if err := p.netns.Close(); err != nil && !errors.Is(err, os.ErrInvalid) && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// Dial connects from inside the pod's network namespace. The address must be a number,
// not a name: a look-up would happen on another thread, so in another namespace.
func (p *Pod) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		var r result
		r.err = within(p.netns, func() (err error) {
			var d net.Dialer
			r.conn, err = d.DialContext(ctx, network, addr)
			return err
		})
		done <- r
	}()
	r := <-done
	return r.conn, r.err
}

// within calls f on a thread that is in a network namespace. It goes back afterwards, since the
// thread may be the main one: that cannot be thrown away, and /proc/self is what it is in. Where it cannot go
// back it stays locked, so that no other goroutine meets it: call within from a goroutine that ends.
func within(netns *os.File, f func() error) error {
	runtime.LockOSThread()
	own, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer own.Close()
	if err := unix.Setns(int(netns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the pod's network: %w", err)
	}
	err = f()
	if e := unix.Setns(int(own.Fd()), unix.CLONE_NEWNET); e != nil {
		return errors.Join(err, fmt.Errorf("leave the pod's network: %w", e))
	}
	runtime.UnlockOSThread()
	return err
}

// Get fetches http://127.0.0.1:port/path inside the pod over a connection of its own. An
// answer other than 200 is an error.
func (p *Pod) Get(ctx context.Context, port int, path string) (string, error) {
	client := http.Client{Transport: &http.Transport{DialContext: p.Dial, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort("127.0.0.1", strconv.Itoa(port))+path, nil)
	if err != nil {
		return "", err
	}
	r, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(io.LimitReader(r.Body, 16<<20))
	if err != nil {
		return "", err
	}
	if r.StatusCode != http.StatusOK {
		return string(body), fmt.Errorf("GET :%d%s: %s", port, path, r.Status)
	}
	return string(body), nil
}
