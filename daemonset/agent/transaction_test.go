package agent_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/agent"
	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/testenv"
)

// bad is a value that makes of the rig's file one that nginx does not take.
const bad = `"; no_such_directive "`

const conf = "/etc/nginx/conf.d/default.conf"

// TestRollsBack: a reload that does not take is undone, said, and not tried again
// with the same content; other content is.
func TestRollsBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	p := r.pod(testenv.PodConfig{})
	c := p.Container("nginx")
	r.start()
	good := r.live(c, r.put("good")).Revision
	before := nginxOf(t, c)
	r.put(bad)
	s := r.in(c, daemonset.RolledBack, "kept its old configuration", "previous files are back")
	if s.Owed || !s.RetryAt.IsZero() || s.Revision != good || s.Reloads != 2 {
		t.Errorf("status %+v, want revision %d live by a second reload and no further try", s, good)
	}
	after := nginxOf(t, c)
	wantReloaded(t, before, after)
	serves(t, p, "good")
	if got := exec(t, c, "cat "+conf); !strings.Contains(got, `"good"`) {
		t.Errorf("the file inside is %q", got)
	}

	// Neither a person nor the next agent tries it again.
	outcome, err := r.applier.Apply(t.Context(), r.manual(c))
	if agent.StateOf(err) != daemonset.RolledBack || outcome.Status.State != daemonset.RolledBack {
		t.Errorf("apply: %v, state %s; want RolledBack", err, outcome.Status.State)
	}
	r.stop()
	r.start()
	eventually(t, "the next agent says it too", func() error {
		if n := len(r.said.lines("level=warning", "previous files are back")); n != 2 {
			return fmt.Errorf("the log says it %d times, want once for each agent", n)
		}
		return nil
	})
	wantUntouched(t, c, after)

	s = r.live(c, r.put("good again"))
	serves(t, p, "good again")
	if s.Failures != 0 || s.Reason != "" {
		t.Errorf("status %+v still tells of failures", s)
	}
}

// TestRollsBackToTheImage: what was there before the first apply comes back as
// it was, and what was not goes.
func TestRollsBackToTheImage(t *testing.T) {
	t.Parallel()
	for name, dest := range map[string]string{"existing file": conf, "new file": "/etc/nginx/conf.d/sub/new.conf"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, testenv.SharedNode(t, testenv.V2))
			r.resource(r.name, `dest = "`+dest+`"`+"\nmode = \"0600\"\nmkdir = true", `process = "nginx"`)
			p := r.pod(testenv.PodConfig{})
			c := p.Container("nginx")
			serves(t, p, "hello from the image\n")
			exec(t, c, `chmod 640 `+conf+` && sed -i 's,include /etc/nginx/conf.d/\*.conf;,& include /etc/nginx/conf.d/sub/*.conf;,' /etc/nginx/nginx.conf`)
			before := exec(t, c, "stat -c '%a %u %g %s' "+conf)
			r.put(bad)
			r.start()
			r.in(c, daemonset.RolledBack, "previous files are back")
			if got := exec(t, c, "stat -c '%a %u %g %s' "+conf); got != before {
				t.Errorf("%s is %s, want %s as before", conf, got, before)
			}
			if got := exec(t, c, "find /etc/nginx/conf.d -type f"); got != conf {
				t.Errorf("there is\n%s\nwant %s alone", got, conf)
			}
			serves(t, p, "hello from the image\n")
		})
	}
}

// TestFinishedWithoutEtcd: an apply that was cut off is finished by the next
// agent though it can ask nobody what it was about.
func TestFinishedWithoutEtcd(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.etcd = testenv.NewEtcd(t)
	p := r.pod(testenv.PodConfig{})
	c := p.Container("nginx")
	daemon := startDaemon(t, r)
	r.live(c, r.put("one"))
	before := nginxOf(t, c)
	resume := stopped(t, before.master)
	revision := r.put("two")
	pending(t, before.master, unix.SIGHUP)
	daemon.kill()
	r.etcd.Stop()
	// As if the files had been cut off half way too.
	resume()
	serves(t, p, "two")
	exec(t, c, "echo '# torn' >"+conf)
	unseen := nginxOf(t, c)

	startDaemon(t, r)
	s := r.in(c, daemonset.Stale)
	if s.Owed || s.Revision != revision || s.Reloads != 2 {
		t.Errorf("status %+v, want revision %d by a second reload", s, revision)
	}
	wantReloaded(t, unseen, nginxOf(t, c))
	serves(t, p, "two")
	if got := exec(t, c, "cat "+conf); !strings.Contains(got, `"two"`) {
		t.Errorf("the file inside is %q", got)
	}
}

