package verify

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
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
		b, err := readProc(pid, file, 1<<20)
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

func testHaproxy(t *testing.T, node *testenv.Node) {
	p := preset(t, "haproxy")
	pod, init := run(t, node, testenv.PodConfig{Name: "haproxy", Containers: []testenv.ContainerConfig{{
		Name: "web", Command: []string{"haproxy", "-W", "-f", haproxyFile},
	}}})
	master, _ := awaitServer(t, p, init)
	if master.Pid() != init.Pid() {
		t.Fatalf("found process %d, want %d", master.Pid(), init.Pid())
	}
	good := read(t, init, haproxyFile)
	reload := func() error { return reloadServer(t, p, master, patience) }

	t.Run("good and bad in turn", func(t *testing.T) {
		for n := range 4 {
			answer := fmt.Sprintf("reload %d", n)
			write(t, init, haproxyFile, strings.Replace(good, "hello from the image", answer, 1))
			if err := reload(); err != nil {
				t.Error(err)
			}
			if got, err := pod.Get(t.Context(), 80, "/"); err != nil || !strings.HasPrefix(got, answer) {
				t.Errorf("after a good one: got %q, %v", got, err)
			}
			write(t, init, haproxyFile, "nonsense\n")
			if err := reload(); !errors.Is(err, ErrNotTaken) || !strings.Contains(err.Error(), "kept its old configuration") {
				t.Errorf("bad: got %v, want %v", err, ErrNotTaken)
			}
		}
	})

	// Somebody else's reload, of the good configuration, is under way when ours of
	// the bad one is asked for: its worker is no proof of ours.
	t.Run("another reload under way", func(t *testing.T) {
		for range 10 {
			write(t, init, haproxyFile, good)
			if err := reload(); err != nil {
				t.Fatal(err)
			}
			kill(t, master, p.Signal)
			time.Sleep(rand.N(120 * time.Millisecond)) // any moment of it
			write(t, init, haproxyFile, "nonsense\n")
			_, pr := awaitServer(t, p, init) // for a moment nobody listens
			kill(t, master, p.Signal)
			if err := waitAtMost(t, pr, patience); !errors.Is(err, ErrNotTaken) {
				t.Errorf("got %v, want %v", err, ErrNotTaken)
			}
		}
	})

	// All of it is over when the first look comes, as on a busy machine.
	t.Run("another reload under way, seen late", func(t *testing.T) {
		write(t, init, haproxyFile, good)
		if err := reload(); err != nil {
			t.Fatal(err)
		}
		pr, err := p.Before(master)
		if err != nil {
			t.Fatal(err)
		}
		defer pr.Close()
		if err := reload(); err != nil {
			t.Fatal(err)
		}
		write(t, init, haproxyFile, "nonsense\n")
		if err := reload(); !errors.Is(err, ErrNotTaken) {
			t.Fatal(err)
		}
		if err := waitAtMost(t, pr, patience); !errors.Is(err, ErrNotTaken) || !strings.Contains(err.Error(), "a reload before this one") {
			t.Errorf("got %v, want %v", err, ErrNotTaken)
		}
	})

	// haproxy takes an empty configuration, and its worker then has nothing to do.
	t.Run("empty", func(t *testing.T) {
		write(t, init, haproxyFile, "")
		pr, err := p.Before(master)
		if err != nil {
			t.Fatal(err)
		}
		defer pr.Close()
		kill(t, master, p.Signal)
		if err := waitAtMost(t, pr, enough); !errors.Is(err, ErrNotTaken) || !strings.Contains(err.Error(), "does not listen") {
			t.Errorf("got %v, want %v", err, ErrNotTaken)
		}
		write(t, init, haproxyFile, good)
		if err := reload(); err != nil {
			t.Error(err)
		}
	})

	write(t, init, haproxyFile, good)
	t.Run("requests in flight", func(t *testing.T) {
		if err := reload(); err != nil {
			t.Fatal(err)
		}
		drains(t, p, master, 0)
		var conns []net.Conn
		for n := range 3 {
			conns = append(conns, half(t, pod))
			if err := reload(); err != nil {
				t.Error(err)
			}
			drains(t, p, master, n+1)
		}
		for _, conn := range conns {
			finish(t, conn)
		}
		drains(t, p, master, 0)
	})

	t.Run("stopped", func(t *testing.T) {
		pr, err := p.Before(master)
		if err != nil {
			t.Fatal(err)
		}
		defer pr.Close()
		testStopped(t, master, pr)
	})

	// Its worker's crash ends the master, unless it is told otherwise.
	t.Run("crash", func(t *testing.T) {
		pr, err := p.Before(master)
		if err != nil {
			t.Fatal(err)
		}
		defer pr.Close()
		for pid := range pr.children {
			syscall.Kill(pid, syscall.SIGSEGV)
		}
		if err := pr.Wait(t.Context()); !errors.Is(err, ErrGone) && !errors.Is(err, ErrNotTaken) {
			t.Errorf("got %v, want %v or %v", err, ErrGone, ErrNotTaken)
		}
	})
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
	err := waitAtMost(t, pr, enough)
	kill(t, master, syscall.SIGCONT)
	if !errors.Is(err, ErrNotTaken) || !strings.Contains(err.Error(), "not come to the signal") {
		t.Errorf("got %v, want %v", err, ErrNotTaken)
	}
	if err := waitAtMost(t, pr, patience); err != nil {
		t.Error(err)
	}
}

