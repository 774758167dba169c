package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/testenv"
)

// script is a container whose init is a shell.
func script(name, s string) testenv.ContainerConfig {
	return testenv.ContainerConfig{Name: name, Command: []string{"sh", "-c", s}}
}

// run runs a pod, and pins the init process of its container "web".
func run(t testing.TB, node *testenv.Node, cfg testenv.PodConfig) (*testenv.Pod, *nsenter.Process) {
	t.Helper()
	pod, err := node.RunPod(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pod.Remove(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	pid, err := pod.Container("web").Pid(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return pod, pin(t, pid)
}

// await is Find and Before, as soon as there is a server with workers.
func await(t testing.TB, init *nsenter.Process) (*nsenter.Process, *Proof) {
	t.Helper()
	return awaitServer(t, nginx, init)
}

func awaitServer(t testing.TB, p Preset, init *nsenter.Process) (*nsenter.Process, *Proof) {
	t.Helper()
	var master *nsenter.Process
	var pr *Proof
	poll(t, time.Now().Add(patience), func() bool {
		var err error
		if master, err = p.Find(t.Context(), init); err == nil {
			if pr, err = p.Before(master); err == nil {
				return true
			}
			master.Close()
		}
		// In its first moments it does not look like a master yet, and one that
		// goes to the background is replaced.
		if !errors.Is(err, ErrNoServer) && !errors.Is(err, ErrGone) && !errors.Is(err, ErrUnprovable) {
			t.Fatal(err)
		}
		return false
	})
	t.Cleanup(func() { pr.Close(); master.Close() })
	return master, pr
}

// write replaces a file of the container, through the node's /proc. A server that
// is at a reload reads all of the old one or all of the new one.
func write(t testing.TB, init *nsenter.Process, file, data string) {
	t.Helper()
	path := fmt.Sprintf("/proc/%d/root%s", init.Pid(), file)
	if err := os.WriteFile(path+".new", []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func hup(t testing.TB, master *nsenter.Process) {
	t.Helper()
	kill(t, master, syscall.SIGHUP)
}

func kill(t testing.TB, p *nsenter.Process, signal syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(p.Pid(), signal); err != nil {
		t.Fatal(err)
	}
}

// reload signals the master and waits for the proof that it took, and once more where nobody
// can tell.
func reload(t testing.TB, master *nsenter.Process, deadline time.Duration) error {
	t.Helper()
	return reloadServer(t, nginx, master, deadline)
}

func reloadServer(t testing.TB, p Preset, master *nsenter.Process, deadline time.Duration) error {
	t.Helper()
	once := func() error { return reloadOnce(t, p, master, deadline) }
	return sure(once, once)
}

// waitSure waits for a proof of a master that was signalled.
func waitSure(t testing.TB, pr *Proof) error {
	t.Helper()
	return sure(func() error { return waitAtMost(t, pr, patience) },
		func() error { return reloadOnce(t, pr.preset, pr.master, patience) })
}

func reloadOnce(t testing.TB, p Preset, master *nsenter.Process, deadline time.Duration) error {
	t.Helper()
	pr, err := p.Before(master)
	if err != nil {
		return err
	}
	defer pr.Close()
	if err := syscall.Kill(master.Pid(), p.Signal); err != nil {
		return err
	}
	return waitAtMost(t, pr, deadline)
}

// testBlind has nobody look while a reload that is not ours may end and ours be taken: that is no
// verdict, and who signals once more gets one.
func testBlind(t *testing.T, node *testenv.Node) {
	_, init := run(t, node, testenv.PodConfig{Name: "blind", Containers: []testenv.ContainerConfig{{Name: "web"}}})
	master, pr := await(t, init)
	kill(t, master, syscall.SIGHUP)
	poll(t, time.Now().Add(patience), func() bool {
		if err := pr.look(); err != nil {
			t.Fatal(err)
		}
		m, err := readMask(master.Pid(), syscall.SIGHUP)
		return err == nil && m.idle() && pr.count().proved()
	})
	pr.busy, pr.looked = true, time.Now().Add(-time.Second)
	if err := waitAtMost(t, pr, patience); !errors.Is(err, ErrUnsure) || errors.Is(err, ErrNotTaken) {
		t.Errorf("got %v, want %v", err, ErrUnsure)
	}
	if err := reload(t, master, patience); err != nil {
		t.Errorf("signalled once more: %v", err)
	}
}

func TestContainers(t *testing.T) {
	node := testenv.NewNode(t, testenv.Debian)
	t.Run("blind", func(t *testing.T) { testBlind(t, node) })
	t.Run("where", func(t *testing.T) { testWhere(t, node) })
	t.Run("reloads", func(t *testing.T) { testReloads(t, node) })
	t.Run("upgrade", func(t *testing.T) { testUpgrade(t, node) })
	t.Run("single", func(t *testing.T) { testSingle(t, node) })
}

// testWhere finds nginx wherever it may run, beside others, and reloads it.
func testWhere(t *testing.T, node *testenv.Node) {
	other := script("other", "sed -i 's/listen 80/listen 81/' /etc/nginx/conf.d/default.conf; exec nginx -g 'daemon off;'")
	background := "nginx; echo 1 > /run/nginx.pid; while :; do sleep 1; done"
	tests := []struct {
		name string
		pod  testenv.PodConfig
		init bool // the master is the container's init
	}{
		{name: "pid-1", init: true, pod: testenv.PodConfig{Containers: []testenv.ContainerConfig{{Name: "web"}}}},
		{name: "tini", pod: testenv.PodConfig{Containers: []testenv.ContainerConfig{
			{Name: "web", Command: []string{"tini", "--", "nginx", "-g", "daemon off;"}},
		}}},
		{name: "shell", pod: testenv.PodConfig{Containers: []testenv.ContainerConfig{
			script("web", "nginx -t; nginx -g 'daemon off;'; exit"),
		}}},
		{name: "background-lying-pid-file", pod: testenv.PodConfig{Containers: []testenv.ContainerConfig{script("web", background)}}},
		{name: "shared-pid", init: true, pod: testenv.PodConfig{SharePID: true, Containers: []testenv.ContainerConfig{other, {Name: "web"}}}},
		{name: "shared-pid-background", pod: testenv.PodConfig{SharePID: true, Containers: []testenv.ContainerConfig{other, script("web", background)}}},
		{name: "host-pid", init: true, pod: testenv.PodConfig{HostPID: true, Containers: []testenv.ContainerConfig{other, {Name: "web"}}}},
		{name: "host-pid-background", pod: testenv.PodConfig{HostPID: true, Containers: []testenv.ContainerConfig{other, script("web", background)}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.pod.Name = test.name
			pod, init := run(t, node, test.pod)
			master, _ := await(t, init)
			if got := master.Pid() == init.Pid(); got != test.init {
				t.Errorf("found process %d, init is %d: is init %v, want %v", master.Pid(), init.Pid(), got, test.init)
			}
			if err := reload(t, master, patience); err != nil {
				t.Error(err)
			}
			// Its configuration is the one of this container.
			write(t, init, "/etc/nginx/conf.d/default.conf", "server { listen 80; location / { return 200 'reloaded'; } }\n")
			if err := reload(t, master, patience); err != nil {
				t.Error(err)
			}
			if got, err := pod.Get(t.Context(), 80, "/"); err != nil || got != "reloaded" {
				t.Errorf("got %q, %v after the reload", got, err)
			}
		})
	}
}

func testReloads(t *testing.T, node *testenv.Node) {
	pod, init := run(t, node, testenv.PodConfig{Name: "reloads", Containers: []testenv.ContainerConfig{{Name: "web"}}})
	master, _ := await(t, init)
	const extra = "/etc/nginx/conf.d/extra.conf"
	good := func() { write(t, init, extra, "# fine\n") }
	bad := func() { write(t, init, extra, "nonsense;\n") }

	t.Run("good and bad in turn", func(t *testing.T) {
		for range 5 {
			good()
			if err := reload(t, master, patience); err != nil {
				t.Error(err)
			}
			bad()
			if err := reload(t, master, patience); !errors.Is(err, ErrNotTaken) || !strings.Contains(err.Error(), "the same 2 workers") {
				t.Errorf("got %v, want %v", err, ErrNotTaken)
			}
		}
	})

	t.Run("requests in flight", func(t *testing.T) {
		good()
		for range 3 {
			conn, err := pod.Dial(t.Context(), "tcp", "127.0.0.1:80")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			io.WriteString(conn, "GET / HTTP/1.1\r\nHost: half\r\n")
			if err := reload(t, master, patience); err != nil {
				t.Error(err)
			}
			// Its worker drains, and still answers.
			io.WriteString(conn, "Connection: close\r\n\r\n")
			if b, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 200") {
				t.Errorf("got %q, %v", b, err)
			}
		}
	})

	// Somebody else's reload, of the good configuration, is under way when ours of
	// the bad one is asked for: its new workers are no proof of ours.
	t.Run("another reload under way", func(t *testing.T) {
		for range 10 {
			good()
			if err := reload(t, master, patience); err != nil {
				t.Fatal(err)
			}
			hup(t, master)
			time.Sleep(rand.N(6 * time.Millisecond)) // any moment of it
			bad()
			if err := reload(t, master, patience); !errors.Is(err, ErrNotTaken) {
				t.Errorf("bad: got %v, want %v", err, ErrNotTaken)
			}
		}
		for range 5 {
			good()
			hup(t, master)
			time.Sleep(rand.N(6 * time.Millisecond))
			if err := reload(t, master, patience); err != nil {
				t.Errorf("good: %v", err)
			}
		}
	})

	t.Run("many at once", func(t *testing.T) {
		good()
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if err := reload(t, master, patience); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})

	t.Run("stopped", func(t *testing.T) {
		pr, err := nginx.Before(master)
		if err != nil {
			t.Fatal(err)
		}
		defer pr.Close()
		syscall.Kill(master.Pid(), syscall.SIGSTOP)
		poll(t, time.Now().Add(patience), func() bool {
			info, err := master.Info()
			return err != nil || info.State == 'T'
		})
		hup(t, master)
		ctx, cancel := context.WithTimeout(t.Context(), enough)
		defer cancel()
		err = pr.Wait(ctx)
		syscall.Kill(master.Pid(), syscall.SIGCONT)
		if !errors.Is(err, ErrNotTaken) || !strings.Contains(err.Error(), "not come to the signal") {
			t.Errorf("got %v, want %v", err, ErrNotTaken)
		}
		// It takes later, which the same proof still shows.
		ctx, cancel = context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := pr.Wait(ctx); err != nil {
			t.Error(err)
		}
	})

	t.Run("a crash is no reload", func(t *testing.T) {
		bad()
		pr, err := nginx.Before(master)
		if err != nil {
			t.Fatal(err)
		}
		defer pr.Close()
		pr.preset.Overlap = time.Hour // no look is late, however busy the machine
		hup(t, master)
		pr.mustLook(t)
		for pid, c := range pr.children {
			if c.role == worker {
				syscall.Kill(pid, syscall.SIGKILL)
				break
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), enough)
		defer cancel()
		if err := pr.Wait(ctx); !errors.Is(err, ErrNotTaken) {
			t.Errorf("got %v, want %v", err, ErrNotTaken)
		}
	})
}

// testUpgrade replaces the binary (USR2), which nginx ignores in the foreground.
func testUpgrade(t *testing.T, node *testenv.Node) {
	_, init := run(t, node, testenv.PodConfig{Name: "upgrade", Containers: []testenv.ContainerConfig{
		script("web", "$(command -v nginx); while :; do sleep 1; done"), // USR2 needs the whole path
	}})
	old, pr := await(t, init)
	deadline := time.Now().Add(patience)
	poll(t, deadline, func() bool {
		// More than once: it ignores the signal as long as the process that it went to the
		// background from has not ended (src/os/unix/ngx_process.c), and once there is a new binary.
		kill(t, old, syscall.SIGUSR2)
		pr, err := nginx.Before(old)
		if err == nil {
			pr.Close()
		}
		return errors.Is(err, ErrAmbiguous)
	})
	hup(t, old)
	ctx, cancel := context.WithTimeout(t.Context(), enough)
	defer cancel()
	if err := pr.Wait(ctx); !errors.Is(err, ErrNotTaken) {
		t.Errorf("the old master: got %v, want %v", err, ErrNotTaken)
	}
	if err := syscall.Kill(old.Pid(), syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	poll(t, deadline, func() bool { return old.Alive() != nil })
	master, _ := await(t, init)
	if master.Pid() == old.Pid() {
		t.Error("found the old master after its end")
	}
	if err := reload(t, master, patience); err != nil {
		t.Error(err)
	}
}

// testSingle has no workers, so that a reload shows nowhere.
func testSingle(t *testing.T, node *testenv.Node) {
	_, init := run(t, node, testenv.PodConfig{Name: "single", Containers: []testenv.ContainerConfig{{
		Name: "web", Args: []string{"nginx", "-g", "daemon off; master_process off;"},
	}}})
	poll(t, time.Now().Add(patience), func() bool {
		master, err := nginx.Find(t.Context(), init)
		if err != nil {
			return false
		}
		defer master.Close()
		if _, err := nginx.Before(master); !errors.Is(err, ErrUnprovable) {
			t.Errorf("got %v, want %v", err, ErrUnprovable)
		}
		return true
	})
}
