package agent_test

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/agent"
	"github.com/podreload/podreload/testenv"
)

// catching is an init that writes down each HUP that it gets, beside nginx.
const catching = `trap 'echo got >>/tmp/got' HUP; nginx -g 'daemon off;' & while :; do wait $!; done`

// onPort81 is a second nginx of the pod, in another container.
var onPort81 = testenv.ContainerConfig{Name: "other", Command: []string{
	"sh", "-c", `sed -i 's/listen 80/listen 81/' /etc/nginx/conf.d/default.conf; exec nginx -g 'daemon off;'`,
}}

// TestSignalsTheMaster reloads nginx wherever it stands in the process tree,
// and nobody else.
func TestSignalsTheMaster(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		pod     testenv.PodConfig
		command []string
		beside  bool // another nginx in the pod
		lie     bool // the pid file names init, which catches HUP
	}{
		"pid 1":           {},
		"under tini":      {command: []string{"tini", "--", "nginx", "-g", "daemon off;"}},
		"under sh":        {command: []string{"sh", "-c", "nginx -g 'daemon off;'; true"}},
		"in background":   {command: []string{"sh", "-c", "nginx; exec sleep 1000000"}},
		"lying pid file":  {command: []string{"sh", "-c", catching}, lie: true},
		"shared PIDs":     {pod: testenv.PodConfig{SharePID: true}, beside: true},
		"the node's PIDs": {pod: testenv.PodConfig{HostPID: true}, beside: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, testenv.SharedNode(t, testenv.V2))
			tt.pod.Labels = map[string]string{agent.LabelProfile: r.name, agent.LabelContainer: "nginx"}
			tt.pod.Containers = []testenv.ContainerConfig{{Name: "nginx", Command: tt.command}}
			if tt.beside {
				tt.pod.Containers = append(tt.pod.Containers, onPort81)
			}
			p := r.pod(tt.pod)
			c := p.Container("nginx")
			before := nginxOf(t, c)
			if tt.lie {
				exec(t, c, "echo 1 >/run/nginx.pid")
			}
			var other server
			if tt.beside {
				other = nginxOf(t, p.Container("other"))
			}
			r.start()
			s := r.live(c, r.put("right"))
			serves(t, p, "right")
			wantReloaded(t, before, nginxOf(t, c))
			if s.Process == nil || s.Process.Pid != before.master {
				t.Errorf("signalled %+v, want process %d", s.Process, before.master)
			}
			if tt.beside {
				wantUntouched(t, p.Container("other"), other)
			}
			if tt.lie {
				wantOneHup(t, c)
			}
		})
	}
}

// wantOneHup sends init a HUP and fails if that is not its first.
func wantOneHup(t *testing.T, c *testenv.Container) {
	t.Helper()
	kill(t, initPid(t, c), unix.SIGHUP)
	eventually(t, "init says what it got", func() error {
		_, err := c.Exec(t.Context(), "test", "-s", "/tmp/got")
		return err
	})
	if got := strings.Fields(exec(t, c, "cat /tmp/got")); len(got) != 1 {
		t.Errorf("the process that the pid file names got %d signals, want the test's only", len(got))
	}
}

// TestServerComesLater: files are in place before there is a server; the reload
// stays owed until there is one, also when it goes and comes back.
func TestServerComesLater(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.resync = 300 * time.Millisecond
	r.resource(r.name, "dest = \""+conf+"\"", `process = "nginx"`, `container = "nginx"`)
	c := r.pod(testenv.PodConfig{Containers: []testenv.ContainerConfig{{Name: "nginx", Command: []string{"sleep", "1000000"}}}}).Container("nginx")
	revision := r.put("early")
	r.start()
	if s := r.in(c, daemonset.Waiting, "files are in place", "nginx"); !s.Owed {
		t.Errorf("no reload is owed: %+v", s)
	}
	if got := exec(t, c, "cat /etc/nginx/conf.d/default.conf"); !strings.Contains(got, `"early"`) {
		t.Errorf("the file inside is %q", got)
	}
	exec(t, c, "nginx >/dev/null 2>&1") // else the exec lasts as long as nginx
	first := r.live(c, revision)

	kill(t, first.Process.Pid, unix.SIGQUIT)
	r.in(c, daemonset.Waiting, "files are in place")
	exec(t, c, "nginx >/dev/null 2>&1") // else the exec lasts as long as nginx
	second := r.live(c, revision)
	if second.Process.Pid == first.Process.Pid || second.Reloads != first.Reloads+1 {
		t.Errorf("after nginx came back: %+v, want a reload of the new one", second)
	}
}

