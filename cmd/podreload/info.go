package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/podreload/podreload/daemonset/template"
	"github.com/podreload/podreload/nsenter"
)

// finding is one thing that this node can or cannot do.
type finding struct {
	What   string `json:"what"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"`

	Optional bool `json:"optional,omitempty"` // podreload does without
}

func found(what, detail string, err error, fix string) finding {
	if err != nil {
		return finding{What: what, Detail: err.Error(), Fix: fix}
	}
	return finding{What: what, OK: true, Detail: detail}
}

var infoCommand = &cli.Command{
	Name:        "info",
	Usage:       "tell what this node can and cannot do, and what to do about it",
	Description: "Exits with 1 if something that podreload needs is missing.",
	Flags:       formatFlags("table"),
	Action: func(ctx context.Context, c *cli.Command) error {
		if err := noArgs(c); err != nil {
			return err
		}
		findings := nodeFindings()
		findings = append(findings, shimFinding(), confFinding(c), stateFinding(c), runtimeFinding(ctx, c), nriFinding(c), etcdFinding(ctx, c))
		t := table{header: []string{"WHAT", "OK", "DETAIL", "WHAT TO DO"}}
		missing := 0
		for _, f := range findings {
			ok := "yes"
			switch {
			case !f.OK && f.Optional:
				ok = "no"
			case !f.OK:
				ok = "NO"
				missing++
			}
			t.rows = append(t.rows, []string{f.What, ok, f.Detail, f.Fix})
		}
		if err := print(c, findings, t); err != nil {
			return err
		}
		if missing > 0 {
			return fmt.Errorf("%d of %d things that podreload needs are missing here", missing, len(findings))
		}
		return nil
	},
}

func nodeFindings() []finding {
	var out []finding
	for _, f := range nsenter.Probe() {
		out = append(out, found(f.Name, f.Detail, f.Err, f.Fix))
	}
	return out
}

func shimFinding() finding {
	path, err := shimPath()
	if err == nil {
		err = sameBuild(path)
	}
	var size int64
	if err == nil {
		var info os.FileInfo
		if info, err = os.Stat(path); err == nil {
			size = info.Size()
		}
	}
	return found("podreload-shim", fmt.Sprintf("%s, %d KiB", path, size>>10), err, "install podreload and podreload-shim of one build side by side")
}

func confFinding(c *cli.Command) finding {
	fix := "mend what podreload profiles shows, or name another --confdir"
	config, err := template.Load(c.String("confdir"))
	if err != nil {
		return found("conf.d", "", err, fix)
	}
	var bad []string
	for _, p := range config.Profiles {
		if p.Err != nil {
			bad = append(bad, p.Name)
		}
	}
	if len(bad) > 0 {
		err = fmt.Errorf("profiles with errors: %s", strings.Join(bad, ", "))
	}
	if homeless := config.Homeless(); len(homeless) > 0 {
		err = errors.Join(errors.New(strings.Join(homeless, "; ")), err)
	}
	return found("conf.d", fmt.Sprintf("%s, %d profiles", c.String("confdir"), len(config.Profiles)), err, fix)
}

func stateFinding(c *cli.Command) finding {
	store, err := openStore(c)
	if err != nil {
		return found("state", "", err, "run as root, with the --state and --root of the daemon")
	}
	detail := c.Root().String("state") + ", no daemon runs"
	if daemon, ok := store.Running(); ok {
		detail = fmt.Sprintf("%s, the daemon is process %d and follows %s", c.Root().String("state"), daemon.Pid, daemon.Endpoint)
	}
	return found("state", detail, nil, "")
}

func runtimeFinding(ctx context.Context, c *cli.Command) finding {
	fix := "is containerd running? name its socket with --runtime-endpoint"
	client, err := openPods(c)
	if err != nil {
		return found("containerd", "", err, fix)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, c.Duration("timeout"))
	defer cancel()
	v, err := client.Version(ctx)
	return found("containerd", v+" at "+c.String("runtime-endpoint"), err, fix)
}

// nriFinding looks whether containerd has NRI's socket. Who connects there is a plugin.
func nriFinding(c *cli.Command) finding {
	socket := c.String("nri-socket")
	f := finding{What: "NRI", Detail: "not asked (--nri-socket is empty)", Optional: true,
		Fix: "without it a new container may start before it gets its files: enable it in containerd 1.7 or newer (disable = false), or name its socket with --nri-socket"}
	if socket == "" {
		return f
	}
	if info, err := os.Stat(socket); err != nil {
		f.Detail = err.Error()
	} else if info.Mode()&os.ModeSocket == 0 {
		f.Detail = socket + " is no socket"
	} else {
		f.OK, f.Detail, f.Fix = true, socket, ""
	}
	return f
}

// keysOf are the keys of all profiles, but for those that depend on a pod: etcd's
// user need not be allowed to read any others.
func keysOf(c *cli.Command) []string {
	var keys []string
	if config, err := template.Load(c.String("confdir")); err == nil {
		for _, p := range config.Profiles {
			if !p.KeysUsePod() {
				keys = append(keys, p.Keys()...)
			}
		}
	}
	if len(keys) == 0 {
		return []string{"/podreload"}
	}
	return keys
}

func etcdFinding(ctx context.Context, c *cli.Command) finding {
	fix := "is etcd running? name it with --endpoints, and --cacert, --cert, --key, --user as etcdctl"
	etcd, err := openSource(c)
	if err != nil {
		return found("etcd", "", err, fix)
	}
	defer etcd.Close()
	ctx, cancel := context.WithTimeout(ctx, c.Duration("timeout"))
	defer cancel()
	snapshot, err := etcd.Read(ctx, keysOf(c))
	if err != nil {
		return found("etcd", "", err, fix)
	}
	return found("etcd", fmt.Sprintf("revision %d at %s", snapshot.Revision(), strings.Join(endpoints(c), ",")), nil, "")
}
