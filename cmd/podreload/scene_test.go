package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/podreload/podreload/testenv"
)

// scene is what one script plays on.
type scene struct {
	node        *testenv.Node
	etcd        *testenv.Etcd
	pods        map[string]*testenv.Pod // by name
	state, root string
	held        []func() // locks to give back
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

func (s *scene) pod(name string) (*testenv.Pod, error) {
	if p := s.pods[name]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("no pod %q in this script", name)
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

// serving are the ports on which a kind's servers are waited for.
var serving = map[string][]int{"web": {80}, "registry": {80}, "twins": {80, 81}, "child": {80}, "full": {80}}

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
	for _, port := range serving[kind] {
		if err := testenv.Poll(ctx, func() error {
			_, err := pod.Get(ctx, port, "/")
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}
