package source

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"google.golang.org/grpc/credentials"
)

// freshTLS is gRPC's TLS whose files are read again for every connection, so
// that certificates and authorities can be renewed on disk without a restart.
//
// A tls.Config alone cannot do that for the authorities: its only hook that
// sees the server's certificate in time, VerifyConnection, does not learn the
// name to verify where that is an address, since a client sends no server name
// then.
type freshTLS struct {
	load func() (*tls.Config, error)
}

func (f freshTLS) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	config, err := f.load()
	if err != nil {
		return nil, nil, err
	}
	return credentials.NewTLS(config).ClientHandshake(ctx, authority, conn)
}

func (f freshTLS) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("these credentials are a client's")
}

func (f freshTLS) Info() credentials.ProtocolInfo          { return credentials.NewTLS(&tls.Config{}).Info() }
func (f freshTLS) Clone() credentials.TransportCredentials { return f }
func (f freshTLS) OverrideServerName(string) error         { return nil } // gRPC gives the name with each handshake

// tls reads the certificate files that are named.
func (c Config) tls() (*tls.Config, error) {
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CACert != "" {
		pem, err := readPEM(c.CACert)
		if err != nil {
			return nil, fmt.Errorf("reading etcd's CA certificate: %w", err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("no certificate in %s: --cacert needs a PEM file", c.CACert)
		}
	}
	if c.Cert != "" {
		pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			return nil, fmt.Errorf("loading etcd client certificate %s with key %s: %w", c.Cert, c.Key, err)
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out, nil
}

// readPEM reads no more than any bundle of authorities has.
func readPEM(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 4<<20))
}
