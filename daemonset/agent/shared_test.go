package agent_test

import (
	"testing"

	"github.com/podreload/podreload/testenv"
)

// TestSharedVolume: two containers have one volume where the files go, by a claim that many may write or a hostPath. Who comes
// second finds them in place, and its server has not read them.
func TestSharedVolume(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	dir := t.TempDir()
	var pods []*testenv.Pod
	for _, name := range []string{"-a", "-b"} {
		pods = append(pods, r.pod(testenv.PodConfig{Name: r.name + name, Containers: []testenv.ContainerConfig{
			{Name: "nginx", Mounts: []testenv.Mount{{HostPath: dir, ContainerPath: "/etc/nginx/conf.d"}}},
		}}))
	}
	r.put("one")
	r.start()
	for _, value := range []string{"two", "three"} {
		revision := r.put(value)
		for _, p := range pods {
			r.live(p.Container("nginx"), revision)
		}
		for _, p := range pods {
			serves(t, p, value)
		}
	}
}
