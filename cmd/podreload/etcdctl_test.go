package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEtcdctlWarnings(t *testing.T) {
	quiet := []string{
		"ETCDCTL_ENDPOINTS=a:1", "ETCDCTL_CACERT=/ca", "ETCDCTL_USER=me", "ETCDCTL_PASSWORD=x", "ETCDCTL_API=3",
		"ETCDCTL_INSECURE_SKIP_TLS_VERIFY=false", "ETCDCTL_INSECURE_TRANSPORT=true", "ETCDCTL_DISCOVERY_SRV=", "ETCDCTL_DIAL_TIMEOUT=1s",
	}
	if got := etcdctlWarnings(quiet); len(got) > 0 {
		t.Errorf("warnings for what is followed or does no harm: %q", got)
	}
	want := []string{
		"ETCDCTL_INSECURE_SKIP_TLS_VERIFY is not followed: etcd's certificate is always verified; name its authority with --cacert",
		"ETCDCTL_INSECURE_TRANSPORT is not followed: write https:// in --endpoints",
		"ETCDCTL_DISCOVERY_SRV is not followed: name the members with --endpoints",
		"ETCDCTL_API is not followed: podreload reads etcd's API 3",
		"ETCDCTL_USERNAME is not followed: it is ETCDCTL_USER now",
	}
	got := etcdctlWarnings([]string{"ETCDCTL_USERNAME=me", "ETCDCTL_API=2", "ETCDCTL_DISCOVERY_SRV=example.org",
		"ETCDCTL_INSECURE_TRANSPORT=false", "ETCDCTL_INSECURE_SKIP_TLS_VERIFY=1"})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
