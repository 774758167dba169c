package template

import (
	"strings"
	"testing"
)

// As TestBadInput, for what confd's fork and podreload have beyond confd.
func TestBadProfile(t *testing.T) {
	testProblems(t, map[string]problemTest{
		"templates over the pod": {
			files: map[string]string{"conf.d/w.toml": `[template]
src = "t"
dest = '/etc/{{ lable "app" }}'
prefix = '/{{ namespace'
keys = ['/x', '/{{ getenv "X" }}']
[profile]
namespaces = ["x"]
`},
			profile: "w",
			want: []string{
				"conf.d/w.toml:3:1: dest: function \"lable\" not defined here; did you mean \"label\"?; " + podHint,
				"conf.d/w.toml:4:1: prefix: unclosed action; " + podHint,
				"conf.d/w.toml:5:1: keys: function \"getenv\" not defined here; " + podHint,
			},
		},
		"prefix over any pod": {
			files:   map[string]string{"conf.d/w.toml": plain + "prefix = '/{{ label \"app\" }}'\n[profile]\nselect = \"app\"\n"},
			profile: "w",
			want:    []string{`conf.d/w.toml:5:1: prefix takes from the pod what is read from etcd, which needs namespaces in [profile]: whose pods may say so?`},
		},
		"namespaces that say nothing": {
			files:   map[string]string{"conf.d/w.toml": strings.Replace(plain, `"/"`, `"/{{pod}}"`, 1) + "sensitive = true\n[profile]\nnamespaces = []\n"},
			profile: "w",
			want:    []string{`conf.d/w.toml:7:1: namespaces is empty; leave it out for all, or name some`},
		},
		"dest that no pod can have": {
			files:   map[string]string{"conf.d/w.toml": strings.Replace(plain, "/etc/t", "/etc/../{{pod}}", 1)},
			profile: "w",
			want:    []string{`conf.d/w.toml:3:1: dest "/etc/../x" is not the plain path of a file: no "..", no "/" or "/." at its end (x is what the pod says)`},
		},
		"keys over any pod": {
			files:   map[string]string{"conf.d/w.toml": strings.Replace(plain, `"/"`, `"/{{pod}}"`, 1)},
			profile: "w",
			want:    []string{`conf.d/w.toml:4:1: keys takes from the pod what is read from etcd, which needs namespaces in [profile]: whose pods may say so?`},
		},
		"one dest for any pod": {
			files: map[string]string{
				"conf.d/w/a.toml": strings.Replace(plain, "/etc/t", "/etc/{{pod}}", 1), "conf.d/w/b.toml": strings.Replace(plain, "/etc/t", "/etc/{{pod}}", 1),
			},
			profile: "w",
			want:    []string{`conf.d/w/b.toml:3:1: dest /etc/{{pod}} is that of conf.d/w/a.toml too`},
		},
		"one dest, written in two ways": {
			files: map[string]string{
				"conf.d/w/a.toml": strings.Replace(plain, "/etc/t", "/etc//t", 1), "conf.d/w/b.toml": strings.Replace(plain, "/etc/t", "/./etc/t", 1),
			},
			profile: "w",
			want:    []string{`conf.d/w/b.toml:3:1: dest /etc/t is that of conf.d/w/a.toml too`},
		},
		"dest below where it stands": {
			files:   map[string]string{"conf.d/w.toml": strings.Replace(plain, "/etc/t", "{{pod}}/x", 1)},
			profile: "w",
			want:    []string{`conf.d/w.toml:3:1: dest "x/x" is not absolute (x is what the pod says)`},
		},
		"backend of the fork": {
			files: map[string]string{"conf.d/w.toml": plain + "[backend]\nbackend = \"vault\"\nnodes = [\"x\"]\n"},
			want:  []string{`conf.d/w.toml:5:2: warning: [backend] is ignored: podreload reads from its own etcd alone, see --endpoints`},
		},
		"values of the fork": {
			files: map[string]string{"conf.d/w.toml": plain + `output_format = "ymal"
min_reload_interval = "soon"
debounce = "25h"
check_cmd_timeout = "-1s"
reload_cmd_timeout = "0s"
owner = "a:b"
reload_cmd = "{{.dest"
`},
			profile: "w",
			want: []string{
				`conf.d/w.toml:5:1: output_format "ymal" is none of json, toml, xml, yaml, yml; did you mean "yaml"?`,
				`conf.d/w.toml:6:1: min_reload_interval "soon" is no duration from 0s to 24h0m0s, such as "2s"`,
				`conf.d/w.toml:7:1: debounce "25h" is no duration from 0s to 24h0m0s, such as "2s"`,
				`conf.d/w.toml:8:1: check_cmd_timeout "-1s" is no duration from 0s to 1h0m0s, such as "2s"`,
				`conf.d/w.toml:9:1: warning: reload_cmd_timeout of 0 is ignored: every command has a time limit here`,
				`conf.d/w.toml:10:1: owner "a:b" is no name of a user or group`,
			},
		},
		"matcher": {
			files: map[string]string{"conf.d/w.toml": plain + `[profile]
process = { exe = ["unbound", "/usr/sbin/x", 1], singal = "HUP", signal = "KILL", success = "child", after = "2s" }
check = "offf"
max_draining = 0
splay = "-1s"
`},
			profile: "w",
			want: []string{
				`conf.d/w.toml:6:50: unknown key "singal" in process; did you mean "signal"?`,
				`conf.d/w.toml:6:13: exe: "/usr/sbin/x" is not the name of an executable without its folder`,
				`conf.d/w.toml:6:13: exe: "1" is not the name of an executable without its folder`,
				`conf.d/w.toml:6:66: unknown signal "KILL"`,
				`conf.d/w.toml:6:83: success "child" is none of "children", "alive", "none"`,
				`conf.d/w.toml:6:102: after is for success = "alive" alone`,
				`conf.d/w.toml:7:1: check "offf" is none of "preset", "if-possible", "off"; did you mean "off"?`,
				`conf.d/w.toml:8:1: max_draining 0 would hold back every reload; it begins at 1`,
				`conf.d/w.toml:9:1: splay "-1s" is no time from "0s" to "24h0m0s", such as "30s"`,
			},
		},
		"matcher as a table": {
			files: map[string]string{"conf.d/w.toml": plain + `[profile.process]
exe = []
signal = 1
success = "alive"
after = "1h"
`},
			profile: "w",
			want: []string{
				`conf.d/w.toml:6:1: exe names 0 executables; 1 to 16 can be`,
				`conf.d/w.toml:7:1: signal is no string`,
				`conf.d/w.toml:9:1: after "1h" is no duration from 1s to 1m0s, such as "2s"`,
			},
		},
		"matcher that says nothing": {
			files:   map[string]string{"conf.d/w.toml": plain + "[profile]\nprocess = {}\n"},
			profile: "w",
			want: []string{
				`conf.d/w.toml:6:1: exe is missing in process: name the server's executable`,
				`conf.d/w.toml:6:1: signal is missing in process: which one makes the server reload, such as HUP?`,
				`conf.d/w.toml:6:1: success is missing in process: one of "children", "alive", "none"`,
			},
		},
		"process of no type": {
			files:   map[string]string{"conf.d/w.toml": plain + "[profile]\nprocess = 1\n"},
			profile: "w",
			want:    []string{`conf.d/w.toml:6:1: process is neither the name of a preset nor { exe = "…", signal = "…", success = "…" }`},
		},
		"apache unchecked": {
			files:   map[string]string{"conf.d/w.toml": plain + "[profile]\nprocess = \"apache\"\ncheck = \"if-possible\"\n"},
			profile: "w",
			want:    []string{`conf.d/w.toml:7:1: check "if-possible" is not for process "apache": it ends when it reloads a bad configuration, so each is tried first`},
		},
		"apache without check": {
			files:   map[string]string{"conf.d/w.toml": plain + "[profile]\nprocess = \"apache\"\ncheck = \"off\"\n"},
			profile: "w",
			want:    []string{`conf.d/w.toml:7:1: check "off" is not for process "apache": it ends when it reloads a bad configuration, so each is tried first`},
		},
	})
}
