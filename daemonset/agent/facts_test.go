package agent_test

import (
	"fmt"
	"testing"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/testenv"
)

// TestTemplatesAskTheContainer: files, names and addresses are the container's own, and what
// changes there shows at the next look.
func TestTemplatesAskTheContainer(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.resource(r.name, "dest = \"/tmp/file\"\nowner = \"www-data\"\ngroup = \"shadow\"")
	r.write(map[string]string{"templates/" + r.name + ".tmpl": `{{getv "/value"}} {{fileExists "/tmp/flag"}} {{join (lookupIP "shop.test") ","}}{{join (lookupIP "unknown.test") ","}} {{lookupIfaceIPV4 "lo"}} {{hostname}}`})
	p := r.pod(testenv.PodConfig{})
	c := p.Container("nginx")
	// The container's own tables, which are not the node's.
	exec(t, c, "echo '192.0.2.7 shop.test' >>/etc/hosts; echo nameserver 127.0.0.9 >/etc/resolv.conf; echo 'www-data:x:4242:4242::/:/bin/sh' >/etc/passwd; echo 'shadow:x:4343:' >/etc/group")
	host := exec(t, c, "hostname")
	r.start()
	r.applied(c, r.put("one"))
	if got, want := exec(t, c, "cat /tmp/file; stat -c ' %u %g' /tmp/file"), fmt.Sprintf("one false 192.0.2.7 127.0.0.1 %s 4242 4343", host); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	exec(t, c, "touch /tmp/flag")
	r.applied(c, r.put("two"))
	if got, want := exec(t, c, "cat /tmp/file"), fmt.Sprintf("two true 192.0.2.7 127.0.0.1 %s", host); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestUnknownOwner is said, with the file that has no such line, and nothing is written.
func TestUnknownOwner(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.resource(r.name, "dest = \"/tmp/file\"\nowner = \"nobody-knows\"")
	c := r.pod(testenv.PodConfig{}).Container("nginx")
	r.start()
	r.put("one")
	r.in(c, daemonset.Failed, `"nobody-knows"`, "/etc/passwd")
	exec(t, c, "! test -e /tmp/file")
}
