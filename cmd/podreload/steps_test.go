package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/podreload/podreload/daemonset/state"
	"github.com/podreload/podreload/testenv"
)

// command is a step of a script. Its error fails the script.
type command func(ctx context.Context, ts *testscript.TestScript, s *scene, args []string) error

// commands are the steps that scripts have beside those of testscript, with
// how many arguments each needs at least.
func commands() map[string]func(*testscript.TestScript, bool, []string) {
	all := map[string]func(*testscript.TestScript, bool, []string){}
	add := func(name string, atLeast int, c command) {
		all[name] = func(ts *testscript.TestScript, neg bool, args []string) {
			if neg || len(args) < atLeast {
				ts.Fatalf("%s: no ! and at least %d arguments, please", name, atLeast)
			}
			ctx, cancel := context.WithTimeout(context.Background(), stepTimeout)
			defer cancel()
			ts.Check(c(ctx, ts, ts.Value(sceneKey{}).(*scene), args))
		}
	}
	add("exits", 2, exits)          // exits CODE COMMAND...: run it and want that exit code
	add("interrupt", 2, interrupt)  // interrupt CODE COMMAND...: ^C once it waits for etcd
	add("await", 2, await)          // await STATE POD [REVISION]: until the container nginx has that state
	add("pod", 2, runPod)           // pod NAME KIND LABEL=VALUE...: sets $ID to its container
	add("inside", 2, inside)        // inside POD COMMAND...: in the container nginx
	add("get", 3, get)              // get POD PATH WANT: until nginx serves it
	add("put", 2, put)              // put KEY VALUE: sets $REVISION
	add("etcd", 1, etcdDo)          // etcd stop|start|auth
	add("containerd", 1, runtimeDo) // containerd stop|start
	add("scrape", 2, scrape)        // scrape PATH RE...: until what is served at $LISTEN matches
	add("restart", 1, restart)      // restart POD: another container nginx in the place of the old one
	add("remove", 1, remove)        // remove POD
	add("lock", 1, lock)            // lock ID: hold the container's lock until the script ends
	return all
}

func exits(_ context.Context, ts *testscript.TestScript, _ *scene, args []string) error {
	return wantExit(args[0], ts.Exec(args[1], args[2:]...))
}

func wantExit(code string, err error) error {
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else if err != nil {
		return err
	}
	if want, err := strconv.Atoi(code); err != nil || got != want {
		return fmt.Errorf("exit code %d, want %s", got, code)
	}
	return nil
}

