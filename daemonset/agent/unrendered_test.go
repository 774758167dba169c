package agent_test

import (
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/agent"
	"github.com/podreload/podreload/testenv"
)

// TestFinishedThoughNotRendered: what was begun is finished though what etcd has meanwhile
// makes no files, so that nothing stays half done.
func TestFinishedThoughNotRendered(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.resource(r.name, "dest = \"/tmp/file\"\nreload_cmd = \"test -e /tmp/ready && echo ran >>/tmp/log\"")
	c := r.pod(testenv.PodConfig{}).Container("nginx")
	r.start()
	r.put("one")
	r.in(c, daemonset.Failed, "exit code 1")
	if _, err := r.etcd.Client().Delete(t.Context(), r.key("value")); err != nil {
		t.Fatal(err)
	}
	r.in(c, daemonset.Failed, "key does not exist")
	exec(t, c, "echo torn >/tmp/file; touch /tmp/ready")
	s := r.await(c, "the reload is made", func(s daemonset.Status) bool { return !s.Owed })
	if s.State != daemonset.Failed {
		t.Errorf("status %+v, want it Failed: the template still is", s)
	}
	exec(t, c, "grep one /tmp/file && grep ran /tmp/log")
}

// TestHeldIsLookedAfter: while an emptied prefix is held, the files in place are put right,
// and a reload that is owed is made.
func TestHeldIsLookedAfter(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.resource(r.name, "dest = \"/tmp/file\"\nreload_cmd = \"test -e /tmp/ready && echo ran >>/tmp/log\"")
	r.write(map[string]string{"templates/" + r.name + ".tmpl": `{{range gets "/value/*"}}{{.Value}} {{end}}`})
	c := r.pod(testenv.PodConfig{}).Container("nginx")
	exec(t, c, "touch /tmp/ready")
	r.putKey(r.key("value/a"), "A")
	r.start()
	r.await(c, "it is applied", func(s daemonset.Status) bool { return s.State == daemonset.Applied })
	exec(t, c, "rm /tmp/ready")
	r.putKey(r.key("value/b"), "B")
	r.in(c, daemonset.Failed, "exit code 1")
	exec(t, c, "echo torn >/tmp/file; touch /tmp/ready")
	if _, err := r.etcd.Client().Delete(t.Context(), r.key("value/"), clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
	r.in(c, daemonset.Stale, "allow_empty")
	s := r.await(c, "the reload is made", func(s daemonset.Status) bool { return !s.Owed })
	if s.State != daemonset.Stale {
		t.Errorf("status %+v, want Stale", s)
	}
	exec(t, c, "grep A.B /tmp/file && echo torn >/tmp/file")
	if _, err := r.applier.Apply(t.Context(), r.manual(c)); agent.StateOf(err) != daemonset.Stale {
		t.Errorf("apply: %v, want it Stale", err)
	}
	exec(t, c, "grep A.B /tmp/file")
}

// TestServerThatIsNew: a profile that has a server to tell from now on is not Live before
// that one was told, though the files are in place.
func TestServerThatIsNew(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.profile(r.name)
	p := r.pod(testenv.PodConfig{})
	c := p.Container("nginx")
	serves(t, p, "hello from the image\n")
	r.start()
	r.put("one")
	r.await(c, "it is applied", func(s daemonset.Status) bool { return s.State == daemonset.Applied })
	serves(t, p, "hello from the image\n")
	r.profile(r.name, `process = "nginx"`)
	s := r.live(c, 1)
	if s.Reloads != 1 {
		t.Errorf("%d reloads, want 1", s.Reloads)
	}
	serves(t, p, "one")
}

// TestResourceWithoutCommand: what has no reload_cmd does not run those of others.
func TestResourceWithoutCommand(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.resource(r.name, "dest = \"/tmp/file\"\nreload_cmd = \"echo ran >>/tmp/log\"")
	r.write(r.extra("keys = [\"/" + r.name + "\"]"))
	r.write(map[string]string{"templates/extra.tmpl": "# {{getv \"/" + r.name + "/extra\"}}\n"})
	c := r.pod(testenv.PodConfig{}).Container("nginx")
	r.putKey(r.key("extra"), "1")
	r.start()
	r.applied(c, r.put("one"))
	exec(t, c, "rm /tmp/log")
	r.applied(c, r.putKey(r.key("extra"), "2"))
	exec(t, c, "grep 2 "+extraConf+" && ! test -e /tmp/log")
}