// TestKilledWhileRollingBack: the next agent goes on going back, with and
// without etcd.
func TestKilledWhileRollingBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.etcd = testenv.NewEtcd(t)
	p := r.pod(testenv.PodConfig{})
	c := p.Container("nginx")
	r.start()
	good := r.put("good")
	r.live(c, good)
	r.stop()
	r.applier.Timeout = time.Second // of the one proof that is not to come
	r.start()
	before := nginxOf(t, c)
	resume := stopped(t, before.master)
	r.put(bad)
	r.await(c, "it goes back, which is owed", func(s daemonset.Status) bool {
		rec, err := r.applier.Store.Load(c.ID)
		return err == nil && rec.Rejected != "" && s.Owed
	})
	r.stop()
	r.etcd.Stop()
	resume()
	r.applier.Timeout = 20 * time.Second
	r.start()
	s := r.in(c, daemonset.RolledBack, "previous files are back")
	if s.Owed || s.Revision != good {
		t.Errorf("status %+v, want revision %d and nothing owed", s, good)
	}
	serves(t, p, "good")
	if err := r.etcd.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.live(c, r.put("better"))
	serves(t, p, "better")
}

// TestCannotGoBack: without the contents that lead back nothing of ours is
// written, and it is said.
func TestCannotGoBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	c := r.pod(testenv.PodConfig{}).Container("nginx")
	r.put("value")
	big := 40 << 20 // more than a crossing brings out
	exec(t, c, "truncate -s "+strconv.Itoa(big)+" "+conf)
	r.start()
	r.in(c, daemonset.Unsupported, conf, "too large")
	if got := exec(t, c, "stat -c %s "+conf); got != strconv.Itoa(big) {
		t.Errorf("the file has %s bytes, want %d as before", got, big)
	}
	if _, err := r.applier.Apply(t.Context(), r.manual(c)); errors.Is(err, agent.ErrNotVerified) {
		t.Errorf("signalled: %v", err)
	}
}

// received waits until a server in a container has taken a connection and read what was sent
// on it: until then it has no inode, or something in its queue.
func received(t *testing.T, c *testenv.Container, conn net.Conn) {
	t.Helper()
	from := fmt.Sprintf(":%04X", conn.LocalAddr().(*net.TCPAddr).Port)
	eventually(t, "a worker has what was sent", func() error {
		b, err := nsenter.ReadProc(initPid(t, c), "net/tcp", 1<<20)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line) // see proc_net_tcp.txt of the kernel
			if len(f) > 9 && strings.HasSuffix(f[1], ":0050") && strings.HasSuffix(f[2], from) && strings.HasSuffix(f[4], ":00000000") && f[9] != "0" {
				return nil
			}
		}
		return errors.New("none has")
	})
}

// TestHeldBack: no further reload while too many old workers finish their
// requests; it comes by itself when they are fewer.
func TestHeldBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.profile(r.name, `process = "nginx"`, "max_draining = 1")
	p := r.pod(testenv.PodConfig{})
	c := p.Container("nginx")
	r.start()
	r.live(c, r.put("one"))
	// A request that has not ended keeps its worker.
	conn, err := p.Dial(t.Context(), "tcp", "127.0.0.1:80")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: half\r\n"); err != nil {
		t.Fatal(err)
	}
	received(t, c, conn)
	r.live(c, r.put("two"))
	revision := r.put("three")
	s := r.in(c, daemonset.Waiting, "finish their requests: 1;", "held back", "max_draining")
	if s.Owed {
		t.Errorf("status %+v, want nothing begun", s)
	}
	serves(t, p, "two")
	if _, err := io.WriteString(conn, "Connection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	r.live(c, revision)
	serves(t, p, "three")
}