// interrupt gives the command an etcd that accepts and then says nothing, so
// that it is known when it waits.
func interrupt(ctx context.Context, ts *testscript.TestScript, _ *scene, args []string) error {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer silent.Close()
	cmd := exec.CommandContext(ctx, args[1], args[2:]...)
	for _, name := range []string{"PODRELOAD_CONFIG", "CONTAINER_RUNTIME_ENDPOINT"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	cmd.Env = append(cmd.Env, "ETCDCTL_ENDPOINTS="+silent.Addr().String())
	if cmd.Path, err = lookPath(ts.Getenv("PATH"), args[1]); err != nil {
		return err
	}
	cmd.Err = nil
	cmd.Stdout, cmd.Stderr = ts.Stdout(), ts.Stderr()
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := silent.(*net.TCPListener).SetDeadline(time.Now().Add(stepTimeout)); err != nil {
		return err
	}
	conn, err := silent.Accept()
	if err == nil {
		defer conn.Close()
		err = cmd.Process.Signal(os.Interrupt)
	}
	return errors.Join(err, wantExit(args[0], cmd.Wait()))
}

func lookPath(path, name string) (string, error) {
	for _, dir := range strings.Split(path, ":") {
		if file := dir + "/" + name; fileExists(file) {
			return file, nil
		}
	}
	return "", fmt.Errorf("no %s in %s", name, path)
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// await reads the records themselves: a process for every look would load the
// machine.
func await(ctx context.Context, _ *testscript.TestScript, s *scene, args []string) error {
	pod, err := s.pod(args[1])
	if err != nil {
		return err
	}
	return testenv.Poll(ctx, func() error {
		store, err := state.Open(s.state, s.root)
		if err != nil {
			return err
		}
		defer store.Close()
		status, err := store.Load(pod.Container("nginx").ID)
		if err == nil && (string(status.State) != args[0] || len(args) > 2 && revision(status.Revision) != args[2]) {
			err = fmt.Errorf("%s is %s at revision %d (%s), want %v", args[1], status.State, status.Revision, status.Reason, args)
		}
		return err
	})
}

func get(ctx context.Context, _ *testscript.TestScript, s *scene, args []string) error {
	pod, err := s.pod(args[0])
	if err != nil {
		return err
	}
	return testenv.Poll(ctx, func() error {
		body, err := pod.Get(ctx, 80, args[1])
		if err == nil && strings.TrimSpace(body) != args[2] {
			err = fmt.Errorf("nginx serves %q, want %q", body, args[2])
		}
		return err
	})
}

func scrape(ctx context.Context, ts *testscript.TestScript, _ *scene, args []string) error {
	re, err := regexp.Compile("(?m)" + args[1])
	if err != nil {
		return err
	}
	return testenv.Poll(ctx, func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+ts.Getenv("LISTEN")+args[0], nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err == nil && !re.Match(body) {
			err = fmt.Errorf("no match of %s in\n%s", re, body)
		}
		return err
	})
}

func put(ctx context.Context, ts *testscript.TestScript, s *scene, args []string) error {
	n, err := s.etcd.Put(ctx, args[0], args[1])
	ts.Setenv("REVISION", revision(n))
	return err
}

func etcdDo(ctx context.Context, _ *testscript.TestScript, s *scene, args []string) error {
	switch args[0] {
	case "stop":
		s.etcd.Stop()
		return nil
	case "start":
		return s.etcd.Start(ctx)
	case "auth":
		return auth(ctx, s.etcd.Client())
	}
	return fmt.Errorf("etcd %s?", args[0])
}

// auth lets in root, whose password is secret, and reader, whose password is
// too and who may read below /web/ only.
func auth(ctx context.Context, c *clientv3.Client) error {
	var errs []error
	for _, name := range []string{"root", "reader"} {
		_, err := c.RoleAdd(ctx, name)
		errs = append(errs, err)
		_, err = c.UserAdd(ctx, name, "secret")
		errs = append(errs, err)
		_, err = c.UserGrantRole(ctx, name, name)
		errs = append(errs, err)
	}
	_, err := c.RoleGrantPermission(ctx, "reader", "/web/", clientv3.GetPrefixRangeEnd("/web/"), clientv3.PermissionType(clientv3.PermRead))
	errs = append(errs, err)
	_, err = c.AuthEnable(ctx)
	return errors.Join(append(errs, err)...)
}

func runtimeDo(ctx context.Context, _ *testscript.TestScript, s *scene, args []string) error {
	if args[0] == "stop" {
		return s.node.StopContainerd()
	}
	return s.node.StartContainerd(ctx)
}

func restart(ctx context.Context, ts *testscript.TestScript, s *scene, args []string) error {
	pod, err := s.pod(args[0])
	if err != nil {
		return err
	}
	c, err := pod.Restart(ctx, "nginx")
	if err == nil {
		ts.Setenv("ID", c.ID)
	}
	return err
}

func remove(ctx context.Context, _ *testscript.TestScript, s *scene, args []string) error {
	pod, err := s.pod(args[0])
	if err != nil {
		return err
	}
	delete(s.pods, args[0])
	return pod.Remove(ctx)
}

func lock(ctx context.Context, _ *testscript.TestScript, s *scene, args []string) error {
	store, err := state.Open(s.state, s.root)
	if err != nil {
		return err
	}
	unlock, err := store.Lock(ctx, args[0])
	if err != nil {
		return errors.Join(err, store.Close())
	}
	s.held = append(s.held, func() { unlock(); store.Close() })
	return nil
}

func inside(ctx context.Context, ts *testscript.TestScript, s *scene, args []string) error {
	pod, err := s.pod(args[0])
	if err != nil {
		return err
	}
	out, err := pod.Container("nginx").Exec(ctx, args[1:]...)
	fmt.Fprint(ts.Stdout(), out)
	return err
}
