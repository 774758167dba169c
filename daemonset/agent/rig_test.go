package agent_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/agent"
	"github.com/podreload/podreload/daemonset/check"
	commands "github.com/podreload/podreload/daemonset/exec"
	"github.com/podreload/podreload/daemonset/pods"
	"github.com/podreload/podreload/daemonset/source"
	"github.com/podreload/podreload/daemonset/state"
	"github.com/podreload/podreload/daemonset/template"
	"github.com/podreload/podreload/daemonset/turns"
	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/testenv"
)

// patience bounds every wait for something that is to happen.
const patience = time.Minute

// rig is an agent with all that it works on: a node, an etcd, a confdir and a
// state directory of its own.
type rig struct {
	t        *testing.T
	node     *testenv.Node
	etcd     *testenv.Etcd
	name     string // of the profile; labels and keys of a test are its own
	dir      string
	resync   time.Duration
	applier  *agent.Applier
	said     *said
	agent    *agent.Agent   // the one that was started last
	observer agent.Observer // of agents to come
	stop     func()         // ends the agent; it can be started again

	early  bool // containers get their files before they start
	nri    string
	starts starts

	wrap func(agent.Containers) agent.Containers
}

// starts are what is told of containers before they start.
type starts chan daemonset.Event

func (s starts) Event(e daemonset.Event) {
	if e.Kind == daemonset.Start {
		s <- e
	}
}

var rigs atomic.Int32

// newRig makes a rig with one profile, which [nginxProfile] or the test writes.
// The agent is started by [rig.start].
func newRig(t *testing.T, node *testenv.Node) *rig {
	t.Helper()
	r := &rig{
		t: t, node: node, etcd: sharedEtcd(t), name: fmt.Sprintf("web-%d", rigs.Add(1)), dir: t.TempDir(),
		resync: time.Hour, said: &said{}, stop: func() {}, nri: node.NRISocket(), starts: make(chan daemonset.Event, 100),
	}
	store, err := state.Open(r.path("run"), r.path("kept"))
	if err != nil {
		t.Fatal(err)
	}
	shim, err := nsenter.Seal(testenv.Shim(t))
	if err != nil {
		t.Fatal(err)
	}
	checker, err := check.Open(r.path("run/twins"), turns.New(check.AtOnce(), check.Turn), func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	containers, err := pods.Dial("unix://"+node.Socket(), "k8s.io")
	if err != nil {
		t.Fatal(err)
	}
	runner, err := commands.New(containers.Containerd(), r.path("run/exec"))
	if err != nil {
		t.Fatal(err)
	}
	r.applier = &agent.Applier{Store: store, Shim: shim, Checker: checker, Exec: runner, Timeout: 20 * time.Second, By: "a test", Log: r.log()}
	t.Cleanup(func() {
		// A daemon that the test killed may have left twins.
		swept := checker.Sweep(context.WithoutCancel(t.Context()))
		if err := errors.Join(swept, checker.Close(), shim.Close(), store.Close(), containers.Close()); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the agent said:\n%s", r.said)
		}
	})
	r.profile(r.name, `process = "nginx"`)
	return r
}

func (r *rig) path(name string) string { return filepath.Join(r.dir, name) }

// key is a key below the rig's own prefix.
func (r *rig) key(name string) string { return "/" + r.name + "/" + name }

// profile writes a profile that serves the value of the key NAME/value as nginx
// does: lines go into [profile].
func (r *rig) profile(name string, lines ...string) {
	r.resource(name, `dest = "/etc/nginx/conf.d/default.conf"`, lines...)
}

// resource is [rig.profile] with other lines in [template] than the usual dest.
func (r *rig) resource(name, template string, lines ...string) {
	r.t.Helper()
	profile := strings.Join(lines, "\n")
	if !strings.Contains(profile, "check =") {
		profile += "\ncheck = \"off\""
	}
	files := map[string]string{
		"conf.d/" + name + ".toml": fmt.Sprintf("[template]\nsrc = %q\nprefix = %q\nkeys = [\"/value\"]\n%s\n[profile]\nname = %q\n%s\n",
			name+".tmpl", "/"+name, template, name, profile),
		"templates/" + name + ".tmpl": `server { listen 80; location / { default_type text/plain; return 200 "{{getv "/value"}}"; } }` + "\n",
	}
	if err := testenv.WriteTree(r.path("etc"), files); err != nil {
		r.t.Fatal(err)
	}
}

// config reads the confdir.
func (r *rig) config() *template.Config {
	r.t.Helper()
	config, err := template.Load(r.path("etc"))
	if err != nil {
		r.t.Fatal(err)
	}
	return config
}

