package exec_test

import (
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podreload/podreload/testenv"
)

// report says of two processes what they are and may: of the first one of the container,
// and of the command's shell itself.
const report = `for p in 1 $$; do
echo "== $p"
grep -E '^(Uid|Gid|Groups|Cap...|NoNewPrivs|Seccomp|Umask):' /proc/$p/status
cat /proc/$p/limits /proc/$p/cgroup /proc/$p/oom_score_adj
cat /proc/$p/attr/current 2>/dev/null
readlink /proc/$p/cwd
for n in cgroup ipc mnt net pid user uts; do readlink /proc/$p/ns/$n; done
tr '\0' '\n' < /proc/$p/environ | grep -v '^\(PWD\|SHLVL\|_\)=' | sort
done`

// The command is what the container's own process is, in all that a process can be.
func TestSameAsTheContainer(t *testing.T) {
	nginx := int64(101)
	kinds := map[string]struct {
		pod testenv.PodConfig
		c   testenv.ContainerConfig
		v2  bool // needs it
	}{
		"root":        {},
		"user":        {c: testenv.ContainerConfig{User: &nginx, Env: []string{"COLOUR=dark=blue", "EMPTY="}}},
		"capability":  {c: testenv.ContainerConfig{Capabilities: []string{"SYS_PTRACE", "NET_ADMIN"}}},
		"privileged":  {c: testenv.ContainerConfig{Privileged: true}},
		"readonly":    {c: testenv.ContainerConfig{ReadonlyRoot: true}},
		"hostNetwork": {pod: testenv.PodConfig{HostNetwork: true}},
		"userNS":      {pod: testenv.PodConfig{UserNS: true}, v2: true},
	}
	testenv.EachVersion(t, func(t *testing.T, n *testenv.Node) {
		for _, name := range slices.Sorted(maps.Keys(kinds)) {
			kind := kinds[name]
			if kind.v2 && strings.HasSuffix(t.Name(), string(testenv.Debian)) {
				continue
			}
			t.Run(name, func(t *testing.T) {
				c := newRig(t, n).pod(kind.pod, kind.c)
				r, err := c.run("/bin/sh", "-c", report)
				if err != nil {
					t.Fatal(err)
				}
				_, both, _ := strings.Cut(r.Output, "== 1\n")
				first, command, ok := strings.Cut(both, "== ")
				_, command, _ = strings.Cut(command, "\n")
				if diff := cmp.Diff(strings.TrimSpace(first), strings.TrimSpace(command)); diff != "" || !ok || !strings.Contains(first, "CapEff") {
					t.Errorf("-first process +command:\n%s\n%s", diff, r.Output)
				}
			})
		}
	})
}

// With a shared PID namespace the first process is the pause container's; the command's
// container is all the same its own.
func TestSharedPID(t *testing.T) {
	c := newRig(t, testenv.SharedNode(t, testenv.Debian)).pod(testenv.PodConfig{SharePID: true}, testenv.ContainerConfig{Env: []string{"A=b"}})
	r, err := c.run("/bin/sh", "-c", "echo $A; cat /proc/1/comm; readlink /proc/self/ns/mnt")
	mnt, _ := os.Readlink("/proc/" + strconv.Itoa(c.Pid) + "/ns/mnt")
	if want := "b\npause\n" + mnt; err != nil || r.Output != want {
		t.Errorf("%q, %v, want %q", r.Output, err, want)
	}
}

// Nothing comes along but standard input, which is empty, and the output.
func TestDescriptors(t *testing.T) {
	testenv.EachVersion(t, func(t *testing.T, n *testenv.Node) {
		c := newRig(t, n).pod(testenv.PodConfig{}, testenv.ContainerConfig{})
		r, err := c.run("/bin/sh", "-c", "ls /proc/$$/fd; readlink /proc/$$/fd/0; tty; wc -c")
		if want := "0\n1\n2\n/dev/null\nnot a tty\n0"; err != nil || r.Output != want {
			t.Errorf("%q, %v, want %q", r.Output, err, want)
		}
	})
}
