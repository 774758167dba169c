package e2e

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/podreload/podreload/testenv"
	"github.com/podreload/podreload/testenv/kubernetes"
)

// kind is a pod that differs from others in what an agent has to get into.
type kind struct {
	name, spec, container string
	profile               string // web if empty
	host                  bool   // its address is the node's
	all                   bool   // it has more capabilities than an agent without privileged can hand on to a twin
	only                  testenv.Version
}

// fits says whether the kind is for this containerd and the manifests that are installed.
func (k kind) fits(v testenv.Version) bool {
	return (k.only == "" || k.only == v) && (!k.all || *base != "capabilities")
}

// writable are the places that nginx writes to, for a container that has no root to write to.
const (
	writable = `volumes: [{name: conf, emptyDir: {}}, {name: run, emptyDir: {}}, {name: lib, emptyDir: {}}, {name: log, emptyDir: {medium: Memory}}]`
	mounts   = `volumeMounts: [{name: conf, mountPath: /etc/nginx/conf.d}, {name: run, mountPath: /run}, {name: lib, mountPath: /var/lib/nginx}, {name: log, mountPath: /var/log/nginx}]`
)

// kinds must all serve what a key says, and what it says next.
var kinds = []kind{
	{name: "share-pid", spec: `shareProcessNamespace: true`},
	{name: "host-network", spec: `hostNetwork: true`, host: true},
	{name: "user-ns", spec: `hostUsers: false`, only: testenv.V2},
	// Its conf.d is empty until podreload has filled it; only then is it ready.
	{
		name: "read-only", spec: writable,
		container: `securityContext: {readOnlyRootFilesystem: true, allowPrivilegeEscalation: false}
          ` + mounts,
	},
	// What Pod Security calls restricted.
	{
		name: "restricted",
		spec: writable + `
      securityContext: {fsGroup: 101, seccompProfile: {type: RuntimeDefault}, sysctls: [{name: net.ipv4.ip_unprivileged_port_start, value: "0"}]}`,
		container: `securityContext: {runAsUser: 101, runAsGroup: 101, runAsNonRoot: true, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
          ` + mounts,
	},
	{name: "privileged", all: true, container: `securityContext: {privileged: true}`},
	{name: "command", profile: "command"},
	// Every probe is a process in the container and three events of containerd's.
	{
		name: "probed",
		container: `livenessProbe: {exec: {command: [sh, -c, "test -e /run/nginx.pid"]}, periodSeconds: 1}
          startupProbe: {exec: {command: ["true"]}, periodSeconds: 1}`,
	},
	// Of three containers, of which one has ended and one is a server too, nginx is meant.
	{
		name: "sidecars",
		spec: `initContainers:
        - {name: prepare, image: "podreload.io/testenv:latest", imagePullPolicy: Never, command: ["true"]}
        - {name: proxy, image: "podreload.io/testenv:latest", imagePullPolicy: Never, restartPolicy: Always, command: [httpd, -f, -p, "5000", -h, /www]}`,
	},
}

// deployKind deploys a kind and returns its pod's address.
func (r *rig) deployKind(k kind) string {
	r.t.Helper()
	profile := k.profile
	if profile == "" {
		profile = "web"
	}
	r.deployFor(profile, k.name, k.spec, k.container)
	if k.host {
		return kubernetes.NodeIP
	}
	return r.podIP(k.name)
}

// TestPods serves all kinds of pods, and lives through what happens to pods.
func TestPods(t *testing.T) {
	for _, v := range []testenv.Version{testenv.V2, testenv.Debian} {
		t.Run(string(v), func(t *testing.T) {
			r := newRig(t, v)
			r.put("start")
			r.install()
			var names []string
			for _, k := range kinds {
				if !k.fits(v) {
					continue
				}
				t.Run(k.name, func(t *testing.T) {
					names = append(names, k.name) // those that -run lets through
					r := r.with(t)
					ip := r.deployKind(k)
					for _, text := range []string{"first of " + k.name, "second of " + k.name} {
						r.put(text)
						r.served(ip, text)
					}
				})
			}
			t.Run("is-what-it-says", func(t *testing.T) { r.with(t).testKinds(v) })
			t.Run("refused", func(t *testing.T) { r.with(t).testRefused() })
			t.Run("templates", func(t *testing.T) { r.with(t).testTemplates(names) })
			t.Run("rollout", func(t *testing.T) { r.with(t).testRollout() })
			t.Run("deleted", func(t *testing.T) { r.with(t).testDeleted() })
			t.Run("drain", func(t *testing.T) { r.with(t).testDrain() })
			t.Run("mounts", func(t *testing.T) { r.with(t).testMounts() })
			t.Run("secret", func(t *testing.T) { r.with(t).testSecret() })
			t.Run("overlays", func(t *testing.T) { r.with(t).testOverlays() })
			t.Run("silence", func(t *testing.T) { r.with(t).testSilence() })
			if t.Failed() {
				return
			}
			t.Logf("the agent with %d targets, after all of this: %s", len(names), r.memory())
			r.kubectl("delete", "-k", r.overlay, "--wait", "--timeout", waitTimeout.String())
			r.nothingLeft(names...)
		})
	}
}

