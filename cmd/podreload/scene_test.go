package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/podreload/podreload/daemonset/state"
	"github.com/podreload/podreload/testenv"
)

// scene is what one script plays on.
type scene struct {
	node  *testenv.Node
	etcd  *testenv.Etcd
	pods  map[string]*testenv.Pod // by name
	state string
	held  []func() // locks to give back
}

type sceneKey struct{}

func (s *scene) close() {
	for _, release := range s.held {
		release()
	}
	for _, p := range s.pods {
		if err := p.Remove(context.Background()); err != nil {
			panic(err) // the next script would see its pods
		}
	}
	if s.etcd != nil {
		_ = s.etcd.Close() // may be stopped already
	}
}

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
	return poll(ctx, func() error {
		store, err := state.Open(s.state)
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
	return poll(ctx, func() error {
		body, err := pod.Get(ctx, 80, args[1])
		if err == nil && strings.TrimSpace(body) != args[2] {
			err = fmt.Errorf("nginx serves %q, want %q", body, args[2])
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
	case "auth": // with the user root whose password is secret
		c := s.etcd.Client()
		_, err1 := c.UserAdd(ctx, "root", "secret")
		_, err2 := c.UserGrantRole(ctx, "root", "root")
		_, err3 := c.AuthEnable(ctx)
		return errors.Join(err1, err2, err3)
	}
	return fmt.Errorf("etcd %s?", args[0])
}

func runtimeDo(ctx context.Context, _ *testscript.TestScript, s *scene, args []string) error {
	if args[0] == "stop" {
		return s.node.StopContainerd()
	}
	return s.node.StartContainerd(ctx)
}

func lock(ctx context.Context, _ *testscript.TestScript, s *scene, args []string) error {
	store, err := state.Open(s.state)
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

func (s *scene) pod(name string) (*testenv.Pod, error) {
	if p := s.pods[name]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("no pod %q in this script", name)
}

// poll tries until it works: what it waits for sends no event that it could
// wait for instead.
func poll(ctx context.Context, try func() error) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// kinds are the pods that scripts have.
var kinds = map[string][]testenv.ContainerConfig{
	"web":      {{Name: "nginx"}},
	"registry": testenv.ExperimentPod().Containers,
	"twins":    {{Name: "nginx"}, {Name: "other", Command: shell("sed -i s/80/81/ /etc/nginx/conf.d/default.conf; exec nginx -g 'daemon off;'")}},
	"idle":     {{Name: "nginx", Command: shell("exec sleep 1d")}},
	"late":     {{Name: "one", Command: shell("exec sleep 1d")}, {Name: "two", Command: shell("exec sleep 1d")}},
	"child":    {{Name: "nginx", Command: shell("nginx; while :; do sleep 1; done")}}, // nginx is not the first process
	"readonly": {{Name: "nginx", Command: shell("exec sleep 1d"), ReadonlyRoot: true}},
	"full": {{Name: "nginx", Privileged: true, // to mount
		Command: shell("cd /etc/nginx/conf.d; cp default.conf /tmp; mount -t tmpfs -o size=8k tmpfs $PWD; cp /tmp/default.conf $PWD; exec nginx -g 'daemon off;'")}},
}

// serving are the kinds whose nginx is waited for.
var serving = []string{"web", "registry", "twins", "child", "full"}

func shell(script string) []string { return []string{"sh", "-c", script} }

func runPod(ctx context.Context, ts *testscript.TestScript, s *scene, args []string) error {
	name, kind, labels := args[0], args[1], map[string]string{}
	containers, ok := kinds[kind]
	if !ok {
		return fmt.Errorf("no kind of pod is %q", kind)
	}
	for _, label := range args[2:] {
		key, value, _ := strings.Cut(label, "=")
		labels[key] = value
	}
	pod, err := s.node.RunPod(ctx, testenv.PodConfig{Name: name, Labels: labels, Containers: containers})
	if err != nil {
		return err
	}
	s.pods[name] = pod
	ts.Setenv("ID", pod.Container(containers[len(containers)-1].Name).ID)
	if !slices.Contains(serving, kind) {
		return nil
	}
	return poll(ctx, func() error {
		_, err := pod.Get(ctx, 80, "/")
		return err
	})
}
