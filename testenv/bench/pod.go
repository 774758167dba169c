package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/testenv"
)

// patience is how long anything single is waited for.
const patience = 20 * time.Second

// receiver is a running container that says when it is signalled.
type receiver struct {
	*testenv.Container
	pid  int // on the node
	conn net.Conn
}

// startReceiver makes a pod with a receiver as its one container. The folder for
// its socket is made in dir.
func startReceiver(ctx context.Context, n *testenv.Node, dir, name string, labels map[string]string) (*receiver, error) {
	parts, err := testenv.Parts()
	if err != nil {
		return nil, err
	}
	program, err := filepath.Abs(filepath.Join(parts, "receiver"))
	if err != nil {
		return nil, err
	}
	dir = filepath.Join(dir, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	listener, err := net.Listen("unix", filepath.Join(dir, "sock"))
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	pod, err := n.RunPod(ctx, testenv.PodConfig{Name: name, Labels: labels, Containers: []testenv.ContainerConfig{{
		Name:    "receiver",
		Command: []string{"/receiver", "/run/bench/sock"},
		Mounts: []testenv.Mount{
			{HostPath: program, ContainerPath: "/receiver", ReadOnly: true},
			{HostPath: dir, ContainerPath: "/run/bench"},
		},
	}}})
	if err != nil {
		return nil, err
	}
	r := &receiver{Container: pod.Container("receiver")}
	if r.pid, err = r.Pid(ctx); err != nil {
		return nil, err
	}
	if err := listener.(*net.UnixListener).SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	r.conn, err = listener.Accept()
	return r, err
}

// signalled waits for the next signal and returns when the receiver had it.
func (r *receiver) signalled() (time.Duration, error) {
	if err := r.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	var at int64
	if err := binary.Read(r.conn, binary.NativeEndian, &at); err != nil {
		return 0, fmt.Errorf("wait for the signal to arrive: %w", err)
	}
	return time.Duration(at), nil
}

// now is the time as the receivers tell it.
func now() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // fails for unknown clocks only
	return time.Duration(t.Nano())
}
