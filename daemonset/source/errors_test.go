package source

import (
	"context"
	"errors"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestExplain(t *testing.T) {
	c := open(t, Config{Endpoints: []string{"http://one:2379", "http://two:2379"}, User: "me", Password: "secret"})
	const dial = `connection error: desc = "transport: Error while dialing: dial tcp 127.0.0.1:1: connect: connection refused"`
	for _, tc := range []struct {
		err   error
		class error // nil: none
		text  string
	}{
		{status.Error(codes.Unavailable, dial), ErrUnavailable,
			"waiting for etcd at http://one:2379, http://two:2379: dial tcp 127.0.0.1:1: connect: connection refused"},
		{status.Error(codes.Unavailable, "last connection error: "+dial), ErrUnavailable,
			"waiting for etcd at http://one:2379, http://two:2379: dial tcp 127.0.0.1:1: connect: connection refused"},
		{context.DeadlineExceeded, ErrUnavailable, "waiting for etcd at http://one:2379, http://two:2379: no answer in time"},
		{status.Error(codes.DeadlineExceeded, "slow"), ErrUnavailable, "waiting for etcd at http://one:2379, http://two:2379: no answer in time"},
		{rpctypes.ErrNoLeader, ErrUnavailable, "waiting for etcd at http://one:2379, http://two:2379: etcdserver: no leader"},
		{rpctypes.ErrGRPCNoLeader, ErrUnavailable, "waiting for etcd at http://one:2379, http://two:2379: etcdserver: no leader"},
		{errors.New(rpctypes.ErrGRPCPermissionDenied.Error()), ErrPermission,
			`etcd at http://one:2379, http://two:2379 denies reading /a, /b: grant user "me" the range: etcdctl role grant-permission ROLE read /a /a0; etcdctl role grant-permission ROLE read /b /b0`},
		{rpctypes.ErrAuthFailed, ErrCredentials, `etcd at http://one:2379, http://two:2379 refuses user "me": wrong user or password`},
		{status.Error(codes.Unavailable, `connection error: desc = "transport: authentication handshake failed: x509: certificate signed by unknown authority"`), ErrCredentials,
			"TLS with etcd at http://one:2379, http://two:2379: authentication handshake failed: x509: certificate signed by unknown authority: check --cacert, --cert and --key"},
		{rpctypes.ErrTooManyOps, nil, "reading /a, /b from etcd at http://one:2379, http://two:2379: etcdserver: too many operations in txn request"},
		{context.Canceled, nil, "context canceled"},
	} {
		err := c.explain(tc.err, []string{"/a", "/b"})
		if err.Error() != tc.text {
			t.Errorf("%v:\n got %q\nwant %q", tc.err, err, tc.text)
		}
		for _, class := range []error{ErrUnavailable, ErrPermission, ErrCredentials} {
			if errors.Is(err, class) != (class == tc.class) {
				t.Errorf("%q: Is(%q) is %v", err, class, errors.Is(err, class))
			}
		}
		if !errors.Is(err, tc.err) {
			t.Errorf("%q lost its cause", err)
		}
		if again := c.explain(err, nil); errors.Is(err, ErrUnavailable) && again != err {
			t.Errorf("%q explained again: %q", err, again)
		}
	}
}

// FuzzPlain feeds what another server may send as its error.
func FuzzPlain(f *testing.F) {
	f.Add(`connection error: desc = "transport: x"`)
	f.Add(`desc = "`)
	f.Add(`desc = "" desc = "`)
	f.Fuzz(func(t *testing.T, text string) {
		got := plain(status.Error(codes.Unavailable, text))
		if !strings.Contains(text, got) {
			t.Errorf("plain(%q) = %q", text, got)
		}
	})
}
