package agent_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/agent"
	"github.com/podreload/podreload/testenv"
)

// write writes files of the confdir.
func (r *rig) write(files map[string]string) {
	r.t.Helper()
	if err := testenv.WriteTree(r.path("etc"), files); err != nil {
		r.t.Fatal(err)
	}
}

// TestConfigIsFollowed: a changed template, and a new profile, need no restart; what did
// not change is not touched.
func TestConfigIsFollowed(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	other := r.name + "-other"
	p := r.pod(testenv.PodConfig{})
	c := p.Container("nginx")
	late := r.pod(testenv.PodConfig{Name: other, Labels: map[string]string{agent.LabelProfile: other}}).Container("nginx")
	r.start()
	first := r.live(c, r.put("one"))
	r.putKey("/"+other+"/value", "late")

	r.profile(other, `process = "nginx"`)
	r.live(late, 1)
	if s := r.live(c, 0); !s.Updated.Equal(first.Updated) {
		t.Errorf("a target whose profile has not changed was touched: %+v, before %+v", s, first)
	}

	r.write(map[string]string{"templates/" + r.name + ".tmpl": `server { listen 80; location / { return 200 "{{getv "/value"}} by another template"; } }`})
	r.await(c, "the new template is live", func(s daemonset.Status) bool { return s.State == daemonset.Live && s.Reloads == first.Reloads+1 })
	serves(t, p, "one by another template")
}

// TestOneBadFileStopsItsProfileAlone: an error in conf.d stops that profile, is said, and
// leaves what is in place.
func TestOneBadFileStopsItsProfileAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	other := r.name + "-other"
	r.profile(other, `process = "nginx"`)
	p := r.pod(testenv.PodConfig{})
	c := p.Container("nginx")
	well := r.pod(testenv.PodConfig{Name: other, Labels: map[string]string{agent.LabelProfile: other}}).Container("nginx")
	r.start()
	r.live(c, r.put("one"))
	r.live(well, r.putKey("/"+other+"/value", "one"))

	good, err := os.ReadFile(r.path("etc/templates/" + r.name + ".tmpl"))
	if err != nil {
		t.Fatal(err)
	}
	r.write(map[string]string{"templates/" + r.name + ".tmpl": "\n{{nonsense}}"})
	eventually(t, "the error is said", func() error {
		if len(r.said.lines("templates/"+r.name+".tmpl:2", "state=Invalid", "pod=default/"+r.name)) == 0 {
			return fmt.Errorf("it is not")
		}
		return nil
	})
	revision := r.put("two")
	r.live(well, r.putKey("/"+other+"/value", "two"))
	serves(t, p, "one")
	r.write(map[string]string{"templates/" + r.name + ".tmpl": string(good)})
	r.live(c, revision)
	serves(t, p, "two")
}

// extra is one more resource of the rig's profile: a file that nginx includes.
func (r *rig) extra(lines string) map[string]string {
	return map[string]string{
		"conf.d/" + r.name + "-extra.toml": fmt.Sprintf("[template]\nsrc = \"extra.tmpl\"\ndest = \"/etc/nginx/conf.d/extra.conf\"\n%s\n[profile]\nname = %q\n", lines, r.name),
		"templates/extra.tmpl":             "server { listen 81; }\n",
	}
}

// TestResourceGoes: a file goes with its resource where it is to, with a reload, and stays
// where it is not.
func TestResourceGoes(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	c := r.pod(testenv.PodConfig{}).Container("nginx")
	for _, remove := range []bool{true, false} {
		r.write(r.extra(fmt.Sprintf("remove = %v", remove)))
		r.start()
		s := r.live(c, r.put(fmt.Sprint(remove)))
		if len(s.Files) != 2 {
			t.Fatalf("files: %+v", s.Files)
		}
		r.without("-extra")
		reloads := s.Reloads
		if remove {
			reloads++
		}
		s = r.await(c, "the resource is gone", func(now daemonset.Status) bool {
			return now.State == daemonset.Live && now.Reloads == reloads && (remove || len(now.Files) == 1)
		})
		_, err := c.Exec(t.Context(), "stat", "/etc/nginx/conf.d/extra.conf")
		if gone := err != nil; gone != remove {
			t.Errorf("with remove = %v the file is gone: %v", remove, gone)
		}
		// It is not looked at any more.
		exec(t, c, "echo 'server { listen 82; }' >/etc/nginx/conf.d/extra.conf")
		r.stop()
		r.start()
		if now := r.live(c, r.putKey(r.key("value/unused"), "x")); now.Reloads != s.Reloads {
			t.Errorf("%d reloads, want %d: nothing has changed", now.Reloads, s.Reloads)
		}
		exec(t, c, "test -e /etc/nginx/conf.d/extra.conf && rm /etc/nginx/conf.d/extra.conf")
		r.stop()
	}
}

