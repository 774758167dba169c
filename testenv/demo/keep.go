package main

import (
	"bufio"
	"context"
	"os"
	"strings"

	"github.com/podreload/podreload/testenv"
)

// keep leaves the scene running until ^C, and puts what is typed.
func keep(ctx context.Context, s *scene) error {
	pid, err := s.pod.Container("nginx").Pid(ctx)
	if err != nil {
		return err
	}
	heading("It stays until ^C. In another terminal, in this folder:")
	say("  alias podreload='%s'", strings.Join(s.podreload(), " "))
	say("  podreload ps; podreload info; podreload diff default/registry-0; podreload inspect default/registry-0")
	say("  nsenter -t %d -n curl -s http://127.0.0.1/", pid)
	say("  etcdctl --endpoints %s put %s 'another value'", s.etcd.Endpoint(), testenv.ExperimentKey)
	say("  tail -f %s", s.path("daemon.log"))
	say("Without etcdctl: a line typed here is put as the value of %s.", testenv.ExperimentKey)
	lines := make(chan string)
	go func() { // ends with the process: a read of a terminal cannot be interrupted
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			lines <- in.Text()
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case line := <-lines:
			if _, err := s.etcd.Put(ctx, testenv.ExperimentKey, line); err != nil {
				return err
			}
			say("put; revision and result: podreload ps")
		}
	}
}
