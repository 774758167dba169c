package nsenter

import (
	"strings"
	"testing"
)

func TestSameContainer(t *testing.T) {
	a, b := strings.Repeat("a1", 32), strings.Repeat("b2", 32)
	v1 := func(path string) string {
		return "12:memory:" + path + "\n11:cpu,cpuacct:" + path + "\n1:name=systemd:" + path + "\n"
	}
	const pod = "/kubepods/besteffort/pod0"
	const slice = "/kubepods.slice/kubepods-pod0.slice/cri-containerd-"
	for _, test := range []struct {
		about       string
		init, other string
		want        bool
	}{
		{"v1, equal", v1(pod + "/" + a), v1(pod + "/" + a), true},
		{"v1, another of the pod", v1(pod + "/" + a), v1(pod + "/" + b), false},
		{"v1, below", v1(pod + "/" + a), v1(pod + "/" + a + "/x"), true},
		{"v1, above", v1(pod + "/" + a), v1(pod), false},
		{"v1, out of it in one hierarchy", v1(pod + "/" + a), strings.Replace(v1(pod+"/"+a), "cpuacct:"+pod+"/"+a, "cpuacct:/", 1), false},
		{"v2, equal", "0::" + slice + a + ".scope\n", "0::" + slice + a + ".scope\n", true},
		{"v2, another", "0::" + slice + a + ".scope\n", "0::" + slice + b + ".scope\n", false},
		{"v2, systemd as init", "0::" + slice + a + ".scope/init.scope\n", "0::" + slice + a + ".scope/system.slice/nginx.service\n", true},
		{"v2, seen from a cgroup namespace", "0::/../" + a + "\n", "0::/../" + a + "\n", true},
		{"v2, on the node", "0::" + slice + a + ".scope\n", "0::/system.slice/nginx.service\n", false},
		{"v2, removed", "0::" + slice + a + ".scope\n", "0::" + slice + a + ".scope (deleted)\n", true},
		{"hybrid", v1(pod+"/"+a) + "0::/\n", v1(pod+"/"+a) + "0::/\n", true},
		{"hybrid, another", v1(pod+"/"+a) + "0::/\n", v1(pod+"/"+b) + "0::/\n", false},
		{"a name that only begins alike", "0::/pod/web\n", "0::/pod/web2\n", false},
		{"nested", "0::/docker/" + a + "/kubepods/" + b + "\n", "0::/docker/" + a + "/kubepods/" + a + "\n", false},
		{"one in another", "0::/kubepods/" + a + "\n", "0::/kubepods/" + a + "/docker/" + b + "\n", true},
		{"both in the root", "0::/\n", "0::/\n", true},
		{"the node's root against a container", "0::/\n", "0::" + slice + a + ".scope\n", false},
		{"nothing known", "", "", false},
	} {
		if got := (Info{Cgroup: test.init}).SameContainer(Info{Cgroup: test.other}); got != test.want {
			t.Errorf("%s: %v", test.about, got)
		}
	}
}
