package agent_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/agent"
	"github.com/podreload/podreload/testenv"
)

const extraConf = "/etc/nginx/conf.d/extra.conf"

// without takes resources of the rig's away: "" is its first, "-extra" its extra one.
func (r *rig) without(resources ...string) {
	r.t.Helper()
	for _, resource := range resources {
		if err := os.Remove(r.path("etc/conf.d/" + r.name + resource + ".toml")); err != nil {
			r.t.Fatal(err)
		}
	}
}

// reread waits until the agent has taken up conf.d so many times.
func (r *rig) reread(times int) {
	r.t.Helper()
	eventually(r.t, "conf.d is read again", func() error {
		if n := len(r.said.lines("conf.d has changed")); n < times {
			return fmt.Errorf("%d times", n)
		}
		return nil
	})
}

// TestRemoveIsAsItWasSaidLast: whether a file goes with its resource may be said when it is
// long in place, and taken back.
func TestRemoveIsAsItWasSaidLast(t *testing.T) {
	t.Parallel()
	for _, remove := range []bool{true, false} {
		t.Run(fmt.Sprint(remove), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, testenv.SharedNode(t, testenv.V2))
			c := r.pod(testenv.PodConfig{}).Container("nginx")
			r.write(r.extra(fmt.Sprintf("remove = %v", !remove)))
			r.start()
			s := r.live(c, r.put("one"))
			r.write(r.extra(fmt.Sprintf("remove = %v", remove)))
			eventually(t, "the record says so", func() error {
				rec, err := r.applier.Store.Load(c.ID)
				for _, g := range rec.Good {
					if g.Path == extraConf && g.Remove != remove {
						err = fmt.Errorf("remove is %v", g.Remove)
					}
				}
				return err
			})
			r.without("-extra")
			r.await(c, "the resource is gone", func(now daemonset.Status) bool {
				return now.State == daemonset.Live && now.Digest != s.Digest
			})
			exec(t, c, fmt.Sprintf("if %v; then ! test -e %s; else test -e %s; fi", remove, extraConf, extraConf))
		})
	}
}

// TestUnprovedFileGoes: a file goes with its resource though its reload was never proved.
func TestUnprovedFileGoes(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.resource(r.name, "dest = \"/tmp/file\"\nreload_cmd = \"test -e /tmp/ready\"")
	r.write(r.extra("remove = true"))
	c := r.pod(testenv.PodConfig{}).Container("nginx")
	r.start()
	r.put("one")
	r.in(c, daemonset.Failed, "exit code 1")
	exec(t, c, "test -e "+extraConf)
	r.without("-extra")
	r.reread(1)
	exec(t, c, "touch /tmp/ready")
	r.await(c, "it is applied", func(s daemonset.Status) bool { return s.State == daemonset.Applied })
	exec(t, c, "! test -e "+extraConf)
}

// TestRenamedProfile: what a container's profile left, the profile that comes in its place
// takes over: the files that are to go, and which keys were filled.
func TestRenamedProfile(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	app := map[string]string{"app": r.name}
	list := func(name string) {
		r.write(map[string]string{
			"conf.d/" + r.name + ".toml": fmt.Sprintf("[template]\nsrc = %q\ndest = %q\nprefix = %q\nkeys = [\"/list\"]\n[profile]\nname = %q\nselect = \"app=%s\"\nprocess = \"nginx\"\ncheck = \"off\"\n",
				r.name+".tmpl", conf, "/"+r.name, name, r.name),
			"templates/" + r.name + ".tmpl": `server { listen 80; location / { return 200 "{{range gets "/list/*"}}{{.Value}} {{end}}"; } }`,
		})
	}
	list(r.name)
	r.write(r.extra("remove = true"))
	p := r.pod(testenv.PodConfig{Labels: app})
	c := p.Container("nginx")
	r.start()
	r.live(c, r.putKey(r.key("list/a"), "A"))
	serves(t, p, "A ")
	if _, err := r.etcd.Client().Delete(t.Context(), r.key("list/a")); err != nil {
		t.Fatal(err)
	}
	r.in(c, daemonset.Stale, "allow_empty")

	r.without("-extra")
	r.reread(1)
	list(r.name + "-renamed")
	s := r.await(c, "it is held under the new name", func(s daemonset.Status) bool {
		return s.Profile == r.name+"-renamed" && s.Failures > 2
	})
	if s.State == daemonset.Live {
		t.Errorf("status %+v, want it held", s)
	}
	serves(t, p, "A ")
	r.live(c, r.putKey(r.key("list/b"), "B"))
	serves(t, p, "B ")
	exec(t, c, "! test -e "+extraConf)
}