// TestProfileGoes: with the profile go the files that are to.
func TestProfileGoes(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.write(r.extra("remove = true"))
	p := r.pod(testenv.PodConfig{})
	c := p.Container("nginx")
	r.start()
	s := r.live(c, r.put("stays"))
	r.without("", "-extra")
	r.await(c, "the file goes, with a reload", func(now daemonset.Status) bool { return now.Reloads == s.Reloads+1 && now.State == daemonset.Live })
	exec(t, c, "! test -e /etc/nginx/conf.d/extra.conf")
	serves(t, p, "stays")
}

// TestProfileGoesWhileNoAgentRuns: the next agent sees to what it left.
func TestProfileGoesWhileNoAgentRuns(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.write(r.extra("remove = true"))
	p := r.pod(testenv.PodConfig{})
	c := p.Container("nginx")
	r.start()
	s := r.live(c, r.put("stays"))
	r.stop()
	r.without("", "-extra")
	r.start()
	r.await(c, "the file goes, with a reload", func(now daemonset.Status) bool { return now.Reloads == s.Reloads+1 && now.State == daemonset.Live })
	exec(t, c, "! test -e /etc/nginx/conf.d/extra.conf")
	serves(t, p, "stays")
}

// TestEmptiedPrefixIsHeld: what was deleted by the wrong prefix does not empty the files,
// over a restart of the agent too, and pods that start meanwhile get the last good ones; a
// single key that is deleted does take effect.
func TestEmptiedPrefixIsHeld(t *testing.T) {
	t.Parallel()
	for name, allow := range map[string]bool{"held": false, "allow_empty": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, testenv.SharedNode(t, testenv.V2))
			list := `{{range gets "/list/*"}}{{.Value}} {{end}}{{if exists "/single"}}and {{getv "/single"}}{{end}}`
			r.write(map[string]string{
				"conf.d/" + r.name + ".toml": fmt.Sprintf("[template]\nsrc = %q\ndest = \"/etc/nginx/conf.d/default.conf\"\nprefix = %q\nkeys = [\"/list\", \"/single\"]\n[profile]\nname = %q\nprocess = \"nginx\"\ncheck = \"off\"\nallow_empty = %v\n",
					r.name+".tmpl", "/"+r.name, r.name, allow),
				"templates/" + r.name + ".tmpl": `server { listen 80; location / { return 200 "` + list + `"; } }`,
			})
			p := r.pod(testenv.PodConfig{})
			c := p.Container("nginx")
			r.putKey(r.key("single"), "me")
			r.putKey(r.key("list/a"), "A")
			r.start()
			r.live(c, r.putKey(r.key("list/b"), "B"))
			serves(t, p, "A B and me")
			remove := func(key string, opts ...clientv3.OpOption) int64 {
				t.Helper()
				resp, err := r.etcd.Client().Delete(t.Context(), key, opts...)
				if err != nil {
					t.Fatal(err)
				}
				return resp.Header.Revision
			}
			r.live(c, remove(r.key("single")))
			serves(t, p, "A B ")
			revision := remove(r.key("list/"), clientv3.WithPrefix())
			if allow {
				r.live(c, revision)
				serves(t, p, "")
				return
			}
			r.in(c, daemonset.Stale, r.key("list"), "allow_empty")
			r.stop()
			r.start()
			newcomer := r.pod(testenv.PodConfig{Name: r.name + "-new"})
			r.in(newcomer.Container("nginx"), daemonset.Stale, r.key("list"), "allow_empty")
			r.in(c, daemonset.Stale, r.key("list"), "allow_empty")
			serves(t, newcomer, "A B ")
			serves(t, p, "A B ")
			// Nor does a container that takes the place of another.
			again, err := p.Restart(t.Context(), "nginx")
			if err != nil {
				t.Fatal(err)
			}
			r.gone(c)
			c = again
			r.in(c, daemonset.Stale, r.key("list"), "allow_empty")
			serves(t, p, "A B ")
			r.live(c, r.putKey(r.key("list/c"), "C"))
			r.live(newcomer.Container("nginx"), 1)
			serves(t, p, "C ")
		})
	}
}

