package check_test

import (
	"os"
	"path"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/testenv"
)

// confined starts a container beside another, with all that a kubelet can ask for to
// confine it, and returns it as package pods does.
func (r *rig) confined(beside *testenv.Container, pod *testenv.Pod, memory int64) daemonset.Container {
	r.t.Helper()
	conn, err := grpc.NewClient("unix://"+r.node.Socket(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	client := cri.NewRuntimeServiceClient(conn)
	pid, err := beside.Pid(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	name := "confined-" + strconv.FormatInt(memory, 10)
	created, err := client.CreateContainer(r.t.Context(), &cri.CreateContainerRequest{
		PodSandboxId: pod.ID,
		SandboxConfig: &cri.PodSandboxConfig{
			Metadata: &cri.PodSandboxMetadata{Name: pod.Config.Name, Namespace: "default", Uid: pod.Config.UID},
			Linux:    &cri.LinuxPodSandboxConfig{CgroupParent: path.Dir(cgroupOf(r.t, pid))},
		},
		Config: &cri.ContainerConfig{
			Metadata: &cri.ContainerMetadata{Name: name},
			Image:    &cri.ImageSpec{Image: testenv.Image},
			Command:  []string{"sleep", "1000000"},
			Linux: &cri.LinuxContainerConfig{
				Resources: &cri.LinuxContainerResources{CpuShares: 2, OomScoreAdj: 500, MemoryLimitInBytes: memory},
				SecurityContext: &cri.LinuxContainerSecurityContext{
					NamespaceOptions:   &cri.NamespaceOption{Pid: cri.NamespaceMode_CONTAINER},
					RunAsUser:          &cri.Int64Value{Value: 101},
					RunAsGroup:         &cri.Int64Value{Value: 102},
					SupplementalGroups: []int64{7, 8},
					NoNewPrivs:         true,
					Capabilities:       &cri.Capability{DropCapabilities: []string{"ALL"}, AddCapabilities: []string{"NET_BIND_SERVICE"}},
					Seccomp:            &cri.SecurityProfile{ProfileType: cri.SecurityProfile_RuntimeDefault},
				},
			},
		},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := client.StartContainer(r.t.Context(), &cri.StartContainerRequest{ContainerId: created.ContainerId}); err != nil {
		r.t.Fatal(err)
	}
	b, err := os.ReadFile(r.node.Dir() + "/state/io.containerd.runtime.v2.task/k8s.io/" + created.ContainerId + "/init.pid")
	if err != nil {
		r.t.Fatal(err)
	}
	if pid, err = strconv.Atoi(string(b)); err != nil {
		r.t.Fatal(err)
	}
	return daemonset.Container{
		ID: created.ContainerId, Name: name, Pid: pid, StartTime: startTime(r.t, pid), Runtime: "io.containerd.runc.v2",
		Pod: daemonset.Pod{Name: pod.Config.Name, Namespace: "default"},
	}
}

// cgroupOf is a process's cgroup, in the hierarchy of which the kernel tells first.
func cgroupOf(t testing.TB, pid int) string {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	return cgroupIn(string(b))
}

func cgroupIn(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line[strings.LastIndexByte(line, ':')+1:]
}