// TestRenamedWhileServerIsDown: a profile that gets another name is still that of the container whose server is down, and
// its files stay, though they are to go with their resource.
func TestRenamedWhileServerIsDown(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.resync = 300 * time.Millisecond
	r.resource(r.name, "dest = \""+conf+"\"\nremove = true", `process = "nginx"`, `select = "app=`+r.name+`"`)
	p := r.pod(testenv.PodConfig{
		Labels:     map[string]string{"app": r.name},
		Containers: []testenv.ContainerConfig{{Name: "nginx", Command: []string{"sleep", "1000000"}}},
	})
	c := p.Container("nginx")
	exec(t, c, "nginx >/dev/null 2>&1")
	r.start()
	s := r.live(c, r.put("one"))
	kill(t, s.Process.Pid, unix.SIGQUIT)
	r.in(c, daemonset.Waiting, "files are in place")
	toml := "conf.d/" + r.name + ".toml"
	text, err := os.ReadFile(r.path("etc/" + toml))
	if err != nil {
		t.Fatal(err)
	}
	r.write(map[string]string{toml: strings.Replace(string(text), `name = "`+r.name+`"`, `name = "`+r.name+`-renamed"`, 1)})
	r.reread(1)
	for _, value := range []string{"two", "three"} { // the latter by an agent that knows the new name only
		r.put(value)
		eventually(t, value+" is there", func() error {
			_, err := c.Exec(t.Context(), "grep", "-q", value, conf)
			return err
		})
		r.stop()
		r.start()
	}
}

// TestUnreadFileRemovesNothing: a slip of the pen in conf.d is no reason to take files
// away, whoever reads it first.
func TestUnreadFileRemovesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.write(r.extra("remove = true"))
	c := r.pod(testenv.PodConfig{}).Container("nginx")
	r.start()
	r.live(c, r.put("one"))
	extra := "conf.d/" + r.name + "-extra.toml"
	r.write(map[string]string{extra: "[template\n"})
	r.reread(1)
	r.put("two")
	r.in(c, daemonset.Invalid, extra, extraConf)
	exec(t, c, "test -e "+extraConf)
	r.stop()
	r.start()
	r.in(c, daemonset.Invalid, extra, extraConf)
	exec(t, c, "test -e "+extraConf)
	r.write(map[string]string{extra: "# half saved\n"})
	r.in(c, daemonset.Invalid, extra, "no [template]", extraConf)

	r.write(r.extra("remove = true"))
	s := r.live(c, r.put("three"))
	if len(s.Files) != 2 {
		t.Errorf("files %+v, want 2", s.Files)
	}
	// All of them at once, as when conf.d is not mounted.
	if err := os.Rename(r.path("etc/conf.d"), r.path("etc/away")); err != nil {
		t.Fatal(err)
	}
	r.reread(2)
	r.live(c, r.put("four"))
	exec(t, c, "test -e "+extraConf)
}

// TestGoingFileIsShown: who looks before an apply sees what it would take away, and what
// it would hold.
func TestGoingFileIsShown(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.write(r.extra("remove = true"))
	c := r.pod(testenv.PodConfig{}).Container("nginx")
	r.start()
	r.live(c, r.put("one"))
	r.stop()
	r.without("-extra")
	differences, err := r.applier.Look(t.Context(), r.manual(c), true)
	if err != nil || len(differences) != 2 || differences[0].Changed {
		t.Fatalf("differences %+v, %v; want 2, of which the first is none", differences, err)
	}
	if d := differences[1]; d.File.Path != extraConf || !d.File.Absent || !d.Changed || !d.Existed || len(d.Inside) == 0 {
		t.Errorf("difference %+v, want that %s goes", d, extraConf)
	}
	r.write(map[string]string{"conf.d/" + r.name + "-extra.toml": "[template\n"})
	if _, err := r.applier.Look(t.Context(), r.manual(c), true); agent.StateOf(err) != daemonset.Invalid {
		t.Errorf("with a file that cannot be read: %v, want Invalid", err)
	}
}
