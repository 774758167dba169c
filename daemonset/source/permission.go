package source

import (
	"context"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// denied narrows keys to those that the user may not read, where err says that
// there are some: etcd refuses a transaction as a whole and does not say why.
func (c *Client) denied(ctx context.Context, err error, keys []string) []string {
	const most = 32 // questions; with more keys a person needs a look at the roles anyway
	if !is(err, rpctypes.ErrPermissionDenied) || len(keys) == 1 || len(keys) > most {
		return keys
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var out []string
	for _, key := range keys {
		var ops []clientv3.Op
		for _, sp := range spans([]string{key}) {
			ops = append(ops, sp.get(clientv3.WithKeysOnly(), clientv3.WithLimit(1)))
		}
		switch _, err := c.txn(ctx, ops); {
		case is(err, rpctypes.ErrPermissionDenied):
			out = append(out, key)
		case err != nil:
			return keys
		}
	}
	if len(out) == 0 { // granted meanwhile
		return keys
	}
	return out
}

// who is the one that etcd asks for permission.
func (c *Client) who() string {
	if c.login.user == "" {
		return "the user that the certificate of --cert names"
	}
	return fmt.Sprintf("user %q", c.login.user)
}

// grants are the commands that let one of the user's roles read keys. The range
// takes in siblings such as key+"-old"; roles that grant the key and its prefix
// apart are enough too, at the price of a full read for each change (see mode).
func grants(keys []string) string {
	const most = 3
	var out []string
	for _, key := range keys[:min(len(keys), most)] {
		out = append(out, fmt.Sprintf("etcdctl role grant-permission ROLE read %s %s", quote(key), quote(after(key))))
	}
	if len(keys) > most {
		out = append(out, "…")
	}
	return strings.Join(out, "; ")
}

// quote quotes for a shell what needs it.
func quote(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-:@%+=") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
