package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// etcdctlVariable is one that etcdctl reads and podreload does not, though it
// would change which etcd is read, or by whom. Those that only tune etcdctl
// (timeouts, output) are not missed.
type etcdctlVariable struct {
	name    string
	harmful func(value string) bool // nil: whenever it is set
	instead string
}

var etcdctlVariables = []etcdctlVariable{
	{"ETCDCTL_INSECURE_SKIP_TLS_VERIFY", isTrue, "etcd's certificate is always verified; name its authority with --cacert"},
	{"ETCDCTL_INSECURE_TRANSPORT", isFalse, "write https:// in --endpoints"},
	{"ETCDCTL_DISCOVERY_SRV", nil, "name the members with --endpoints"},
	{"ETCDCTL_DISCOVERY_SRV_NAME", nil, "name the members with --endpoints"},
	{"ETCDCTL_AUTH_JWT_TOKEN", nil, "log in with --user and --password-file"},
	{"ETCDCTL_API", func(v string) bool { return v != "3" }, "podreload reads etcd's API 3"},
	// etcdctl's names for API 2.
	{"ETCDCTL_ENDPOINT", nil, "it is ETCDCTL_ENDPOINTS now"},
	{"ETCDCTL_PEERS", nil, "it is ETCDCTL_ENDPOINTS now"},
	{"ETCDCTL_CA_FILE", nil, "it is ETCDCTL_CACERT now"},
	{"ETCDCTL_CERT_FILE", nil, "it is ETCDCTL_CERT now"},
	{"ETCDCTL_KEY_FILE", nil, "it is ETCDCTL_KEY now"},
	{"ETCDCTL_USERNAME", nil, "it is ETCDCTL_USER now"},
}

func isTrue(v string) bool {
	b, err := strconv.ParseBool(v)
	return b || err != nil
}

func isFalse(v string) bool {
	b, err := strconv.ParseBool(v)
	return !b && err == nil
}

// etcdctlWarnings names what stands in the environment for etcdctl and is not
// followed.
func etcdctlWarnings(environ []string) (out []string) {
	for _, v := range etcdctlVariables {
		set := slices.ContainsFunc(environ, func(e string) bool {
			name, value, _ := strings.Cut(e, "=")
			return name == v.name && value != "" && (v.harmful == nil || v.harmful(value))
		})
		if set {
			out = append(out, fmt.Sprintf("%s is not followed: %s", v.name, v.instead))
		}
	}
	return out
}
