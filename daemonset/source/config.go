package source

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	grpcbackoff "google.golang.org/grpc/backoff"
)

// Config says where etcd is and who asks. CACert, Cert and Key are files, as
// etcdctl's flags of the same names.
type Config struct {
	Endpoints         []string // URLs, or host:port; all of one cluster
	CACert, Cert, Key string
	User, Password    string
	PasswordFile      string        // instead of Password: its first line; read again when etcd refuses the login
	DialTimeout       time.Duration // for one connection attempt and its login; 0: 5 s
}

const (
	callTimeout = 5 * time.Second // for every unary call
	// maxMessage caps one answer. Reads shrink their pages to it; a watch
	// answer above it (a burst of huge values) ends in a full read. etcd's own
	// default limit for a request is 1.5 MiB.
	maxMessage = 64 << 20
)

// client turns c into clientv3's form, with files read and checked.
func (c Config) client() (clientv3.Config, error) {
	if len(c.Endpoints) == 0 {
		return clientv3.Config{}, errors.New("no etcd endpoint given: set --endpoints")
	}
	password, err := c.password()
	if err != nil {
		return clientv3.Config{}, err
	}
	if (c.User == "") != (password == "") {
		return clientv3.Config{}, errors.New("etcd needs a user and a password, or neither: set --user and --password-file")
	}
	if (c.Cert == "") != (c.Key == "") {
		return clientv3.Config{}, errors.New("an etcd client certificate needs both --cert and --key")
	}
	secure, err := c.secure()
	if err != nil {
		return clientv3.Config{}, err
	}
	certificates := c.CACert != "" || c.Cert != ""
	if certificates && !secure {
		return clientv3.Config{}, fmt.Errorf("certificates are set, but etcd endpoint %s is not TLS: write https://", c.Endpoints[0])
	}
	dial := []grpc.DialOption{}
	if certificates {
		if _, err := c.tls(); err != nil {
			return clientv3.Config{}, err
		}
		dial = append(dial, grpc.WithTransportCredentials(freshTLS{c.tls}))
	}
	timeout := c.DialTimeout
	if timeout <= 0 {
		timeout = 5 * time.Second
	}
	return clientv3.Config{
		Endpoints:            c.Endpoints,
		DialTimeout:          timeout,
		DialKeepAliveTime:    10 * time.Second,
		DialKeepAliveTimeout: 3 * time.Second,
		MaxCallSendMsgSize:   2 << 20,
		MaxCallRecvMsgSize:   maxMessage,
		MaxUnaryRetries:      1, // we repeat what is worth it ourselves
		Logger:               zap.NewNop(),
		DialOptions: append(dial,
			// gRPC's own ceiling of 120 s would keep a feed away from an
			// etcd that has long been back.
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           grpcbackoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.5, MaxDelay: 2 * time.Second},
				MinConnectTimeout: timeout,
			})),
	}, nil
}

// password is etcd's password as it is now.
func (c Config) password() (string, error) {
	if c.PasswordFile == "" {
		return c.Password, nil
	}
	f, err := os.Open(c.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("password file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return "", fmt.Errorf("password file: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if line = strings.TrimSuffix(line, "\r"); line == "" {
		return "", fmt.Errorf("password file %s: its first line is empty", c.PasswordFile)
	}
	return line, nil
}

// secure reports whether the endpoints are TLS ones; all must agree, since
// clientv3 takes the first one's word for all. Without a scheme it is TLS
// where certificates are set.
func (c Config) secure() (bool, error) {
	var plain, secure string
	for _, e := range c.Endpoints {
		u, err := url.Parse(e)
		switch {
		case strings.TrimSpace(e) == "":
			return false, errors.New("an etcd endpoint is empty: check --endpoints")
		case err == nil && u.User != nil:
			return false, fmt.Errorf("etcd endpoint %s names a user: use --user and --password-file", u.Redacted())
		case strings.HasPrefix(e, "http://"):
			plain = e
		case strings.HasPrefix(e, "https://"):
			secure = e
		}
	}
	if plain != "" && secure != "" {
		return false, fmt.Errorf("etcd endpoints mix %s and %s: use one scheme for all", plain, secure)
	}
	return plain == "", nil
}
