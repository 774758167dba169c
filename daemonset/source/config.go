package source

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
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
	if (c.User == "") != (c.Password == "") {
		return clientv3.Config{}, errors.New("etcd needs a user and a password, or neither: set --user and --password-file")
	}
	secure, err := c.secure()
	if err != nil {
		return clientv3.Config{}, err
	}
	tlsConfig, err := c.tls()
	if err != nil {
		return clientv3.Config{}, err
	}
	if tlsConfig != nil && !secure {
		return clientv3.Config{}, fmt.Errorf("certificates are set, but etcd endpoint %s is not TLS: write https://", c.Endpoints[0])
	}
	timeout := c.DialTimeout
	if timeout <= 0 {
		timeout = 5 * time.Second
	}
	return clientv3.Config{
		Endpoints:            c.Endpoints,
		TLS:                  tlsConfig,
		Username:             c.User,
		Password:             c.Password,
		DialTimeout:          timeout,
		DialKeepAliveTime:    10 * time.Second,
		DialKeepAliveTimeout: 3 * time.Second,
		MaxCallSendMsgSize:   2 << 20,
		MaxCallRecvMsgSize:   maxMessage,
		MaxUnaryRetries:      3, // enough to renew a token; feeds have a backoff of their own
		Logger:               zap.NewNop(),
		DialOptions: []grpc.DialOption{
			// gRPC's own ceiling of 120 s would keep a feed away from an
			// etcd that has long been back.
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           grpcbackoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
				MinConnectTimeout: timeout,
			}),
		},
	}, nil
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

// tls returns nil where no certificate file is named; https then uses the
// system's authorities.
func (c Config) tls() (*tls.Config, error) {
	if (c.Cert == "") != (c.Key == "") {
		return nil, errors.New("an etcd client certificate needs both --cert and --key")
	}
	if c.CACert == "" && c.Cert == "" {
		return nil, nil
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CACert != "" {
		pem, err := os.ReadFile(c.CACert)
		if err != nil {
			return nil, fmt.Errorf("reading etcd's CA certificate: %w", err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("no certificate in %s: --cacert needs a PEM file", c.CACert)
		}
	}
	if c.Cert != "" {
		load := func() (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
			if err != nil {
				return nil, fmt.Errorf("loading etcd client certificate %s with key %s: %w", c.Cert, c.Key, err)
			}
			return &pair, nil
		}
		if _, err := load(); err != nil {
			return nil, err
		}
		// Loaded again for every connection, so a renewed certificate needs
		// no restart.
		out.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	}
	return out, nil
}
