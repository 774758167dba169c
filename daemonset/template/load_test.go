package template

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const plain = "[template]\nsrc = \"t\"\ndest = \"/etc/t\"\nkeys = [\"/\"]\n"

// Each bad input is reported where it stands, and stops its own profile only.
func TestBadInput(t *testing.T) {
	testProblems(t, map[string]problemTest{
		"misspelt key": {
			files:   map[string]string{"conf.d/w.toml": plain + "\n[profile]\nprocces = \"nginx\"\n"},
			profile: "w",
			want:    []string{`conf.d/w.toml:7:1: unknown key "procces" in [profile]; did you mean "process"?`},
		},
		"misspelt key without profile": {
			files: map[string]string{"conf.d/w.toml": plain + "check_cmnd = \"x\"\ndebounse = \"1s\"\n"},
			want: []string{
				`conf.d/w.toml:5:1: warning: unknown key "check_cmnd" in [template]; did you mean "check_cmd"?; ignored, as confd does`,
				`conf.d/w.toml:6:1: warning: unknown key "debounse" in [template]; did you mean "debounce"?; ignored, as confd does`,
			},
		},
		"misspelt table": {
			files:   map[string]string{"conf.d/w.toml": strings.Replace(plain, "template", "tempalte", 1) + "[profile]\n"},
			profile: "w",
			want: []string{
				`conf.d/w.toml:1:2: unknown key "tempalte"; did you mean "template"?`,
			},
		},
		"no table": {
			files:   map[string]string{"conf.d/w.toml": "src = \"t\"\n"},
			profile: "w",
			want: []string{
				`conf.d/w.toml: no [template] in it`,
				`conf.d/w.toml:1:1: warning: unknown key "src"; ignored, as confd does`,
			},
		},
		"not TOML": {
			files:   map[string]string{"conf.d/w.toml": "[template]\nsrc = 'x\n"},
			profile: "w",
			want:    []string{`conf.d/w.toml:2:9: literal strings cannot have new lines`},
		},
		"wrong type": {
			files:   map[string]string{"conf.d/w.toml": "[template]\nsrc = \"t\"\ndest = \"/d\"\nuid = \"root\"\n"},
			profile: "w",
			want:    []string{`conf.d/w.toml:4:7: the value of template.uid cannot be of type string; a user's name is for owner`},
		},
		"a mode without quotes": {
			files:   map[string]string{"conf.d/w.toml": plain + "mode = 644\n"},
			profile: "w",
			want:    []string{`conf.d/w.toml:5:8: the value of template.mode cannot be of type integer; it stands in quotes: "0644"`},
		},
		"a mode as in C": {
			files:   map[string]string{"conf.d/w.toml": plain + "mode = 0644\n"},
			profile: "w",
			want:    []string{`conf.d/w.toml:5:8: integers cannot have leading zeroes; a mode stands in quotes: mode = "0644"`},
		},
		"one key": {
			files:   map[string]string{"conf.d/w.toml": strings.Replace(plain, "[\"/\"]", "\"/x\"", 1)},
			profile: "w",
			want:    []string{`conf.d/w.toml:4:8: the value of template.keys cannot be of type string; it is a list: ["/key"]`},
		},
		"a byte order mark": {
			files: map[string]string{"conf.d/w.toml": "\ufeff" + plain},
		},
		"nothing set": {
			files:   map[string]string{"conf.d/w.toml": "[template]\n"},
			profile: "w",
			want: []string{
				`conf.d/w.toml:1:2: src is missing: name a file below templates`,
				`conf.d/w.toml:1:2: dest is missing: name the file in the container`,
			},
		},
		"src escapes": {
			files:   map[string]string{"conf.d/w.toml": strings.Replace(plain, `"t"`, `"../conf.d/w.toml"`, 1)},
			profile: "w",
			want:    []string{`conf.d/w.toml:2:1: src "../conf.d/w.toml" is not below templates`},
		},
		"no such template": {
			files:   map[string]string{"conf.d/w.toml": strings.Replace(plain, `"t"`, `"no"`, 1)},
			profile: "w",
			want:    []string{`conf.d/w.toml:2:1: templates/no: no such file or directory`},
		},
		"template is a folder": {
			files:   map[string]string{"conf.d/w.toml": strings.Replace(plain, `"t"`, `"d"`, 1), "templates/d/x": ""},
			profile: "w",
			want:    []string{`conf.d/w.toml:2:1: templates/d: is not a regular file`},
		},
		"template does not parse": {
			files:   map[string]string{"conf.d/w.toml": strings.Replace(plain, `"t"`, `"sub/b:ad"`, 1), "templates/sub/b:ad": "a\n{{if}}\n"},
			profile: "w",
			want:    []string{`templates/sub/b:ad:2: missing value for if`},
		},
		"unknown function": {
			files:   map[string]string{"conf.d/w.toml": strings.Replace(plain, `"t"`, `"b"`, 1), "templates/b": "\n\n{{getvv \"/x\"}}"},
			profile: "w",
			want:    []string{`templates/b:3: function "getvv" not defined; did you mean "getv"?`},
		},
		"function of an older confd": {
			files:   map[string]string{"conf.d/w.toml": strings.Replace(plain, `"t"`, `"b"`, 1), "templates/b": "{{cgetv \"/x\"}}"},
			profile: "w",
			want:    []string{`templates/b:1: function "cgetv" is not available: confd dropped its encrypted values after v0.16`},
		},
		"guards have no name": {
			files:   map[string]string{"conf.d/w.toml": strings.Replace(plain, `"t"`, `"b"`, 1), "templates/b": "{{_leave 0}}"},
			profile: "w",
			want:    []string{`templates/b:1: function "_leave" not defined`},
		},
		"bad values": {
			files: map[string]string{"conf.d/w.toml": `[template]
src = "t"
dest = "etc/t"
mode = "rw"
uid = -2
gid = 4294967295
reload_signal = "KILL"
[profile]
select = "a=b=c"
process = "ngnix"
container = "UP"
check = "on"
wait = "soon"
signals = ["HUP", "sigusr3"]
namespaces = ["["]
`},
			profile: "w",
			want: []string{
				`conf.d/w.toml:3:1: dest "etc/t" is not absolute`,
				`conf.d/w.toml:4:1: mode "rw" is no number; write it as "0644"`,
				`conf.d/w.toml:5:1: -2 is no user or group number`,
				`conf.d/w.toml:6:1: 4294967295 is no user or group number`,
				`conf.d/w.toml:7:1: unknown signal "KILL"`,
				`conf.d/w.toml:9:1: select "a=b=c" is no label selector: found '=', expected: ',' or 'end of string'`,
				`conf.d/w.toml:10:1: unknown process "ngnix": the presets are nginx, haproxy, apache; did you mean "nginx"?`,
				`conf.d/w.toml:11:1: container "UP" is no container's name: a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')`,
				`conf.d/w.toml:12:1: check "on" is none of "preset", "if-possible", "off"; did you mean "off"?`,
				`conf.d/w.toml:13:1: wait "soon" is not of the form "2s" or "2s:10s"`,
				`conf.d/w.toml:14:1: unknown signal "sigusr3"; did you mean "USR1"?`,
				`conf.d/w.toml:15:1: namespaces: "[" is no pattern`,
			},
		},
		"check command": {
			files:   map[string]string{"conf.d/w.toml": plain + "check_cmd = \"nginx -t -c {{.src}\"\n"},
			profile: "w",
			want:    []string{`conf.d/w.toml:5:1: check_cmd: bad character U+007D '}'`},
		},
		"check command without end": {
			files:   map[string]string{"conf.d/w.toml": plain + "check_cmd = \"{{range 10000000000}}{{end}}\"\n"},
			profile: "w",
			want:    []string{`conf.d/w.toml:5:1: check_cmd: rendering takes too long`},
		},
		"select chooses all": {
			files:   map[string]string{"conf.d/w.toml": plain + "[profile]\nselect = \" \"\n"},
			profile: "w",
			want:    []string{`conf.d/w.toml:6:1: select is empty and would choose every pod; leave it out, or name a label`},
		},
		"profile name": {
			files:   map[string]string{"conf.d/w.toml": plain + "[profile]\nname = \"a/b\"\n"},
			profile: "a/b",
			want:    []string{`conf.d/w.toml:6:1: profile name "a/b" is no label value, so no pod can choose it; name it in [profile]`},
		},
		"file name that is no label value": {
			files: map[string]string{"conf.d/my site.toml": plain},
			want:  []string{`conf.d/my site.toml: warning: profile name "my site" is no label value, so no pod can choose it; name it in [profile]`},
		},
		"decimal mode": {
			files: map[string]string{"conf.d/w.toml": plain + "mode = \"644\"\n"},
			want:  []string{`conf.d/w.toml:5:1: warning: mode "644" is read as a decimal number, as confd does, and gives 0204; write "0644"`},
		},
		"files disagree": {
			files: map[string]string{
				"conf.d/w/a.toml": plain + "[profile]\nprocess = \"nginx\"\nwait = \"1s\"\n",
				"conf.d/w/b.toml": strings.Replace(plain, "/etc/t", "/etc/u", 1) + "[profile]\ncheck = \"off\"\nwait = \"2s\"\n",
			},
			profile: "w",
			want:    []string{`conf.d/w/b.toml:7:1: wait differs from that in conf.d/w/a.toml; the files of one profile must agree`},
		},
		"one dest twice": {
			files:   map[string]string{"conf.d/w/a.toml": plain, "conf.d/w/b.toml": plain},
			profile: "w",
			want:    []string{`conf.d/w/b.toml:3:1: dest /etc/t is that of conf.d/w/a.toml too`},
		},
		"sensitive for everyone": {
			files:   map[string]string{"conf.d/w.toml": plain + "sensitive = true\n"},
			profile: "w",
			want:    []string{`conf.d/w.toml:5:1: a sensitive resource needs namespaces in [profile]: which may have it?`},
		},
		"two ways to reload": {
			files:   map[string]string{"conf.d/w.toml": plain + "reload_signal = \"HUP\"\nreload_cmd = \"x\"\n"},
			profile: "w",
			want:    []string{`conf.d/w.toml:5:1: both reload_signal and reload_cmd are set; keep one`},
		},
		"profile without resources": {
			files:   map[string]string{"conf.d/w.toml": "[profile]\nprocess = \"nginx\"\n"},
			profile: "w",
			want:    []string{`conf.d/w.toml: profile w has no resources`},
		},
		"gathering": {
			files: map[string]string{
				"conf.d/w.toml":     "[profile]\nresources = [\"tsl\", \"own\", \"tls\"]\n",
				"conf.d/tls.toml":   plain,
				"conf.d/own.toml":   plain + "[profile]\n",
				"conf.d/other.toml": plain + "[profile]\nresources = [\"tls\"]\n",
			},
			profile: "w",
			want: []string{
				`conf.d/other.toml:6:1: resources stands in a file with [template]; write it in a file of its own`,
				`conf.d/w.toml:2:1: resources: no conf.d/tsl.toml; did you mean "tls"?`,
				`conf.d/w.toml:2:1: resources: conf.d/own.toml has a [profile] of its own`,
			},
		},
		"too large": {
			files:   map[string]string{"conf.d/w.toml": strings.Repeat("#", maxTOML+1)},
			profile: "w",
			want:    []string{`conf.d/w.toml: is larger than 1048576 bytes`},
		},
	})
}

