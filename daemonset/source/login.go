package source

import (
	"context"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// login keeps etcd's token for a user. It is there instead of clientv3's own,
// which sends the old token along when it asks for a new one: etcd 3.4 refuses
// that one too, clientv3 asks for a new one in turn, and so on until the
// deadline. Besides, clientv3 keeps the password that it began with.
//
// It implements gRPC's credentials.PerRPCCredentials.
type login struct {
	user     string
	password func() (string, error) // as it is now
	token    chan string            // of capacity 1; who has taken it renews it

	// The rest belongs to who has taken the token.
	refused string // the password that etcd has refused
	why     error  // how
	until   time.Time
}

// refusedTime is how long a password that was refused is not tried again: all feeds come with the same one, and
// etcd hashes it at each login. It is shorter than the wait of a feed that has failed for long.
const refusedTime = maxDelay / 2

func newLogin(user string, password func() (string, error)) *login {
	l := &login{user: user, password: password, token: make(chan string, 1)}
	l.token <- ""
	return l
}

// current returns the token, and waits for who renews it.
func (l *login) current(ctx context.Context) (string, error) {
	select {
	case t := <-l.token:
		l.token <- t
		return t, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// renew gets a new token, unless somebody has since got another one than old.
// An etcd without authentication needs none.
func (l *login) renew(ctx context.Context, conn *grpc.ClientConn, old string) error {
	var t string
	select {
	case t = <-l.token:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { l.token <- t }()
	if t != old {
		return nil
	}
	password, err := l.password()
	if err != nil {
		return err
	}
	if password == l.refused && time.Now().Before(l.until) {
		return l.why
	}
	resp, err := pb.NewAuthClient(conn).Authenticate(ctx, &pb.AuthenticateRequest{Name: l.user, Password: password})
	switch {
	case is(err, rpctypes.ErrAuthNotEnabled):
		t = ""
		return nil
	case is(err, rpctypes.ErrAuthFailed):
		l.refused, l.why, l.until = password, rpctypes.Error(err), time.Now().Add(refusedTime)
		return l.why
	case err != nil:
		return rpctypes.Error(err)
	}
	t = resp.Token
	return nil
}

// wanted reports whether err says that a new token is needed.
func (l *login) wanted(err error) bool {
	return l.user != "" && (is(err, rpctypes.ErrInvalidAuthToken) || is(err, rpctypes.ErrAuthOldRevision) || is(err, rpctypes.ErrUserEmpty))
}

// GetRequestMetadata is called by gRPC for every call and stream.
func (l *login) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	info, _ := credentials.RequestInfoFromContext(ctx)
	if l.user == "" || info.Method == pb.Auth_Authenticate_FullMethodName {
		return nil, nil
	}
	t, err := l.current(ctx)
	if err != nil || t == "" {
		return nil, err
	}
	return map[string]string{rpctypes.TokenFieldNameGRPC: t}, nil
}

// RequireTransportSecurity is false: whether there is TLS says the endpoint.
func (l *login) RequireTransportSecurity() bool { return false }

// intercept is a grpc.StreamClientInterceptor. It logs in before each stream,
// which may live long and keeps the token that it began with.
func (l *login) intercept(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string,
	open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if l.user != "" {
		old, err := l.current(ctx)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		if err := l.renew(ctx, conn, old); err != nil {
			return nil, err
		}
	}
	return open(ctx, desc, conn, method, opts...)
}
