package pods

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/errdefs"
	"github.com/containerd/typeurl/v2"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/testenv"
)

func TestList(t *testing.T) {
	eachVersion(t, func(t *testing.T, node *testenv.Node, client *Client) {
		t.Run("version", func(t *testing.T) {
			if version, err := client.Version(t.Context()); err != nil || version == "" {
				t.Errorf("Version() = %q, %v", version, err)
			}
		})
		t.Run("facts", func(t *testing.T) { testFacts(t, node, client) })
		t.Run("namespaces", func(t *testing.T) { testNamespaces(t, node, client) })
		t.Run("only what runs", func(t *testing.T) { testOnlyRunning(t, node, client) })
		t.Run("unreadable", func(t *testing.T) { testUnreadable(t, node, client) })
		t.Run("hung shim", func(t *testing.T) { testHungShim(t, node, client) })
		t.Run("sandbox store", func(t *testing.T) { testSandboxStore(t, node, client) })
	})
}

func testFacts(t *testing.T, node *testenv.Node, client *Client) {
	user, host := int64(101), t.TempDir()
	pod := runPod(t, node, testenv.PodConfig{
		Name: "web-0", Namespace: "prod", UID: "u-1",
		Labels:      map[string]string{"app": "web"},
		Annotations: map[string]string{"note": "line\n\"quoted\""},
		Containers: []testenv.ContainerConfig{
			{Name: "registry", Command: sleep},
			{
				Name: "nginx", Command: sleep, Env: []string{"A=b=c"}, User: &user, ReadonlyRoot: true,
				Mounts: []testenv.Mount{{HostPath: host, ContainerPath: "/ro", ReadOnly: true}, {HostPath: host, ContainerPath: "/rw"}},
			},
		},
	})
	got := list(t, client)
	if len(got) != 2 {
		t.Fatalf("%d containers, want 2: %v", len(got), got)
	}
	registry, nginx := got["prod/web-0/registry"], got["prod/web-0/nginx"]
	for _, c := range []daemonset.Container{registry, nginx} {
		pid, err := pod.Container(c.Name).Pid(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if c.ID != pod.Container(c.Name).ID || c.Pid != pid || c.Hostname != "web-0" || !strings.Contains(c.Runtime, "runc") {
			t.Errorf("%s: id %s, pid %d (want %d), hostname %q, runtime %q", c, c.ID, c.Pid, pid, c.Hostname, c.Runtime)
		}
		if start, err := nsenter.StartTime(pid); err != nil || c.StartTime != start || start == 0 {
			t.Errorf("%s: started at %d, want %d, %v", c, c.StartTime, start, err)
		}
		if c.HostPID || c.SharedPID || c.UserNS {
			t.Errorf("%s: has namespaces that are not its own: %+v", c, c)
		}
	}
	// The labels are the pod's: the image's (a profile of its own) are not among them.
	want := map[string]string{
		"app":                         "web",
		"io.kubernetes.pod.name":      "web-0",
		"io.kubernetes.pod.uid":       "u-1",
		"io.kubernetes.pod.namespace": "prod",
	}
	if diff := cmp.Diff(want, nginx.Pod.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if nginx.Pod.UID != "u-1" || nginx.Pod.SandboxID != pod.ID || nginx.Pod.Annotations["note"] != "line\n\"quoted\"" {
		t.Errorf("pod: %+v", nginx.Pod)
	}
	if nginx.UID != 101 || !nginx.ReadonlyRoot || registry.UID != 0 || registry.ReadonlyRoot {
		t.Errorf("nginx: uid %d, read-only %t; registry: uid %d, read-only %t", nginx.UID, nginx.ReadonlyRoot, registry.UID, registry.ReadonlyRoot)
	}
	env := strings.Join(nginx.Env, "\n") + "\n"
	if !strings.Contains(env, "A=b=c\n") || !strings.Contains(env, "PATH=") || !strings.Contains(env, "HOSTNAME=web-0\n") {
		t.Errorf("environment: %q", nginx.Env)
	}
	readOnly := make(map[string]bool)
	for _, m := range nginx.Mounts {
		readOnly[m.Destination] = m.ReadOnly
	}
	if ro, rw := readOnly["/ro"], readOnly["/rw"]; !ro || rw {
		t.Errorf("mounts: %+v", nginx.Mounts)
	}
	remove(t, pod)
}

func testNamespaces(t *testing.T, node *testenv.Node, client *Client) {
	one := []testenv.ContainerConfig{{Name: "c", Command: sleep}}
	for _, config := range []testenv.PodConfig{
		{Name: "shared", SharePID: true, Containers: one},
		{Name: "node", HostPID: true, Containers: one},
		{Name: "net", HostNetwork: true, Containers: one},
	} {
		defer remove(t, runPod(t, node, config))
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	got := list(t, client)
	for name, want := range map[string]string{
		"default/shared/c": "hostPID false, sharedPID true, hostname shared",
		"default/node/c":   "hostPID true, sharedPID false, hostname node",
		"default/net/c":    "hostPID false, sharedPID false, hostname " + host,
	} {
		c := got[name]
		if is := fmt.Sprintf("hostPID %t, sharedPID %t, hostname %s", c.HostPID, c.SharedPID, c.Hostname); is != want {
			t.Errorf("%s: %s; want %s", name, is, want)
		}
	}
}

// A pod with hostUsers: false. Containerd 1.6 has none.
func TestListUserNamespace(t *testing.T) {
	node := testenv.NewNode(t, testenv.V2)
	pod := runPod(t, node, testenv.PodConfig{
		Name: "users", UserNS: true, Containers: []testenv.ContainerConfig{{Name: "c", Command: sleep}},
	})
	defer remove(t, pod)
	got := list(t, dial(t, node))["default/users/c"]
	want := []daemonset.IDMap{{Inside: 0, Outside: testenv.UserNSBase, Size: 65536}}
	if diff := cmp.Diff(want, got.UIDMap); diff != "" || !got.UserNS {
		t.Errorf("user namespace %t, users (-want +got):\n%s", got.UserNS, diff)
	}
	if diff := cmp.Diff(want, got.GIDMap); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
}

func testOnlyRunning(t *testing.T, node *testenv.Node, client *Client) {
	pod := runPod(t, node, testenv.PodConfig{Name: "p", Containers: []testenv.ContainerConfig{
		{Name: "runs", Command: sleep}, {Name: "ended", Command: sleep}, {Name: "restarted", Command: sleep},
	}})
	defer remove(t, pod)
	if err := pod.Container("ended").Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	restarted, err := pod.Restart(t.Context(), "restarted")
	if err != nil {
		t.Fatal(err)
	}
	createContainer(t, node, pod, "created")
	want := map[string]string{"default/p/runs": pod.Container("runs").ID, "default/p/restarted": restarted.ID}
	got := make(map[string]string)
	for name, c := range list(t, client) {
		got[name] = c.ID
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ids (-want +got):\n%s", diff)
	}
}

// createContainer creates a container that nobody starts.
func createContainer(t *testing.T, node *testenv.Node, pod *testenv.Pod, name string) {
	t.Helper()
	conn, err := grpc.NewClient("unix://"+node.Socket(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = cri.NewRuntimeServiceClient(conn).CreateContainer(t.Context(), &cri.CreateContainerRequest{
		PodSandboxId: pod.ID,
		Config: &cri.ContainerConfig{
			Metadata: &cri.ContainerMetadata{Name: name},
			Image:    &cri.ImageSpec{Image: testenv.Image},
			Command:  sleep,
			Linux:    &cri.LinuxContainerConfig{SecurityContext: &cri.LinuxContainerSecurityContext{}},
		},
		SandboxConfig: &cri.PodSandboxConfig{
			Metadata: &cri.PodSandboxMetadata{Name: pod.Config.Name, Namespace: pod.Config.Namespace, Uid: pod.Config.UID},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// One container whose metadata is damaged hides itself alone.
func testUnreadable(t *testing.T, node *testenv.Node, client *Client) {
	pod := runPod(t, node, testenv.PodConfig{Name: "p", Containers: []testenv.ContainerConfig{
		{Name: "good", Command: sleep}, {Name: "bad", Command: sleep},
	}})
	defer remove(t, pod)
	id := pod.Container("bad").ID
	store := client.containerd.ContainerService()
	record, err := store.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	damaged := record
	damaged.Extensions = map[string]typeurl.Any{containerExtension: &anyValue{url: record.Extensions[containerExtension].GetTypeUrl(), value: []byte(`{"Version":"v9"}`)}}
	if _, err := store.Update(t.Context(), damaged, "extensions"); err != nil {
		t.Fatal(err)
	}
	got, err := client.List(t.Context())
	if !errors.Is(err, ErrUnreadable) || errors.Is(err, ErrAway) || !strings.Contains(err.Error(), id) {
		t.Errorf("got %v, want ErrUnreadable with %s", err, id)
	}
	if len(got) != 1 || got[0].Name != "good" {
		t.Errorf("got %v, want good alone", got)
	}
	if _, err := store.Update(t.Context(), record, "extensions"); err != nil {
		t.Fatal(err)
	}
}

type anyValue struct {
	url   string
	value []byte
}

func (a *anyValue) GetTypeUrl() string { return a.url }
func (a *anyValue) GetValue() []byte   { return a.value }

// A shim that hangs does not make its container look gone, running or frozen.
func testHungShim(t *testing.T, node *testenv.Node, client *Client) {
	pod := runPod(t, node, testenv.PodConfig{Name: "p", Containers: []testenv.ContainerConfig{{Name: "c", Command: sleep}}})
	defer remove(t, pod)
	inventory := newInventory(client.containerd, "")
	if err := inventory.relist(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := inventory.containers()
	if len(want) != 1 {
		t.Fatalf("got %v, want one container", want)
	}
	shim := parent(t, want[0].Pid)
	relistHung(t, inventory, shim)
	if diff := cmp.Diff(want, inventory.containers()); diff != "" {
		t.Errorf("while the shim hangs (-want +got):\n%s", diff)
	}
	if err := inventory.err(); !errors.Is(err, ErrUnreadable) || !strings.Contains(err.Error(), "default/p/c") {
		t.Errorf("got %v, want ErrUnreadable with the container's name", err)
	}
	if err := inventory.relist(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := inventory.err(); err != nil {
		t.Errorf("after the shim went on: %v", err)
	}

	testNewHungShim(t, client, shim)

	id := want[0].ID
	pause(t, client, id)
	defer resume(t, client, id)
	if err := inventory.relist(t.Context()); err != nil {
		t.Fatal(err)
	}
	relistHung(t, inventory, shim)
	if !inventory.paused[id] || inventory.facts[id] == nil || len(inventory.running) != 1 { // its sandbox
		t.Errorf("while the shim of a frozen one hangs: paused %v, running %v", inventory.paused, inventory.running)
	}
	if err := inventory.err(); !errors.Is(err, ErrUnreadable) || !strings.Contains(err.Error(), "default/p/c") {
		t.Errorf("got %v, want ErrUnreadable with the container's name", err)
	}
}

// One who has just begun hears of it, too, and sees it as soon as its shim goes on.
func testNewHungShim(t *testing.T, client *Client, shim int) {
	inventory := newInventory(client.containerd, "")
	for range 2 { // also when it is no news any more
		relistHung(t, inventory, shim)
		if err := inventory.err(); !errors.Is(err, ErrUnreadable) || !strings.Contains(err.Error(), "default/p/c") {
			t.Errorf("got %v, want ErrUnreadable with the container's name", err)
		}
	}
	stop(t, shim)
	defer syscall.Kill(shim, syscall.SIGCONT)
	w := startWatch(t, client)
	u := w.await("who does not answer", func(u Update) bool { return errors.Is(u.Err, ErrUnreadable) })
	if err := syscall.Kill(shim, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if len(u.Containers) != 0 || !strings.Contains(u.Err.Error(), "default/p/c") {
		t.Errorf("got %v, %v", u.Containers, u.Err)
	}
	w.await("one that answers again", func(u Update) bool { return u.Err == nil && len(u.Containers) == 1 })
}

// relistHung lists while a shim hangs.
func relistHung(t *testing.T, inventory *inventory, shim int) {
	t.Helper()
	stop(t, shim)
	err := inventory.relist(t.Context())
	if err := syscall.Kill(shim, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// stop stops a process, and returns when none of its threads runs any more.
func stop(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		if err != nil || len(threads) == 0 {
			t.Fatalf("threads of %d: %v, %v", pid, threads, err)
		}
		runs := slices.ContainsFunc(threads, func(path string) bool {
			data, err := os.ReadFile(path)
			_, after, _ := strings.Cut(string(data), ") ")
			return err == nil && !strings.HasPrefix(after, "T")
		})
		switch {
		case !runs:
			return
		case time.Now().After(deadline):
			t.Fatalf("process %d does not stop", pid)
		}
	}
}

func parent(t *testing.T, pid int) int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(data), ") ")
	var state string
	var ppid int
	if _, err := fmt.Sscan(after, &state, &ppid); err != nil || ppid < 2 {
		t.Fatalf("parent of %d: %d, %v", pid, ppid, err)
	}
	return ppid
}

// noContainers is a store without the sandbox, as it is with runtimes that are
// sandboxes themselves.
type noContainers struct{ containers.Store }

func (noContainers) Get(context.Context, string) (containers.Container, error) {
	return containers.Container{}, errdefs.ErrNotFound
}

func testSandboxStore(t *testing.T, node *testenv.Node, client *Client) {
	pod := runPod(t, node, testenv.PodConfig{Name: "p", Labels: map[string]string{"app": "web"}})
	defer remove(t, pod)
	inventory := newInventory(client.containerd, "")
	inventory.records = noContainers{inventory.records}
	version, err := client.Version(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	box, err := inventory.box(t.Context(), pod.ID)
	if strings.HasPrefix(version, "1.") {
		if !errdefs.IsNotFound(err) {
			t.Errorf("got %v, want not found: containerd %s has no sandbox store", err, version)
		}
		return
	}
	if err != nil || box.pod.Name != "p" || box.pod.Labels["app"] != "web" {
		t.Errorf("got %+v, %v", box, err)
	}
}

func remove(t *testing.T, pod *testenv.Pod) {
	t.Helper()
	if err := pod.Remove(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
}