type problemTest struct {
	files   map[string]string // below conf.d or templates; templates/t is there
	profile string            // the one that is stopped; none: a warning only
	want    []string          // all problems
}

func testProblems(t *testing.T, tests map[string]problemTest) {
	t.Helper()
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.files["templates/t"] = "fine"
			tt.files["conf.d/good.toml"] = strings.Replace(plain, "/etc/t", "/etc/good", 1)
			c := load(t, confdir(t, tt.files))
			var got []string
			for _, p := range c.Problems {
				got = append(got, p.String())
				if p.Profile == "" {
					t.Errorf("%s: no profile", p)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			if files, err := profile(t, c, "good").Render(snapshot{}, Facts{}); err != nil || len(files) != 1 {
				t.Errorf("another profile is stopped too: %v", err)
			}
			if tt.profile == "" {
				for _, p := range c.Profiles {
					if p.Err != nil {
						t.Errorf("profile %s is stopped by a warning: %v", p.Name, p.Err)
					}
				}
				return
			}
			p := profile(t, c, tt.profile)
			if p.Err == nil {
				t.Fatal("the profile is not stopped")
			}
			if _, err := p.Render(snapshot{}, Facts{}); !errors.Is(err, p.Err) {
				t.Errorf("it renders: %v", err)
			}
			var first Problem
			if !errors.As(p.Err, &first) || first.Warning || first.Profile != tt.profile {
				t.Errorf("Err is no problem of the profile: %v", p.Err)
			}
		})
	}
}