// testHaproxyAlone has no master, and USR2 would end it.
func testHaproxyAlone(t *testing.T, node *testenv.Node) {
	_, init := run(t, node, testenv.PodConfig{Name: "haproxy-alone", Containers: []testenv.ContainerConfig{{
		Name: "web", Command: []string{"haproxy", "-db", "-f", haproxyFile},
	}}})
	poll(t, time.Now().Add(patience), func() bool {
		info, err := init.Info()
		return err == nil && info.Catches(syscall.SIGUSR1) // it is ready, then
	})
	if _, err := preset(t, "haproxy").Find(t.Context(), init); !errors.Is(err, ErrNoServer) || !strings.Contains(err.Error(), "without -W") {
		t.Errorf("got %v, want %v that says how", err, ErrNoServer)
	}
}

func testApache(t *testing.T, node *testenv.Node, mpm string) {
	p := preset(t, "apache")
	pod, init := run(t, node, testenv.PodConfig{Name: "apache-" + mpm, Containers: []testenv.ContainerConfig{{
		Name: "web", Command: []string{"apache2", "-D", "FOREGROUND", "-D", mpm, "-D", "cgi"},
	}}})
	master, _ := awaitServer(t, p, init)
	good := read(t, init, apacheFile)
	reload := func() error { return reloadServer(t, p, master, patience) }

	for n := range 4 {
		answer := fmt.Sprintf("reload %d", n)
		write(t, init, apacheFile, strings.ReplaceAll(good, "hello from the image", answer))
		if err := reload(); err != nil {
			t.Error(err)
		}
		if got, err := pod.Get(t.Context(), 80, "/"); !strings.Contains(fmt.Sprint(got, err), answer) {
			t.Errorf("after a good one: got %q, %v", got, err)
		}
	}
	write(t, init, apacheFile, good)
	if err := reload(); err != nil {
		t.Fatal(err)
	}

	t.Run("requests in flight", func(t *testing.T) {
		drains(t, p, master, 0)
		conn := half(t, pod)
		if err := reload(); err != nil {
			t.Error(err)
		}
		drains(t, p, master, 1) // the one that the request is in; all others end
		finish(t, conn)
		drains(t, p, master, 0)
	})

	t.Run("crash", func(t *testing.T) {
		pr, err := p.Before(master)
		if err != nil {
			t.Fatal(err)
		}
		defer pr.Close()
		for pid, c := range pr.children {
			if c.role == worker {
				syscall.Kill(pid, syscall.SIGKILL)
				break
			}
		}
		if err := waitAtMost(t, pr, enough); !errors.Is(err, ErrNotTaken) {
			t.Errorf("got %v, want %v", err, ErrNotTaken)
		}
	})

	t.Run("stopped", func(t *testing.T) {
		_, pr := awaitServer(t, p, init)
		testStopped(t, master, pr)
	})

	// Before it reads the configuration its workers have stopped to serve.
	t.Run("bad", func(t *testing.T) {
		write(t, init, apacheFile, "nonsense\n")
		err := reload()
		if !errors.Is(err, ErrGone) || !strings.Contains(err.Error(), "a bad configuration does that") {
			t.Errorf("got %v, want %v that says why", err, ErrGone)
		}
	})
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
