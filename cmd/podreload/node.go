package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v3"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/agent"
	"github.com/podreload/podreload/daemonset/pods"
	"github.com/podreload/podreload/daemonset/source"
	"github.com/podreload/podreload/daemonset/state"
	"github.com/podreload/podreload/daemonset/template"
	"github.com/podreload/podreload/nsenter"
)

// The parts that commands work with, each opened by the commands that need it
// only: `profiles` works without containerd, `ps` without etcd.

func openPods(c *cli.Command) (*pods.Client, error) {
	client, err := pods.Dial(c.String("runtime-endpoint"), c.String("containerd-namespace"))
	if err != nil {
		return nil, err
	}
	client.Node, err = nodeName(c)
	return client, err
}

// nodeName is the node's name as templates see it. Kubernetes tells a pod by an environment
// variable; else it is mostly the host's own.
func nodeName(c *cli.Command) (string, error) {
	if name := c.Root().String("node-name"); name != "" {
		return name, nil
	}
	return os.Hostname()
}

func openSource(c *cli.Command) (*source.Client, error) {
	if err := confdSource(c); err != nil {
		return nil, err
	}
	user, password, file, err := credentials(c)
	if err != nil {
		return nil, err
	}
	for _, w := range etcdctlWarnings(os.Environ()) {
		logrus.Warn(w)
	}
	return source.Open(source.Config{
		Endpoints: endpoints(c), CACert: c.String("cacert"), Cert: c.String("cert"), Key: c.String("key"),
		User: user, Password: password, PasswordFile: file, DialTimeout: c.Duration("timeout"),
	})
}

// openStore opens what outlives the agent, for commands. They and the daemon beside them have to mean the
// same: what one notes below another --root the other never hears of.
func openStore(c *cli.Command) (*state.Store, error) {
	store, err := openFolders(c)
	if err != nil {
		return nil, err
	}
	daemon, runs := store.Running()
	if runs && sameSocket(daemon.Endpoint, c.String("runtime-endpoint")) && store.Apart(daemon) {
		err := fmt.Errorf("the podreload daemon of this --state (process %d) has --root %s, and here it is %s: name the same",
			daemon.Pid, daemon.Root, c.Root().String("root"))
		return nil, errors.Join(err, store.Close())
	}
	return store, nil
}

// openFolders asks the root for its flag: `ps` has a --state of its own.
func openFolders(c *cli.Command) (*state.Store, error) {
	return state.Open(c.Root().String("state"), c.Root().String("root"))
}

// loadProfiles reads conf.d. What is wrong in it is logged; a profile that it
// stops is there with its error.
func loadProfiles(c *cli.Command) (*template.Config, error) {
	if err := sayConfd(c); err != nil {
		return nil, err
	}
	config, err := template.Load(c.String("confdir"))
	if err != nil {
		return nil, err
	}
	for _, p := range config.Problems {
		if p.Warning {
			logrus.Warn(p)
		} else {
			logrus.Error(p)
		}
	}
	return config, nil
}

// sealShim seals the shim that lies beside this program, if it is of the same
// build.
func sealShim() (*nsenter.Shim, error) {
	path, err := shimPath()
	if err != nil {
		return nil, err
	}
	if err := sameBuild(path); err != nil {
		return nil, err
	}
	return nsenter.Seal(path)
}

func shimPath() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find podreload-shim: %w", err)
	}
	return filepath.Join(filepath.Dir(self), "podreload-shim"), nil
}

func sameBuild(path string) error {
	if shimDigest == "" {
		return nil // not built by make: there is nothing to compare with
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("podreload-shim must lie beside podreload: %w", err)
	}
	if sum := sha256.Sum256(program); hex.EncodeToString(sum[:]) != shimDigest {
		return fmt.Errorf("%s is not of the same build as podreload %s; install both from one build", path, version)
	}
	return nil
}

// view is the node as it is now: what runs, what was chosen, what is recorded.
type view struct {
	containers []daemonset.Container
	config     *template.Config
	targets    []daemonset.Target
}

func look(ctx context.Context, c *cli.Command) (*view, error) {
	config, err := loadProfiles(c)
	if err != nil {
		return nil, err
	}
	client, err := openPods(c)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, c.Duration("timeout"))
	defer cancel()
	containers, err := client.List(ctx)
	if errors.Is(err, pods.ErrAway) {
		return nil, err
	}
	if err != nil { // it hides only the containers that it names
		logrus.Warn(err)
	}
	store, err := openStore(c)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	return &view{containers: containers, config: config, targets: agent.Choose(containers, config.Profiles, agent.Running(ctx, store))}, nil
}

// statuses joins what was chosen now with what is recorded, in one order.
func (v *view) statuses(c *cli.Command) ([]daemonset.Status, error) {
	store, err := openStore(c)
	if err != nil {
		return nil, err
	}
	switch daemon, runs := store.Running(); {
	case !runs:
		logrus.Warn("no podreload daemon runs with this --state; what is shown was true when it was last applied")
	case !sameSocket(daemon.Endpoint, c.String("runtime-endpoint")):
		logrus.Warnf("the podreload daemon of this --state follows %s; what is shown was true when it was last applied", daemon.Endpoint)
	}
	var out []daemonset.Status
	for _, t := range v.targets {
		s, err := v.status(store, t)
		if err != nil { // that of one target says nothing of the others
			s.State, s.Reason = daemonset.Failed, err.Error()
		}
		out = append(out, s)
	}
	return out, nil
}

// sameSocket compares two endpoints, each a path or a URL, perhaps through links, as /var/run is one.
func sameSocket(a, b string) bool { return a == b || socketPath(a) == socketPath(b) }

func socketPath(endpoint string) string {
	path, err := pods.SocketPath(endpoint)
	if err != nil {
		return endpoint
	}
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		return resolved
	}
	return path
}

// status is the record of one target, or what stands for it where there is none.
func (v *view) status(store *state.Store, t daemonset.Target) (daemonset.Status, error) {
	s := daemonset.Status{
		ContainerID: t.Container.ID, Name: t.Container.Name, Pod: t.Container.Pod.Name, Namespace: t.Container.Pod.Namespace,
		Profile: t.Profile, State: t.State, Reason: t.Reason,
	}
	if t.Container.ID == "" {
		return s, nil
	}
	recorded, err := store.Load(t.Container.ID)
	switch {
	case err == nil && recorded.Profile == t.Profile:
		s = recorded.Status
		if t.State != "" { // what is in place stays, whatever became of the profile
			s.State, s.Reason = t.State, t.Reason
		}
	case err != nil && !errors.Is(err, state.ErrNotFound):
		return s, err
	case t.State == "":
		s.State, s.Reason = daemonset.Waiting, "not applied yet: run podreload daemon or podreload apply"
	}
	return s, nil
}
