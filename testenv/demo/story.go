package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/testenv"
)

// play tells the story. Each step shows what it claims, and fails if it is not so.
func play(ctx context.Context, s *scene) error {
	if _, err := s.etcd.Put(ctx, testenv.ExperimentKey, "the first value"); err != nil {
		return err
	}
	if err := showContainers(ctx, s); err != nil {
		return err
	}
	if err := showBefore(ctx, s); err != nil {
		return err
	}
	before, err := servers(ctx, s)
	if err != nil {
		return err
	}
	if err := showChange(ctx, s); err != nil {
		return err
	}
	after, err := servers(ctx, s)
	if err != nil {
		return err
	}
	return showAfter(ctx, s, before, after)
}

// showContainers shows that the two share everything but PIDs.
func showContainers(ctx context.Context, s *scene) error {
	heading("A pod with two containers: what each sees of processes")
	for _, name := range []string{"registry", "nginx"} {
		out, err := s.pod.Container(name).Exec(ctx, "ps", "-o", "pid,args")
		if err != nil {
			return err
		}
		say("ps in %s:", name)
		indent(out)
	}
	heading("Their namespaces: network, IPC and UTS are one, PIDs are not")
	var registry, nginx map[string]string
	var err error
	if registry, err = namespaces(ctx, s, "registry"); err != nil {
		return err
	}
	if nginx, err = namespaces(ctx, s, "nginx"); err != nil {
		return err
	}
	say("      %-20s %-20s", "registry", "nginx")
	for _, ns := range []string{"net", "ipc", "uts", "pid", "mnt"} {
		same := "shared"
		if registry[ns] != nginx[ns] {
			same = "NOT shared"
		}
		say("  %-4s%-20s %-20s %s", ns, number(registry[ns]), number(nginx[ns]), same)
	}
	if registry["pid"] == nginx["pid"] || registry["net"] != nginx["net"] {
		return errors.New("the pod is not as the story needs it")
	}
	return nil
}

// showBefore shows what nginx serves without podreload, and starts it.
func showBefore(ctx context.Context, s *scene) error {
	heading("Before")
	if err := s.served(ctx, "hello from the image\n"); err != nil {
		return err
	}
	say("  curl http://pod/    hello from the image")
	say("  etcd %s   the first value", testenv.ExperimentKey)
	progress("starting podreload daemon; the pod's label podreload.io/profile: web opts it in")
	if err := s.startDaemon(); err != nil {
		return err
	}
	if err := s.served(ctx, "the first value\n"); err != nil {
		return err
	}
	say("  curl http://pod/    the first value")
	return s.live(ctx)
}

// showChange puts a value while a request is in flight.
func showChange(ctx context.Context, s *scene) error {
	heading("Someone puts a new value in etcd, while a slow request is in flight")
	finish, err := s.slowRequest(ctx)
	if err != nil {
		return err
	}
	value := "changed at " + time.Now().Format("15:04:05.000")
	say("  put %s %q", testenv.ExperimentKey, value)
	if _, err := s.etcd.Put(ctx, testenv.ExperimentKey, value); err != nil {
		return err
	}
	acknowledged := time.Now()
	if err := s.served(ctx, value+"\n"); err != nil {
		return err
	}
	say("  curl http://pod/    %s", value)
	say("  from etcd's acknowledgement to served: %.1f ms", float64(time.Since(acknowledged).Microseconds())/1000)
	body, err := finish()
	if err != nil || !strings.HasSuffix(body, "started\nfinished\n") {
		return fmt.Errorf("the request in flight was cut: %q (%w)", body, err)
	}
	say("  the request in flight came to its end: started … finished")
	return s.live(ctx)
}

// showAfter compares the servers with those before, and looks for traces.
func showAfter(ctx context.Context, s *scene, before, after map[string]string) error {
	heading("After")
	for _, name := range []string{"nginx", "registry"} {
		say("  %-10s pid on the node before %s, after %s", name, before[name], after[name])
		if before[name] != after[name] {
			return fmt.Errorf("%s is not the process that it was", name)
		}
		for _, look := range [][]string{{"ps", "-o", "args"}, {"find", "/", "-xdev", "-name", "*[p]odreload*"}} {
			left, err := s.pod.Container(name).Exec(ctx, look...)
			if err != nil {
				return err
			}
			if strings.Contains(left, "podreload") {
				return fmt.Errorf("something of podreload stayed in %s:\n%s", name, left)
			}
		}
	}
	say("  no process and no file of podreload in either container")
	heading("podreload ps")
	out, err := s.run(ctx, "ps")
	if err != nil {
		return err
	}
	indent(out)
	return nil
}

// live waits until the reload is proved: serving the value is nginx's word,
// Live is podreload's.
func (s *scene) live(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		out, err := s.run(ctx, "ps", "-o", "go-template", "--template", "{{range .}}{{.state}}{{end}}")
		if err != nil {
			return err
		}
		if strings.TrimSpace(out) == "Live" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the target is %s, not Live", strings.TrimSpace(out))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// servers are the first processes of both containers, as pid and start time.
func servers(ctx context.Context, s *scene) (map[string]string, error) {
	found := map[string]string{}
	for _, name := range []string{"registry", "nginx"} {
		pid, err := s.pod.Container(name).Pid(ctx)
		if err != nil {
			return nil, err
		}
		info, err := nsenter.ReadInfo(pid)
		if err != nil {
			return nil, err
		}
		found[name] = fmt.Sprintf("%d (started at tick %d)", pid, info.StartTime)
	}
	return found, nil
}

func namespaces(ctx context.Context, s *scene, container string) (map[string]string, error) {
	pid, err := s.pod.Container(container).Pid(ctx)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, ns := range []string{"net", "ipc", "uts", "pid", "mnt"} {
		if found[ns], err = os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, ns)); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// number takes 4026531840 out of net:[4026531840].
func number(link string) string {
	_, n, _ := strings.Cut(strings.TrimSuffix(link, "]"), "[")
	return n
}

func indent(text string) {
	for line := range strings.Lines(text) {
		fmt.Print("  ", line)
	}
}
