package source

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Classes of trouble, for errors.Is. None of them is final: a feed keeps trying
// and recovers by itself once its cause is gone.
var (
	ErrUnavailable = errors.New("etcd is not available")        // not reachable, no leader, no answer in time
	ErrCredentials = errors.New("etcd refuses the credentials") // user, password or certificates
	ErrPermission  = errors.New("permission denied by etcd")    // the user may not read the keys
	ErrClosed      = errors.New("the etcd client is closed")    // by Client.Close or Subscription.Close
	ErrConnecting  = errors.New("connecting")                   // with ErrUnavailable: nobody knows yet whether etcd answers
)

// failure is an error in words for people that still carries its class and
// its cause.
type failure struct {
	class, cause error
	text         string
}

func (f *failure) Error() string   { return f.text }
func (f *failure) Unwrap() []error { return []error{f.class, f.cause} }

// explain gives err, which came of reading keys, its class and words.
func (c *Client) explain(err error, keys []string) error {
	at := strings.Join(c.config.Endpoints, ", ")
	text := plain(err)
	say := func(class error, format string, args ...any) error {
		return &failure{class: class, cause: err, text: fmt.Sprintf(format, args...)}
	}
	switch {
	case err == nil, errors.As(err, new(*failure)):
		return err
	case c.ctx.Err() != nil:
		return ErrClosed
	case errors.Is(err, context.Canceled):
		return err
	case is(err, rpctypes.ErrPermissionDenied):
		return say(ErrPermission, "etcd at %s denies reading %s: grant %s the range: %s",
			at, strings.Join(keys, ", "), c.who(), grants(keys))
	case is(err, rpctypes.ErrUserEmpty):
		return say(ErrCredentials, "etcd at %s wants a login: set --user and --password-file", at)
	case is(err, rpctypes.ErrAuthFailed):
		return say(ErrCredentials, "etcd at %s refuses user %q: wrong user or password", at, c.login.user)
	case is(err, rpctypes.ErrInvalidAuthToken), is(err, rpctypes.ErrAuthOldRevision):
		return say(ErrCredentials, "etcd at %s no longer takes the login of user %q: logging in again", at, c.login.user)
	case strings.Contains(text, "tls: "), strings.Contains(text, "x509: "), strings.Contains(text, "authentication handshake failed"):
		return say(ErrCredentials, "TLS with etcd at %s: %s: check --cacert, --cert and --key", at, text)
	case outOfTime(err):
		return say(ErrUnavailable, "waiting for etcd at %s: no answer in time", at)
	case is(err, rpctypes.ErrGRPCNotSupportedForLearner):
		return say(ErrUnavailable, "waiting for etcd at %s: a learner serves neither reads nor watches; give --endpoints the members that vote", at)
	case code(err) == codes.Unavailable:
		return say(ErrUnavailable, "waiting for etcd at %s: %s", at, text)
	}
	return fmt.Errorf("reading %s from etcd at %s: %w", strings.Join(keys, ", "), at, err)
}

// code is the gRPC code of err, which clientv3 keeps in a type of its own where
// it knows the error.
func code(err error) codes.Code {
	if e := (rpctypes.EtcdError{}); errors.As(err, &e) {
		return e.Code()
	}
	return status.Code(err)
}

// is matches an error of etcd also where only its text came across, which is
// all that a refused watch has.
func is(err error, want error) bool {
	return errors.Is(err, want) || err != nil && strings.Contains(err.Error(), rpctypes.ErrorDesc(want))
}

// outOfTime says that a deadline was missed, which may be the caller's.
func outOfTime(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || code(err) == codes.DeadlineExceeded
}

// elsewhere says that this member cannot serve, and another may: it is cut off from
// the others, or only learns from them.
func elsewhere(err error) bool {
	return is(err, rpctypes.ErrNoLeader) || is(err, rpctypes.ErrGRPCNotSupportedForLearner)
}

// plain strips gRPC's wrapping from a connection error: the innermost
// description is what a person needs.
func plain(err error) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	if s, ok := status.FromError(err); ok {
		text = s.Message()
	}
	if i := strings.LastIndex(text, `desc = "`); i >= 0 {
		text = text[i+len(`desc = "`):]
		if j := strings.LastIndexByte(text, '"'); j >= 0 {
			text = text[:j]
		}
	}
	text = strings.TrimPrefix(text, "transport: ")
	return strings.TrimPrefix(text, "Error while dialing: ")
}