// TestRuntimeIsNotSignalled: what catches a signal may be the runtime's process still, whose successor
// would end of it.
func TestRuntimeIsNotSignalled(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.resource(r.name, "reload_signal = \"USR1\"\ndest = \"/etc/nginx/conf.d/default.conf\"")
	p := r.pod(testenv.PodConfig{Containers: []testenv.ContainerConfig{{Name: "nginx", Command: []string{"sh", "-c",
		`trap "echo > /told" USR1; printf "runc:[2:INIT]" > /proc/self/comm; while ! test -e /go; do sleep 0.1; done; printf sh > /proc/self/comm; while :; do sleep 0.1; done`}}}})
	c := p.Container("nginx")
	named(t, c, "runc:[2:INIT]")
	revision := r.put("value")
	r.start()
	r.in(c, daemonset.Waiting, "files are in place", "the runtime's still")
	exec(t, c, "! test -e /told")
	exec(t, c, "touch /go")
	r.applied(c, revision)
	eventually(t, "it is told", func() error {
		_, err := c.Exec(t.Context(), "test", "-e", "/told")
		return err
	})
}

// TestNeverSignalled: servers for which the signal is not a reload.
func TestNeverSignalled(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		command           []string
		template, profile string
		state             daemonset.State
		words             []string
	}{
		"works alone": {
			command: []string{"nginx", "-g", "daemon off; master_process off;"}, profile: `process = "nginx"`,
			state: daemonset.Unsupported, words: []string{"master_process off"},
		},
		"does not catch it": {
			command: []string{"sh", "-c", "sleep 1000000; true"}, template: "reload_signal = \"USR1\"\n",
			state: daemonset.Failed, words: []string{"no handler for USR1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, testenv.SharedNode(t, testenv.V2))
			r.resource(r.name, tt.template+`dest = "/etc/nginx/conf.d/default.conf"`, tt.profile)
			p := r.pod(testenv.PodConfig{Containers: []testenv.ContainerConfig{{Name: "nginx", Command: tt.command}}})
			c := p.Container("nginx")
			before := info(t, initPid(t, c))
			r.put("never")
			if tt.profile != "" {
				serves(t, p, "hello from the image\n") // a server that starts is waited for
			} else {
				named(t, c, "sh") // and so is the runtime's process, with the files in place
			}
			r.start()
			s := r.in(c, tt.state, tt.words...)
			if s.RetryAt.IsZero() {
				t.Error("it is not said when it is tried again")
			}
			if after := info(t, initPid(t, c)); after.Pid != before.Pid || after.StartTime != before.StartTime {
				t.Errorf("process %d, want %d as before", after.Pid, before.Pid)
			}
			if got := exec(t, c, "cat /etc/nginx/conf.d/default.conf"); strings.Contains(got, "never") {
				t.Errorf("a file that nobody can be told of was written: %q", got)
			}
		})
	}
}

// TestApacheIsNotSignalledIntoItsEnd: what another hand has broken is checked before a person's
// signal, too.
func TestApacheIsNotSignalledIntoItsEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	const dest = "/etc/apache2/extra.conf"
	r.resource(r.name, "dest = \""+dest+"\"", `process = "apache"`, `check = "preset"`)
	r.write(map[string]string{"templates/" + r.name + ".tmpl": "# {{getv \"/value\"}}\n"})
	c := r.pod(testenv.PodConfig{Containers: []testenv.ContainerConfig{{Name: "apache", Command: []string{
		"sh", "-c", "touch " + dest + "; echo Include " + dest + " >>/etc/apache2/apache2.conf; exec apache2 -D FOREGROUND",
	}}}}).Container("apache")
	r.start()
	r.live(c, r.put("one"))
	r.stop()
	if _, err := r.applier.Signal(t.Context(), r.manual(c), 0, false); err != nil {
		t.Errorf("a good configuration: %v", err)
	}
	exec(t, c, "echo NoSuchDirective >"+dest)
	if _, err := r.applier.Signal(t.Context(), r.manual(c), 0, false); agent.StateOf(err) != daemonset.Refused {
		t.Errorf("a bad configuration: %v, want Refused", err)
	}
	if pid, err := c.Pid(t.Context()); err != nil || pid == 0 {
		t.Errorf("the container has ended: %d, %v", pid, err)
	}
}