// testKinds looks whether the pods are what their names say: a kubelet that ignored a field would
// make the tests of them pass.
func (r *rig) testKinds(v testenv.Version) {
	for app, want := range map[string][2]string{
		"share-pid":  {"cat /proc/1/comm", "pause"},
		"user-ns":    {"test $(awk '{print $2}' /proc/self/uid_map) -ge 65536 && echo mapped", "mapped"},
		"read-only":  {"touch /etc/x 2>/dev/null || echo denied", "denied"},
		"restricted": {"id -u", "101"},
	} {
		if app == "user-ns" && v == testenv.Debian {
			continue
		}
		if got := strings.TrimSpace(r.kubectl("exec", "deployment/"+app, "-c", "nginx", "--", "sh", "-c", want[0])); got != want[1] {
			r.t.Errorf("%s: %s says %q, want %q", app, want[0], got, want[1])
		}
	}
}

// testRefused puts what nginx would not take: the check refuses it, the servers go on, and
// `podreload ps` in the agent's pod says why.
func (r *rig) testRefused() {
	r.put("before")
	ip := r.podIP("probed")
	r.served(ip, "before")
	r.put(`"; nonsense "`)
	ctx, cancel := context.WithTimeout(r.t.Context(), waitTimeout)
	defer cancel()
	if err := testenv.Poll(ctx, func() error {
		out, err := r.podreload(ctx, "ps")
		if err == nil && !strings.Contains(out, "Refused") {
			err = fmt.Errorf("podreload ps: %s", out)
		}
		return err
	}); err != nil {
		r.t.Fatal(err)
	}
	r.served(ip, "before")
	r.put("after")
	r.served(ip, "after")
}

// podreload calls the command in the agent's pod, as a person would.
func (r *rig) podreload(ctx context.Context, args ...string) (string, error) {
	return r.Kubectl(ctx, append([]string{"-n", "podreload", "exec", "daemonset/podreload", "--", "podreload"}, args...)...)
}

// with is the rig for a subtest.
func (r *rig) with(t *testing.T) *rig {
	t.Helper()
	c := *r
	c.t = t
	t.Cleanup(c.explain) // now, while the agent is there
	return &c
}

// restarts tells the agent's pod and how often its container was restarted.
func (r *rig) restarts() string {
	return r.kubectl("-n", "podreload", "get", "pods", "-o", "jsonpath={.items[*].metadata.name} {.items[*].status.containerStatuses[*].restartCount}")
}

// testTemplates changes a template in its ConfigMap: the agent follows, and is not restarted.
func (r *rig) testTemplates(apps []string) {
	before := r.restarts()
	const text = `server { listen 80; location / { default_type text/plain; return 200 "changed {{getv "/greeting"}}\n"; } }`
	r.put("template")
	r.kubectl("-n", "podreload", "patch", "configmap", "podreload-templates", "--type=merge", "-p",
		fmt.Sprintf(`{"data": {"web.conf.tmpl": %s}}`, strconv.Quote(text)))
	for _, app := range apps {
		if app == "host-network" {
			continue
		}
		r.served(r.podIP(app), "changed template")
	}
	if after := r.restarts(); after != before {
		r.t.Errorf("the agent was %s, and is %s after a template has changed", before, after)
	}
	r.kubectl("apply", "-k", r.overlay)
	r.served(r.podIP(apps[0]), "template")
}