// start runs the agent until [rig.stop] or the end of the test.
func (r *rig) start() {
	r.t.Helper()
	containers, err := pods.Dial("unix://"+r.node.Socket(), "k8s.io")
	if err != nil {
		r.t.Fatal(err)
	}
	etcd, err := source.Open(source.Config{Endpoints: []string{r.etcd.Endpoint()}})
	if err != nil {
		r.t.Fatal(err)
	}
	a := &agent.Agent{
		Containers: containers, Source: etcd, Config: r.config(), Profiles: template.Dir(r.path("etc")), Applier: r.applier, Resync: r.resync, Log: r.log(), Observer: r.observer,
	}
	if r.wrap != nil {
		a.Containers = r.wrap(containers)
	}
	if r.early {
		a.Starts = pods.Starts{Client: containers, Socket: r.nri, Within: 1900 * time.Millisecond}
		a.Observer = r.starts
	}
	r.agent = a
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			r.t.Errorf("the agent ended with %v", err)
		}
		if err := errors.Join(containers.Close(), etcd.Close()); err != nil {
			r.t.Error(err)
		}
	})
	r.t.Cleanup(func() { r.stop() })
}

func (r *rig) log() logrus.FieldLogger {
	log := logrus.New()
	log.SetOutput(r.said)
	return log
}

// put puts the value that the rig's profile serves, and returns its revision.
func (r *rig) put(value string) int64 { return r.putKey(r.key("value"), value) }

func (r *rig) putKey(key, value string) int64 {
	r.t.Helper()
	p, err := r.etcd.Client().Put(r.t.Context(), key, value)
	if err != nil {
		r.t.Fatal(err)
	}
	return p.Header.Revision
}

// pod runs a pod that asks for the rig's profile unless it has labels.
func (r *rig) pod(cfg testenv.PodConfig) *testenv.Pod {
	r.t.Helper()
	if cfg.Labels == nil {
		cfg.Labels = map[string]string{agent.LabelProfile: r.name}
	}
	if cfg.Name == "" {
		cfg.Name = r.name
	}
	if cfg.Containers == nil {
		cfg.Containers = []testenv.ContainerConfig{{Name: "nginx"}}
	}
	p, err := r.node.RunPod(r.t.Context(), cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

// await waits until the record of a container is as wanted.
func (r *rig) await(c *testenv.Container, what string, ok func(daemonset.Status) bool) daemonset.Status {
	r.t.Helper()
	var s daemonset.Status
	eventually(r.t, what, func() error {
		rec, err := r.applier.Store.Load(c.ID)
		if s = rec.Status; err == nil && !ok(s) {
			err = fmt.Errorf("the target is %+v", s)
		}
		return err
	})
	return s
}

// live waits until a revision is live in a container.
func (r *rig) live(c *testenv.Container, revision int64) daemonset.Status {
	r.t.Helper()
	return r.await(c, fmt.Sprintf("revision %d is live", revision), func(s daemonset.Status) bool {
		return s.State == daemonset.Live && s.Revision >= revision
	})
}

// applied waits until a revision is applied in a container, and no reload is owed: as far
// as a profile without a process preset gets.
func (r *rig) applied(c *testenv.Container, revision int64) daemonset.Status {
	r.t.Helper()
	return r.await(c, fmt.Sprintf("revision %d is applied", revision), func(s daemonset.Status) bool {
		return s.State == daemonset.Applied && s.Revision >= revision && !s.Owed
	})
}

// in waits for a state whose reason holds all the words.
func (r *rig) in(c *testenv.Container, want daemonset.State, words ...string) daemonset.Status {
	r.t.Helper()
	return r.await(c, fmt.Sprintf("%s: %q", want, words), func(s daemonset.Status) bool {
		for _, w := range words {
			if !strings.Contains(s.Reason, w) {
				return false
			}
		}
		return s.State == want
	})
}

// gone waits until there is no record of a container.
func (r *rig) gone(c *testenv.Container) {
	r.t.Helper()
	eventually(r.t, "the record goes with its container", func() error {
		if _, err := r.applier.Store.Load(c.ID); !errors.Is(err, state.ErrNotFound) {
			return fmt.Errorf("load: %v", err)
		}
		return nil
	})
}

// eventually waits until try returns nil.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited in vain until %s: %v", what, err)
		}
	}
}

// said is what the agent logs.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// lines are the log's lines that hold all the words.
func (s *said) lines(words ...string) (found []string) {
next:
	for line := range strings.Lines(s.String()) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue next
			}
		}
		found = append(found, line)
	}
	return found
}
