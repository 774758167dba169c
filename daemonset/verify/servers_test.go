package verify

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/testenv"
)

const (
	haproxyFile = "/etc/haproxy/haproxy.cfg"
	apacheFile  = "/etc/apache2/apache2.conf"
)

func TestServers(t *testing.T) {
	node := testenv.NewNode(t, testenv.Debian)
	t.Run("haproxy", func(t *testing.T) { testHaproxy(t, node) })
	t.Run("haproxy alone", func(t *testing.T) { testHaproxyAlone(t, node) })
	for _, mpm := range []string{"event", "prefork"} {
		t.Run("apache "+mpm, func(t *testing.T) { testApache(t, node, mpm) })
	}
	t.Run("commands", func(t *testing.T) { testCommands(t, node) })
	t.Run("matchers", func(t *testing.T) { testMatchers(t, node) })
}

// half begins a request, which a worker has taken, and leaves it unfinished.
func half(t *testing.T, pod *testenv.Pod) net.Conn {
	t.Helper()
	conn, err := pod.Dial(t.Context(), "tcp", "127.0.0.1:80")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: half\r\n"); err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(conn.LocalAddr().String())
	poll(t, time.Now().Add(patience), func() bool { return accepted(t, pod, port) })
	return conn
}

// accepted reports whether a server has accepted the connection from that port:
// until then its socket has no inode.
func accepted(t *testing.T, pod *testenv.Pod, port string) bool {
	t.Helper()
	pid, err := pod.Container("web").Pid(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"net/tcp", "net/tcp6"} {
		b, err := nsenter.ReadProc(pid, file, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			if len(f) > 9 && strings.HasSuffix(f[1], ":0050") && strings.HasSuffix(f[2], fmt.Sprintf(":%04X", n)) && f[9] != "0" {
				return true
			}
		}
	}
	return false
}

// finish ends a request that was begun, which has to be answered.
func finish(t *testing.T, conn net.Conn) {
	t.Helper()
	if _, err := io.WriteString(conn, "Connection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(conn); err != nil || !strings.Contains(string(b), "hello from the image") {
		t.Errorf("a request that was under way: got %q, %v", b, err)
	}
}

// drains waits until that many old workers drain, and none serves but new ones.
func drains(t *testing.T, p Preset, master *nsenter.Process, want int) {
	t.Helper()
	serving, draining := 0, 0
	deadline := time.Now().Add(patience)
	for {
		var err error
		if serving, draining, err = p.Census(master); err != nil {
			t.Fatal(err)
		}
		if serving > 0 && draining == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d serve and %d drain, want %d to drain", serving, draining, want)
		}
		time.Sleep(longest)
	}
}

// testStopped signals a stopped master, which takes the signal later.
func testStopped(t *testing.T, master *nsenter.Process, pr *Proof) {
	t.Helper()
	kill(t, master, syscall.SIGSTOP)
	poll(t, time.Now().Add(patience), func() bool {
		info, err := master.Info()
		return err != nil || info.State == 'T'
	})
	kill(t, master, pr.preset.Signal)
	says(t, pr, "not come to the signal")
	kill(t, master, syscall.SIGCONT)
	if err := waitAtMost(t, pr, patience); err != nil {
		t.Error(err)
	}
}