// testRollout replaces all pods of a deployment while the key changes all the time.
func (r *rig) testRollout() {
	r.deploy("rolling", "", "")
	r.kubectl("scale", "deployment/rolling", "--replicas=3")
	r.rolledOut("default", "deployment/rolling")
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan int)
	go func() {
		n := 0
		for ctx.Err() == nil {
			n++
			if _, err := r.etcd.Put(ctx, key, strconv.Itoa(n)); err != nil {
				break
			}
			// In time with what is served, not with a clock.
			get(ctx, kubernetes.NodeIP)
		}
		done <- n
	}()
	r.kubectl("rollout", "restart", "deployment/rolling")
	r.rolledOut("default", "deployment/rolling")
	cancel()
	r.t.Logf("%d changes during the rollout", <-done)
	r.put("rolled")
	r.eachServes("rolling", "rolled")
	r.kubectl("delete", "deployment", "rolling", "--wait")
}

// eachServes waits until every pod that is to stay serves text.
func (r *rig) eachServes(app, text string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), waitTimeout)
	defer cancel()
	err := testenv.Poll(ctx, func() error {
		out, err := r.Kubectl(ctx, "get", "pods", "-l", "app="+app, "-o",
			`jsonpath={range .items[*]}{.metadata.deletionTimestamp},{.status.podIP}{"\n"}{end}`)
		if err != nil {
			return err
		}
		for line := range strings.Lines(out) {
			deleted, ip, _ := strings.Cut(strings.TrimSpace(line), ",")
			if deleted != "" {
				continue
			}
			got, err := get(ctx, ip)
			if err != nil {
				return err
			}
			if got != text {
				return fmt.Errorf("%s serves %q", ip, got)
			}
		}
		return nil
	})
	if err != nil {
		r.t.Fatalf("pods of %s do not serve %q: %v", app, text, err)
	}
}

// testDeleted changes the key while a pod goes: deleted, evicted, and killed without grace.
func (r *rig) testDeleted() {
	r.deploy("leaving", "", "")
	for i, remove := range []func(pod string){
		func(pod string) { r.kubectl("delete", "pod", pod, "--wait=false") },
		func(pod string) {
			file := r.Dir() + "/eviction.json"
			text := fmt.Sprintf(`{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": %q, "namespace": "default"}}`, pod)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				r.t.Fatal(err)
			}
			r.kubectl("create", "--raw", "/api/v1/namespaces/default/pods/"+pod+"/eviction", "-f", file)
		},
		func(pod string) { r.kubectl("delete", "pod", pod, "--force", "--grace-period=0", "--wait=false") },
	} {
		pod := r.kubectl("get", "pods", "-l", "app=leaving", "-o", "jsonpath={.items[0].metadata.name}")
		remove(pod)
		for n := range 5 {
			r.put(fmt.Sprintf("leaving %d %d", i, n))
		}
		r.kubectl("wait", "--for=delete", "pod/"+pod, "--timeout", waitTimeout.String())
		r.rolledOut("default", "deployment/leaving")
		r.eachServes("leaving", fmt.Sprintf("leaving %d 4", i))
	}
	r.kubectl("delete", "deployment", "leaving", "--wait")
}

// testDrain drains the node: the agent stays, the pods come back and get what was missed.
func (r *rig) testDrain() {
	r.deploy("drained", "", "")
	before := r.restarts()
	r.kubectl("drain", kubernetes.NodeName, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout", waitTimeout.String())
	r.put("drained")
	if after := r.restarts(); after != before {
		r.t.Errorf("the agent was %s, and is %s after the drain", before, after)
	}
	r.kubectl("uncordon", kubernetes.NodeName)
	r.rolledOut("default", "deployment/drained")
	r.eachServes("drained", "drained")
	r.kubectl("delete", "deployment", "drained", "--wait")
}

// testSilence looks for the agent in the API server's audit log: it has no token, and asks nothing.
func (r *rig) testSilence() {
	if volumes := r.kubectl("-n", "podreload", "get", "pods", "-o", "jsonpath={.items[*].spec.volumes[*].projected}"); volumes != "" {
		r.t.Errorf("the agent's pod has projected volumes, maybe a token: %s", volumes)
	}
	log, err := os.ReadFile(r.Log("audit"))
	if err != nil {
		r.t.Fatal(err)
	}
	if !strings.Contains(string(log), `"username":"admin"`) {
		r.t.Error("the audit log does not even know the administrator")
	}
	if strings.Contains(string(log), "system:serviceaccount:podreload:") {
		r.t.Error("the agent's account was at the API server")
	}
}
