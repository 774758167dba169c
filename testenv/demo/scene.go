package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/podreload/podreload/testenv"
)

// scene is everything that the story is played with.
type scene struct {
	dir    string
	node   *testenv.Node
	etcd   *testenv.Etcd
	pod    *testenv.Pod
	daemon *exec.Cmd
	ended  chan struct{} // closed when the daemon has ended
}

// open starts all but the daemon, and says what it does meanwhile.
func open(ctx context.Context) (_ *scene, err error) {
	s := &scene{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.dir, err = os.MkdirTemp("", "podreload-demo-"); err != nil {
		return nil, err
	}
	if err := testenv.WriteTree(s.path("etc"), testenv.ExperimentConf()); err != nil {
		return nil, err
	}
	progress("starting a private containerd (own root, state and socket)")
	if s.node, err = testenv.StartNode(ctx, testenv.NodeConfig{Version: testenv.V2}); err != nil {
		return nil, err
	}
	progress("starting an etcd inside this program")
	if s.etcd, err = testenv.StartEtcd(ctx, s.path("etcd")); err != nil {
		return nil, err
	}
	progress("making a pod through CRI, as the kubelet does")
	if s.pod, err = s.node.RunPod(ctx, testenv.ExperimentPod()); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *scene) path(name string) string { return filepath.Join(s.dir, name) }

// podreload is the command line that the demo's podreload is called with.
func (s *scene) podreload(args ...string) []string {
	return append([]string{
		"bin/podreload", "--runtime-endpoint", "unix://" + s.node.Socket(), "--nri-socket", s.node.NRISocket(), "--endpoints", s.etcd.Endpoint(),
		"--confdir", s.path("etc"), "--state", s.path("run"), "--root", s.path("kept"),
	}, args...)
}

// startDaemon starts `podreload daemon`, its log in a file.
func (s *scene) startDaemon() error {
	log, err := os.Create(s.path("daemon.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	line := s.podreload("daemon")
	s.daemon = exec.Command(line[0], line[1:]...)
	s.daemon.Stderr = log
	s.daemon.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // ^C is for the demo, which ends it in its turn
	if err := s.daemon.Start(); err != nil {
		return fmt.Errorf("start podreload (is it built?): %w", err)
	}
	s.ended = make(chan struct{})
	go func() {
		_ = s.daemon.Wait() // seen by who waits for s.ended
		close(s.ended)
	}()
	return nil
}

// run calls podreload and returns what it prints.
func (s *scene) run(ctx context.Context, args ...string) (string, error) {
	line := s.podreload(args...)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("podreload %s: %w: %s", strings.Join(args, " "), err, errs.String())
	}
	return string(out), nil
}

// served waits until nginx answers with want.
func (s *scene) served(ctx context.Context, want string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		body, err := s.pod.Get(ctx, 80, "/")
		if err == nil && body == want {
			return nil
		}
		select {
		case <-s.ended:
			log, _ := os.ReadFile(s.path("daemon.log"))
			return fmt.Errorf("the daemon ended:\n%s", log)
		case <-ctx.Done():
			log, _ := os.ReadFile(s.path("daemon.log"))
			return fmt.Errorf("nginx does not serve %q, but %q (%w); the daemon's log:\n%s", want, body, err, log)
		case <-time.After(200 * time.Microsecond):
		}
	}
}

// slowRequest begins a request that the registry answers in two parts and
// returns, after the first part, a function that waits for the whole.
func (s *scene) slowRequest(ctx context.Context) (finish func() (string, error), err error) {
	conn, err := s.pod.Dial(ctx, "tcp", "127.0.0.1:80")
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(15 * time.Second))
	fmt.Fprintf(conn, "GET /cgi-bin/slow HTTP/1.0\r\nHost: demo\r\n\r\n")
	r := bufio.NewReader(conn)
	var got strings.Builder
	for !strings.HasSuffix(got.String(), "started\n") {
		line, err := r.ReadString('\n')
		got.WriteString(line)
		if err != nil {
			conn.Close()
			return nil, fmt.Errorf("the slow request: %w after %q", err, got.String())
		}
	}
	return func() (string, error) {
		defer conn.Close()
		rest, err := io.ReadAll(r)
		return got.String() + string(rest), err
	}, nil
}

// Close ends and deletes all of it.
func (s *scene) Close() error {
	var errs []error
	if s.daemon != nil {
		if err := s.daemon.Process.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
			errs = append(errs, err)
		}
		<-s.ended
	}
	if s.node != nil {
		errs = append(errs, s.node.Close())
	}
	if s.etcd != nil {
		errs = append(errs, s.etcd.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}
