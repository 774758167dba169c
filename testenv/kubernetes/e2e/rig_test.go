package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/podreload/podreload/testenv"
	"github.com/podreload/podreload/testenv/kubernetes"
)

const (
	imageName = "podreload.io/podreload" // as the base has it
	key       = "/web/greeting"          // as the base's example reads it

	// startTimeout bounds what Kubernetes needs to get going on a slow, busy machine.
	startTimeout = 4 * time.Minute
	// waitTimeout bounds each single wait.
	waitTimeout = 90 * time.Second
)

// rig is a cluster, podreload's etcd, and the overlay that installs podreload there.
type rig struct {
	*kubernetes.Cluster
	t       *testing.T
	etcd    *testenv.Etcd
	overlay string
}

func newRig(t *testing.T, v testenv.Version) *rig {
	t.Helper()
	if !*enabled {
		t.Skip("make test-kubernetes runs it")
	}
	testenv.Needs(t)
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	begun := time.Now()
	c, err := kubernetes.Start(ctx, v)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{Cluster: c, t: t}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close the cluster: %v", err)
		}
	})
	t.Cleanup(r.explain)
	t.Logf("cluster ready after %v", time.Since(begun).Round(time.Millisecond))
	r.importImages(ctx)
	// On the node's address: pods ask it from their own network.
	r.etcd, err = testenv.StartEtcdWith(ctx, filepath.Join(c.Dir(), "keys"), testenv.EtcdConfig{Client: kubernetes.NodeIP + ":12379"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.etcd.Close(); err != nil {
			t.Error(err)
		}
	})
	r.writeOverlay(*base)
	return r
}

func (r *rig) importImages(ctx context.Context) {
	root, err := testenv.Repository()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, tag := range []string{"e2e-1", "e2e-2"} {
		f, err := os.Open(filepath.Join(root, *images, tag+".tar"))
		if err != nil {
			r.t.Fatal(err)
		}
		defer f.Close()
		if err := r.Node().Import(ctx, f, imageName+":"+tag); err != nil {
			r.t.Fatal(err)
		}
	}
}

// overlay is what anybody's overlay is: which image, where etcd is, and this node's places, as k3s has
// others than the base.
const overlay = `namespace: podreload
resources: [MANIFESTS/BASE]
images: [{name: podreload.io/podreload, newTag: TAG}]
configMapGenerator:
  - {name: podreload, behavior: replace, files: [podreload.toml]}
  - {name: podreload-conf.d, behavior: merge, files: [command.toml]}
patches:
  - target: {kind: DaemonSet, name: podreload}
    patch: |
      apiVersion: apps/v1
      kind: DaemonSet
      metadata: {name: podreload}
      spec:
        template:
          spec:
            containers:
              - name: podreload
                volumeMounts:
                  - {mountPath: /run/podreload, $patch: delete}
                  - {name: state, mountPath: STATE, mountPropagation: HostToContainer}
            volumes:
              - {name: containerd, hostPath: {path: CONTAINERD}}
              - {name: state, hostPath: {path: STATE}}
              - {name: root, hostPath: {path: ROOT}}
              - {name: nri, hostPath: {path: CONTAINERD}}
`

const settings = `endpoints = ["ETCD"]
state = "STATE"
log-format = "json"
`

// command is a profile that runs a program inside, whose output comes through FIFOs that containerd
// opens on the node.
const command = `[template]
src = "web.conf.tmpl"
dest = "/etc/nginx/conf.d/default.conf"
prefix = "/web"
keys = ["/greeting"]
reload_cmd = "nginx -s reload && echo done"
[profile]
process = "nginx"
`

// writeOverlay writes an overlay over a folder of daemonset/manifests.
func (r *rig) writeOverlay(base string) {
	root, err := testenv.Repository()
	if err != nil {
		r.t.Fatal(err)
	}
	r.overlay = filepath.Join(r.Dir(), "overlay")
	manifests, err := filepath.Rel(r.overlay, filepath.Join(root, "daemonset", "manifests"))
	if err != nil {
		r.t.Fatal(err)
	}
	fill := strings.NewReplacer("MANIFESTS", manifests, "BASE", base, "TAG", "e2e-1", "STATE", r.state(), "ROOT", r.lasting(),
		"CONTAINERD", r.Node().Dir(), "ETCD", r.etcd.Endpoint())
	if err := testenv.WriteTree(r.overlay, map[string]string{
		"kustomization.yaml": fill.Replace(overlay), "podreload.toml": fill.Replace(settings), "command.toml": command,
	}); err != nil {
		r.t.Fatal(err)
	}
}

// setTag has the overlay name another image.
func (r *rig) setTag(from, to string) {
	file := filepath.Join(r.overlay, "kustomization.yaml")
	b, err := os.ReadFile(file)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(b), from, to)), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// state is the agent's --state on the node.
func (r *rig) state() string { return filepath.Join(r.Run(), "podreload") }

// lasting is the agent's folder on the node that a reboot leaves.
func (r *rig) lasting() string { return filepath.Join(r.Dir(), "lib") }

// kubectl fails the test on an error.
func (r *rig) kubectl(args ...string) string {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), waitTimeout+10*time.Second)
	defer cancel()
	out, err := r.Kubectl(ctx, args...)
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

func (r *rig) apply(manifests string) {
	r.t.Helper()
	if err := r.Apply(r.t.Context(), manifests); err != nil {
		r.t.Fatal(err)
	}
}

// rolledOut waits for a deployment or daemon set.
func (r *rig) rolledOut(namespace, what string) {
	r.t.Helper()
	r.kubectl("-n", namespace, "rollout", "status", what, "--timeout", waitTimeout.String())
}

// install applies the overlay and waits for the agent.
func (r *rig) install() {
	r.t.Helper()
	r.kubectl("apply", "-k", r.overlay)
	r.rolledOut("podreload", "daemonset/podreload")
}

func (r *rig) put(value string) {
	r.t.Helper()
	if _, err := r.etcd.Put(r.t.Context(), key, value); err != nil {
		r.t.Fatal(err)
	}
}

// explain shows what a person would ask for after a failure.
func (r *rig) explain() {
	if !r.t.Failed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, args := range [][]string{
		{"get", "pods", "-A", "-o", "wide"},
		{"get", "events", "-A", "--sort-by=.lastTimestamp"},
		{"-n", "podreload", "logs", "daemonset/podreload", "--tail=60"},
		{"-n", "podreload", "exec", "daemonset/podreload", "--", "/usr/bin/podreload", "ps"},
	} {
		out, err := r.Kubectl(ctx, args...)
		if err != nil {
			out += fmt.Sprint(err)
		}
		r.t.Logf("kubectl %s\n%s", strings.Join(args, " "), out)
	}
	for _, part := range []string{"kubelet", "kube-apiserver", "kube-controller-manager"} {
		b, _ := os.ReadFile(r.Log(part))
		lines := strings.Split(string(b), "\n")
		r.t.Logf("end of %s's log\n%s", part, strings.Join(lines[max(0, len(lines)-15):], "\n"))
	}
}