// TestSkippedReloadStillComes: a reload that is held back by min_reload_interval comes at
// its end, and the last of several changes is the one that is live.
func TestSkippedReloadStillComes(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	const interval = 10 * time.Second
	r.resource(r.name, "dest = \"/etc/nginx/conf.d/default.conf\"\nmin_reload_interval = \""+interval.String()+"\"", `process = "nginx"`)
	p := r.pod(testenv.PodConfig{})
	c := p.Container("nginx")
	r.start()
	first := r.live(c, r.put("one"))
	before := r.told(c)
	r.put("two")
	r.in(c, daemonset.Waiting, "min_reload_interval")
	revision := r.put("three")
	s := r.live(c, revision)
	if s.Reloads != first.Reloads+1 {
		t.Errorf("%d reloads, want %d: one for both changes", s.Reloads, first.Reloads+1)
	}
	if gap := r.told(c).Sub(before); gap < interval {
		t.Errorf("the second reload came after %v, want %v", gap, interval)
	}
	serves(t, p, "three")
}

// told is when the server of a container was last told to reload.
func (r *rig) told(c *testenv.Container) time.Time {
	r.t.Helper()
	rec, err := r.applier.Store.Load(c.ID)
	if err != nil || rec.Told.IsZero() {
		r.t.Fatalf("told at %v, %v", rec.Told, err)
	}
	return rec.Told
}

// TestKeysOfThePod: one profile serves several applications, each its own keys; a label
// that is no plain name leads nowhere.
func TestKeysOfThePod(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.write(map[string]string{"conf.d/" + r.name + ".toml": fmt.Sprintf(
		"[template]\nsrc = %q\ndest = '/etc/nginx/conf.d/{{ container }}.conf'\nprefix = '/%s/{{ label \"app\" }}'\nkeys = [\"/value\"]\n"+
			"[profile]\nname = %q\nprocess = \"nginx\"\ncheck = \"off\"\nnamespaces = [\"default\"]\n", r.name+".tmpl", r.name, r.name)})
	run := func(app string) *testenv.Pod {
		labels := map[string]string{agent.LabelProfile: r.name}
		if app != "-" {
			labels["app"] = app
		}
		p := r.pod(testenv.PodConfig{Name: strings.ToLower(fmt.Sprintf("%s-%d", r.name, rigs.Add(1))), Labels: labels})
		exec(t, p.Container("nginx"), "rm /etc/nginx/conf.d/default.conf")
		return p
	}
	shop, blog, empty, missing, secret := run("shop"), run("blog"), run(""), run("-"), run("..")
	r.putKey(r.key("shop/value"), "the shop")
	r.putKey(r.key("secret"), "secret")
	r.start()
	revision := r.putKey(r.key("blog/value"), "the blog")
	r.live(shop.Container("nginx"), 1)
	r.live(blog.Container("nginx"), revision)
	serves(t, shop, "the shop")
	serves(t, blog, "the blog")
	for what, p := range map[string]*testenv.Pod{"empty": empty, "missing": missing, "dots": secret} {
		eventually(t, what+" is refused", func() error {
			if len(r.said.lines("state=Invalid", "pod=default/"+p.Config.Name, "prefix", "label")) == 0 {
				return fmt.Errorf("it is not")
			}
			return nil
		})
	}
	s := r.live(shop.Container("nginx"), 0)
	r.live(blog.Container("nginx"), r.putKey(r.key("blog/value"), "another blog"))
	if now := r.live(shop.Container("nginx"), 0); !now.Updated.Equal(s.Updated) {
		t.Error("a key of the one woke the other")
	}
}
