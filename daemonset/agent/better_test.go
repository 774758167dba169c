package agent_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/testenv"
)

// Tests of what hurts confd's users, each named after what it mends. More of them are
// where the mending is: in config_test.go, reload_test.go, and packages source and
// template.

// TestFailedCheckIsRetried: a check that failed is made again, though no key changes.
func TestFailedCheckIsRetried(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.resource(r.name, "dest = \"/tmp/file\"\ncheck_cmd = \"echo not yet; test -e /tmp/ready && grep value {{.src}}\"", `check = "preset"`)
	c := r.pod(testenv.PodConfig{}).Container("nginx")
	r.start()
	revision := r.put("value")
	r.in(c, daemonset.Refused, "not yet")
	exec(t, c, "! test -e /tmp/file && touch /tmp/ready")
	r.applied(c, revision)
	exec(t, c, "grep value /tmp/file")
}

// TestFailedRenderIsRetried: a template that failed is rendered again when what it lacked
// is there, also when that came while it was being rendered.
func TestFailedRenderIsRetried(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	p := r.pod(testenv.PodConfig{})
	c := p.Container("nginx")
	r.start()
	r.in(c, daemonset.Failed, "key does not exist")
	r.live(c, r.put("here"))
	serves(t, p, "here")
}

// TestDeletedKeyTakesEffect: what a template makes of a key that is gone is what is in
// place, and the server is told.
func TestDeletedKeyTakesEffect(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.write(map[string]string{"templates/" + r.name + ".tmpl": `server { listen 80; location / { return 200 "{{getv "/value" "gone"}}"; } }`})
	p := r.pod(testenv.PodConfig{})
	c := p.Container("nginx")
	r.start()
	r.live(c, r.put("here"))
	serves(t, p, "here")
	resp, err := r.etcd.Client().Delete(t.Context(), r.key("value"))
	if err != nil {
		t.Fatal(err)
	}
	r.live(c, resp.Header.Revision)
	serves(t, p, "gone")
}

// TestPrivateKeyStaysOutOfSight: of a sensitive file there is no copy but where --state is,
// readable by root alone, and its content is in no diff and no log.
func TestPrivateKeyStaysOutOfSight(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.resource(r.name, "dest = \""+conf+"\"\nsensitive = true\nmode = \"0600\"", `process = "nginx"`, `check = "preset"`, `namespaces = ["default"]`)
	c := r.pod(testenv.PodConfig{}).Container("nginx")
	r.start()
	const secret = "thesecretvalue"
	r.live(c, r.put(secret))
	r.put("x\"; no_such_directive " + secret + " \"")
	s := r.in(c, daemonset.Refused)
	if strings.Contains(s.Reason, secret) {
		t.Errorf("the reason tells it: %s", s.Reason)
	}
	differences, err := r.applier.Look(t.Context(), r.manual(c), true)
	if err != nil || len(differences) != 1 || !differences[0].Changed || differences[0].Inside != nil {
		t.Errorf("a diff has %+v, %v; want that it differs, and no content", differences, err)
	}
	r.stop()
	if strings.Contains(r.said.String(), secret) {
		t.Errorf("the log tells it: %s", r.said)
	}
	found := 0
	look := func(path string, d fs.DirEntry) error {
		text, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(text), secret) {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if found++; info.Mode().Perm() != 0o600 || !strings.HasPrefix(path, r.path("run")) {
			t.Errorf("a copy is in %s, mode %v", path, info.Mode())
		}
		return nil
	}
	err = filepath.WalkDir(r.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			err = look(path, d)
		}
		if errors.Is(err, fs.ErrNotExist) { // of a twin, which is cleared away behind the answer
			return nil
		}
		return err
	})
	if err != nil || found == 0 {
		t.Errorf("%d copies, %v: the test shows nothing", found, err)
	}
}
