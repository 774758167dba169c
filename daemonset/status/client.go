package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/podreload/podreload/daemonset"
)

// ErrNoDaemon: nobody listens at the socket.
var ErrNoDaemon = errors.New("no podreload daemon runs with this --state")

// maxAnswer bounds what is read of an answer that is no stream.
const maxAnswer = 64 << 20

// Client talks to the agent of a state directory.
type Client struct {
	http http.Client
	path string // of the socket
}

// NewClient is for the agent of the state directory dir. Nothing is opened yet.
func NewClient(dir string) *Client {
	path := filepath.Join(dir, SocketName)
	return &Client{path: path, http: http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}}
}

// Status is how the node stands.
func (c *Client) Status(ctx context.Context) (Report, error) {
	var r Report
	body, err := c.do(ctx, http.MethodGet, "/v1/status", nil)
	if err != nil {
		return r, err
	}
	defer body.Close()
	if err := json.NewDecoder(io.LimitReader(body, maxAnswer)).Decode(&r); err != nil {
		return r, fmt.Errorf("the daemon's answer: %w", err)
	}
	return r, nil
}

// Wake makes the agent look at all targets again.
func (c *Client) Wake(ctx context.Context) error {
	body, err := c.do(ctx, http.MethodPost, "/v1/wake", nil)
	if err != nil {
		return err
	}
	return body.Close()
}

// Events hands the last n events of after since to each, oldest first, and with follow those
// that come, until ctx ends, the agent does, or each returns an error.
func (c *Client) Events(ctx context.Context, since time.Time, n int, follow bool, each func(daemonset.Event) error) error {
	q := url.Values{"last": {strconv.Itoa(n)}}
	if !since.IsZero() {
		q.Set("since", since.Format(time.RFC3339Nano))
	}
	if follow {
		q.Set("follow", "1")
	}
	body, err := c.do(ctx, http.MethodGet, "/v1/events", q)
	if err != nil {
		return err
	}
	defer body.Close()
	for d := json.NewDecoder(body); ; {
		var e daemonset.Event
		switch err := d.Decode(&e); {
		case errors.Is(err, io.EOF):
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return fmt.Errorf("the daemon's events: %w", err)
		}
		if err := each(e); err != nil {
			return err
		}
	}
}

func (c *Client) do(ctx context.Context, method, path string, q url.Values) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://podreload"+path+"?"+q.Encode(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, ErrNoDaemon
	}
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // its text has an address that nobody can look up
		}
		return nil, fmt.Errorf("ask the daemon at %s: %w", c.path, err)
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1000)) // as much as there is
		resp.Body.Close()
		return nil, fmt.Errorf("the daemon answers %s: %s", resp.Status, strings.TrimSpace(string(text)))
	}
	return resp.Body, nil
}
