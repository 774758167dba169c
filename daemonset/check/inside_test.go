package check_test

import (
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/testenv"
)

// said is what a command says in a twin of the container.
func (r *rig) said(c daemonset.Container, args ...string) string {
	r.t.Helper()
	v, err := r.check(r.trial(c, nil, args...))
	if err != nil {
		r.t.Fatal(err)
	}
	return v.Output
}

var privileges = regexp.MustCompile(`(?m)^(Uid|Gid|Groups|CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp|Seccomp_filters):\s*(.*)$`)

// holds are the privileges in the text of a /proc/PID/status.
func holds(status string) map[string]string {
	held := map[string]string{}
	for _, m := range privileges.FindAllStringSubmatch(status, -1) {
		held[m[1]] = strings.Join(strings.Fields(m[2]), " ")
	}
	return held
}

// samePrivileges compares a twin's process with the target's init, by all that the
// kernel tells of both. It returns what the target holds.
func samePrivileges(t *testing.T, r *rig, c daemonset.Container) map[string]string {
	t.Helper()
	proc := "/proc/" + strconv.Itoa(c.Pid) + "/"
	read := func(name string) string {
		b, err := os.ReadFile(proc + name)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(b))
	}
	namespaces := []string{"net", "ipc", "uts", "user", "pid", "mnt"}
	script := "cat /proc/self/status; echo ==; cat /proc/self/limits; echo ==; cat /proc/self/cgroup; echo ==; echo $$ $(cat /proc/self/oom_score_adj)"
	for _, ns := range namespaces {
		script += "; echo ==; readlink /proc/self/ns/" + ns
	}
	twin := strings.Split(r.said(c, "sh", "-c", script), "\n==\n")
	if len(twin) != 4+len(namespaces) {
		t.Fatalf("the twin says %q", twin)
	}
	want := holds(read("status"))
	if len(want) != 11 {
		t.Fatalf("of the target is known only %v", want)
	}
	if diff := cmp.Diff(want, holds(twin[0])); diff != "" {
		t.Errorf("privileges (-target +twin):\n%s", diff)
	}
	if diff := cmp.Diff(read("limits"), strings.TrimSpace(twin[1])); diff != "" {
		t.Errorf("limits (-target +twin):\n%s", diff)
	}
	target, cgroup := cgroupOf(t, c.Pid), cgroupIn(twin[2])
	if path.Dir(cgroup) != path.Dir(target) || !strings.HasPrefix(path.Base(cgroup), "podreload-") {
		t.Errorf("cgroup %s, want it beside the target's, %s", cgroup, target)
	}
	// Pid 1: what runs in the pod, or on the node, does not share its namespace.
	if twin[3] != "1 1000" {
		t.Errorf("pid and oom_score_adj are %s, want 1 1000", twin[3])
	}
	for i, ns := range namespaces {
		theirs, err := os.Readlink(proc + "ns/" + ns)
		if err != nil {
			t.Fatal(err)
		}
		if got, shared := twin[4+i], i < 4; (got == theirs) != shared {
			t.Errorf("namespace %s: twin %s, target %s; want them the same: %v", ns, got, theirs, shared)
		}
	}
	return want
}

func TestPrivileges(t *testing.T) {
	testenv.EachVersion(t, func(t *testing.T, n *testenv.Node) {
		r := newRig(t, n)
		nginx := int64(101)
		for name, tt := range map[string]struct {
			pod testenv.PodConfig
			c   testenv.ContainerConfig
		}{
			"plain":        {},
			"user":         {c: testenv.ContainerConfig{User: &nginx, Command: []string{"sleep", "1000000"}}},
			"capability":   {c: testenv.ContainerConfig{Capabilities: []string{"SYS_PTRACE"}}},
			"privileged":   {c: testenv.ContainerConfig{Privileged: true}},
			"host network": {pod: testenv.PodConfig{HostNetwork: true}, c: testenv.ContainerConfig{Command: []string{"sleep", "1000000"}}},
			"host PID":     {pod: testenv.PodConfig{HostPID: true}},
			"shared PID":   {pod: testenv.PodConfig{SharePID: true}},
		} {
			t.Run(name, func(t *testing.T) {
				_, c := r.pod(tt.pod, tt.c)
				samePrivileges(t, r, c)
			})
		}
		t.Run("confined", func(t *testing.T) {
			run, _ := r.pod(testenv.PodConfig{}, testenv.ContainerConfig{})
			held := samePrivileges(t, r, r.confined(run, r.last, 64<<20))
			if held["Seccomp"] != "2" || held["NoNewPrivs"] != "1" || held["Groups"] != "7 8 102" && held["Groups"] != "7 8" || held["CapBnd"] != "0000000000000400" {
				t.Errorf("the target is not confined, which shows nothing: %v", held)
			}
		})
	})
}
