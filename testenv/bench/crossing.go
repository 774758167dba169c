package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/shim"
)

// The file that is replaced: in the container's root, an overlay, and in its
// /dev/shm, which is the pod's and a tmpfs as a volume of medium Memory is one.
const (
	onOverlay = "/etc/nginx/bench.conf"
	onTmpfs   = "/dev/shm/bench.conf"
)

// crossing writes and signals as the agent does: pin, cross, read the result.
func crossing(s *nsenter.Shim, r *receiver, path string) func(context.Context, string) error {
	return func(ctx context.Context, text string) error {
		return cross(ctx, s, r.pid, shim.Request{
			Op: shim.Apply, Signal: int(unix.SIGUSR1), Files: []shim.File{{Path: path, Data: []byte(text)}},
		})
	}
}

// there is the name of that.
const there = "the same with no file"

// signalOnly crosses and signals, and that is all.
func signalOnly(s *nsenter.Shim, r *receiver) func(context.Context, string) error {
	return func(ctx context.Context, _ string) error {
		return cross(ctx, s, r.pid, shim.Request{Op: shim.Apply, Signal: int(unix.SIGUSR1), Always: true})
	}
}

func cross(ctx context.Context, s *nsenter.Shim, pid int, req shim.Request) error {
	process, err := nsenter.Pin(pid)
	if err != nil {
		return err
	}
	defer process.Close()
	body, err := req.Encode()
	if err != nil {
		return err
	}
	reply, err := s.Cross(ctx, process, process, body)
	if err != nil {
		return err
	}
	result, err := shim.DecodeResult(reply)
	if err != nil {
		return err
	}
	return result.Err()
}

// bare is the floor: the same file and signal with no namespace entered and
// nothing checked. It is no way to work: a link that the container plants leads
// it onto the node.
func bare(r *receiver, path string) func(context.Context, string) error {
	path = fmt.Sprintf("/proc/%d/root%s", r.pid, path)
	return func(_ context.Context, text string) error {
		if err := os.WriteFile(path+".tmp", []byte(text), 0o644); err != nil {
			return err
		}
		if err := os.Rename(path+".tmp", path); err != nil {
			return err
		}
		return unix.Kill(r.pid, unix.SIGUSR1)
	}
}

// script is what the other ways have a shell do in the container. printf and kill
// are the shell's own: only mv is one more process. The text is an argument,
// which is cheaper than a pipe.
func script(text string) []string {
	return []string{"sh", "-c", `printf %s "$1" >"$2.tmp" && mv "$2.tmp" "$2" && kill -USR1 1`, "sh", text, onOverlay}
}

// shell runs the script by a program of the node that starts others inside.
func shell(program ...string) func(context.Context, string) error {
	return func(ctx context.Context, text string) error {
		out, err := exec.CommandContext(ctx, program[0], append(program[1:], script(text)...)...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
}

func runcExec(runc, root string, r *receiver) func(context.Context, string) error {
	return shell(runc, "--root", root, "exec", r.ID)
}

func utilLinux(r *receiver) func(context.Context, string) error {
	return shell("nsenter", "-t", strconv.Itoa(r.pid), "-m", "-p")
}

// start starts the shim's program and no more: without a socket it ends at once.
func start(program string) func(context.Context, string) error {
	return func(ctx context.Context, _ string) error {
		cmd := exec.CommandContext(ctx, program)
		cmd.Env = []string{"GOMAXPROCS=1"} // as package nsenter starts it
		if err := cmd.Run(); cmd.ProcessState == nil {
			return err
		}
		return nil
	}
}