// A mounted ConfigMap: real files in a dated folder, and links to them.
func TestConfigMap(t *testing.T) {
	dir := confdir(t, map[string]string{
		"conf.d/..2026_01_01/w.toml":     plain,
		"conf.d/..2026_01_01/d/sub.toml": strings.Replace(plain, "/etc/t", "/etc/s", 1),
		"templates/..2026_01_01/t":       "x",
	})
	for link, target := range map[string]string{
		"conf.d/..data": "..2026_01_01", "conf.d/w.toml": "..data/w.toml", "conf.d/d": "..data/d",
		"conf.d/loop": ".", "conf.d/notes": "/nowhere",
		"templates/..data": "..2026_01_01", "templates/t": "..data/t",
	} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	c := load(t, dir)
	if len(c.Problems) > 0 {
		t.Error(c.Problems)
	}
	for _, name := range []string{"w", "d"} {
		if p := profile(t, c, name); p.Err != nil || len(p.Resources) != 1 {
			t.Errorf("%s: %v %v", name, p.Err, p.Resources)
		}
	}
	if len(c.Profiles) != 2 {
		t.Errorf("%d profiles", len(c.Profiles))
	}
}

func TestNoWayOut(t *testing.T) {
	outside := confdir(t, map[string]string{"t": "secret", "w.toml": plain})
	dir := confdir(t, map[string]string{"templates/x": "", "conf.d/a.toml": plain})
	for link, target := range map[string]string{"templates/t": outside + "/t", "conf.d/b.toml": outside + "/w.toml", "conf.d/more": outside} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	c := load(t, dir)
	want := []string{
		"conf.d/a.toml:2:1: templates/t: it is a symbolic link, or below one, that is absolute or leads out of the confdir; make it relative, and to what is inside",
		"conf.d/b.toml: it is a symbolic link, or below one, that is absolute or leads out of the confdir; make it relative, and to what is inside",
	}
	var got []string
	for _, p := range c.Problems {
		got = append(got, p.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestConfdirItself(t *testing.T) {
	if _, err := Load(filepath.Join(t.TempDir(), "no")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a confdir that is not there: %v", err)
	}
	c := load(t, t.TempDir())
	if len(c.Profiles) != 0 || len(c.Problems) != 1 || c.Problems[0].String() != "conf.d: no such file or directory" {
		t.Errorf("%v", c)
	}
}