// testCommands runs the commands that try a configuration, as they are made for
// running masters.
func testCommands(t *testing.T, node *testenv.Node) {
	tests := []struct {
		preset  string
		command []string
		want    []string
		break_  string // a file that the command has to have read
	}{
		{
			"nginx", []string{"nginx", "-c", "/etc/nginx/nginx.conf", "-g", "daemon off; env A=-c;"},
			[]string{"/usr/sbin/nginx", "-t", "-c", "/etc/nginx/nginx.conf", "-g", "daemon off; env A=-c;"}, "/etc/nginx/conf.d/default.conf",
		},
		{
			"haproxy", []string{"sh", "-c", "export NAME=web; cp " + haproxyFile + " /a.cfg; exec haproxy -W -L lb -db -f /a.cfg"},
			[]string{"/usr/sbin/haproxy", "-c", "-L", "lb", "-f", "/a.cfg"}, "/a.cfg",
		},
		{
			"apache", []string{"sh", "-c", "export NAME=web; cp " + apacheFile + " /a.conf; exec apache2 -DFOREGROUND -f /a.conf -k start"},
			[]string{"/usr/sbin/apache2", "-t", "-D", "FOREGROUND", "-f", "/a.conf"}, "/a.conf",
		},
	}
	for _, test := range tests {
		t.Run(test.preset, func(t *testing.T) {
			p := preset(t, test.preset)
			pod, init := run(t, node, testenv.PodConfig{Name: "command-" + test.preset, Containers: []testenv.ContainerConfig{{
				Name: "web", Command: test.command,
			}}})
			master, _ := awaitServer(t, p, init)
			c, err := p.CheckCommand(master)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, c.Args); diff != "" {
				t.Errorf("arguments (-want +got):\n%s", diff)
			}
			if got := slices.Contains(c.Env, "NAME=web"); got != p.Options.Env {
				t.Errorf("environment %q", c.Env)
			}
			if slices.ContainsFunc(c.Env, func(kv string) bool { return strings.HasPrefix(kv, "HAPROXY_") }) {
				t.Errorf("what haproxy sets for itself is in %q", c.Env)
			}
			if _, err := pod.Container("web").Exec(t.Context(), c.Args...); err != nil {
				t.Errorf("a good configuration: %v", err)
			}
			write(t, init, test.break_, "nonsense\n")
			if _, err := pod.Container("web").Exec(t.Context(), c.Args...); err == nil {
				t.Error("a bad configuration is taken")
			}
		})
	}
}

func testMatchers(t *testing.T, node *testenv.Node) {
	_, init := run(t, node, testenv.PodConfig{Name: "matchers", Containers: []testenv.ContainerConfig{{Name: "web"}}})
	await(t, init)
	match := func(success string) Preset {
		m := daemonset.Matcher{Exe: []string{"nginx"}, Signal: "HUP", Success: success}
		if success == daemonset.SuccessAlive {
			m.After = 50 * time.Millisecond
		}
		p, err := Match(m)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	children, alive, none := match(daemonset.SuccessChildren), match(daemonset.SuccessAlive), match(daemonset.SuccessNone)
	master, _ := awaitServer(t, children, init)
	if err := reloadServer(t, children, master, patience); err != nil {
		t.Errorf("children: %v", err)
	}
	if err := reloadServer(t, alive, master, patience); err != nil {
		t.Errorf("alive: %v", err)
	}
	if _, err := none.Before(master); !errors.Is(err, ErrUnprovable) {
		t.Errorf("none: got %v, want %v", err, ErrUnprovable)
	}
	if _, err := alive.CheckCommand(master); !errors.Is(err, ErrUnprovable) {
		t.Errorf("check: got %v, want %v", err, ErrUnprovable)
	}
	write(t, init, "/etc/nginx/conf.d/default.conf", "nonsense;\n")
	pr, err := children.Before(master)
	if err != nil {
		t.Fatal(err)
	}
	defer pr.Close()
	hup(t, master)
	if err := waitAtMost(t, pr, enough); !errors.Is(err, ErrNotTaken) {
		t.Errorf("children, bad: got %v, want %v", err, ErrNotTaken)
	}

	pr, err = alive.Before(master)
	if err != nil {
		t.Fatal(err)
	}
	defer pr.Close()
	testStopped(t, master, pr)

	last, err := alive.Before(master)
	if err != nil {
		t.Fatal(err)
	}
	defer last.Close()
	kill(t, master, syscall.SIGKILL)
	if err := last.Wait(t.Context()); !errors.Is(err, ErrGone) {
		t.Errorf("alive, ended: got %v, want %v", err, ErrGone)
	}
}
