package main

import (
	"testing"
	"testing/fstest"
)

func TestMemoryLimit(t *testing.T) {
	const v1 = "12:cpu,cpuacct:/kubepods/pod1/c1\n4:memory:/kubepods/pod1/c1\n"
	for name, test := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"v2, a namespace of its own": {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "536870912\n"}, 512 << 20},
		"v2, privileged": {map[string]string{"proc/self/cgroup": "0::/kubepods.slice/cri-1.scope\n",
			"sys/fs/cgroup/kubepods.slice/memory.max": "999999\n", "sys/fs/cgroup/kubepods.slice/cri-1.scope/memory.max": "536870912\n"}, 512 << 20},
		"v2, moved out of its namespace": {map[string]string{"proc/self/cgroup": "0::/../other\n", "sys/fs/cgroup/memory.max": "536870912\n"}, 512 << 20},
		"v2, without a limit":            {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, 0},
		"the node's root":                {map[string]string{"proc/self/cgroup": "0::/\n"}, 0},
		"v1, a container":                {map[string]string{"proc/self/cgroup": v1, "sys/fs/cgroup/memory/memory.limit_in_bytes": "536870912\n"}, 512 << 20},
		"v1, the node": {map[string]string{"proc/self/cgroup": v1, "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
			"sys/fs/cgroup/memory/kubepods/pod1/c1/memory.limit_in_bytes": "536870912\n"}, 512 << 20},
		"v1, without a limit": {map[string]string{"proc/self/cgroup": v1, "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 0},
		"v1 beside v2":        {map[string]string{"proc/self/cgroup": v1 + "0::/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "536870912\n"}, 512 << 20},
		"nothing to read":     {nil, 0},
		"odd":                 {map[string]string{"proc/self/cgroup": "\n:\n0::\nx", "sys/fs/cgroup/memory.max": "-1\n"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			root := fstest.MapFS{}
			for path, text := range test.files {
				root[path] = &fstest.MapFile{Data: []byte(text)}
			}
			if got := memoryLimit(root); got != test.want {
				t.Errorf("limit %d, want %d", got, test.want)
			}
		})
	}
}

func TestParseMemoryLimit(t *testing.T) {
	for text, want := range map[string]int64{
		"536870912\n": 512 << 20, "1": 1, "max\n": 0, "": 0, "0\n": 0, "-1\n": 0, "1125899906842624\n": 0, "1125899906842623\n": 1<<50 - 1,
		"9223372036854771712\n": 0, "99999999999999999999\n": 0, "512M\n": 0,
	} {
		if got := parseMemoryLimit(text); got != want {
			t.Errorf("%q is %d, want %d", text, got, want)
		}
	}
}
