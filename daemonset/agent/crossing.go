package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/state"
	"github.com/podreload/podreload/daemonset/template"
	"github.com/podreload/podreload/daemonset/verify"
	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/shim"
)

// crossing holds the pinned processes of one pass: the container's init, whose
// namespaces are entered, and the server that is signalled.
type crossing struct {
	profile string
	init    *nsenter.Process
	server  *nsenter.Process // nil: nothing is signalled
	info    nsenter.Info     // of the server, when it was found
	preset  *verify.Preset   // nil: no rule for success
	signal  syscall.Signal
	asked   bool // the profile or the pod names the signal; else it is the preset's

	waiting error // there is something to signal, but not yet
}

// enter pins who is meant. The caller closes the result.
func enter(ctx context.Context, job Job) (*crossing, error) {
	init, err := pin(job.Target.Container)
	if err != nil {
		return nil, err
	}
	c := &crossing{profile: job.Target.Profile, init: init}
	if err := c.find(ctx, job); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func pin(container daemonset.Container) (*nsenter.Process, error) {
	init, err := nsenter.PinStarted(container.Pid, container.StartTime)
	if err != nil {
		return nil, failed(crossingState(err), fmt.Errorf("container %s: %w", container, err))
	}
	return init, nil
}

// find decides who is signalled, and with what.
func (c *crossing) find(ctx context.Context, job Job) error {
	signal, err := reloadSignal(job.profile(), job.Target.Container.Pod)
	if err != nil {
		return failed(daemonset.Invalid, err)
	}
	c.signal, c.asked = signal, signal != 0
	preset, known, err := presetOf(job.profile())
	if err != nil {
		return err
	}
	switch {
	case known:
		c.preset = &preset
		if c.signal == 0 {
			c.signal = preset.Signal
		}
		server, err := preset.Find(ctx, c.init)
		if errors.Is(err, verify.ErrNoServer) {
			c.waiting = err
			return nil
		}
		if err != nil {
			return failed(serverState(err), err)
		}
		c.server, preset.Signal = server, c.signal // the proof watches what is sent
	case c.signal != 0:
		// Without a preset the container's first process is meant, as
		// `ctr task kill` means it.
		if c.server, err = pin(job.Target.Container); err != nil {
			return err
		}
	default:
		return nil
	}
	if c.info, err = c.server.Info(); err != nil {
		return failed(crossingState(err), err)
	}
	if !known && strings.HasPrefix(c.info.Comm, runtimeInit) {
		c.server.Close()
		c.server, c.waiting = nil, fmt.Errorf("process %d is the runtime's still, the container's own comes in a moment", c.info.Pid)
		return nil
	}
	if err := verify.CanSignal(c.info, c.signal); err != nil {
		return failed(daemonset.Failed, err)
	}
	return nil
}

// runtimeInit begins the name of runc's process that becomes the container's first by an exec.
// What signals it catches says nothing of those that will be caught then.
const runtimeInit = "runc:["

// presetOf is how the profile's server is found, tried and proved; not known
// where the profile names none.
func presetOf(p *template.Profile) (preset verify.Preset, known bool, err error) {
	switch {
	case p.Matcher != nil:
		preset, err = verify.Match(*p.Matcher)
	case p.Process != "":
		preset, err = verify.Lookup(p.Process)
	default:
		return preset, false, nil
	}
	if err != nil {
		return preset, false, failed(daemonset.Invalid, err)
	}
	return preset, true, nil
}

// before is what the proof compares with; nil where there is no rule.
func (c *crossing) before() (*verify.Proof, error) {
	if c.server == nil || c.preset == nil || !c.preset.Proves() {
		return nil, nil
	}
	proof, err := c.preset.Before(c.server)
	if err != nil {
		return nil, failed(serverState(err), err)
	}
	return proof, nil
}

// successor answers whether the server is another than the one that was
// signalled last, or has gone: then nothing that was proved counts any more. It is
// another too where there was nobody to signal and now there is.
func (c *crossing) successor(last *daemonset.Process) bool {
	if last == nil {
		return c.server != nil || c.waiting != nil
	}
	if c.server == nil {
		return c.waiting != nil
	}
	return c.server.Pid() != last.Pid || c.server.StartTime() != last.StartTime
}

func (c *crossing) process() *daemonset.Process {
	if c.server == nil {
		return nil
	}
	return &daemonset.Process{Pid: c.server.Pid(), StartTime: c.server.StartTime(), NSPid: c.info.NSPid, Exe: c.info.Exe}
}

// Close lets the pinned processes go.
func (c *crossing) Close() {
	c.init.Close()
	if c.server != nil {
		c.server.Close()
	}
}

// reloadSignal is the pod label's signal where the profile allows it, else the
// resources', else 0: the preset decides.
func reloadSignal(p *template.Profile, pod daemonset.Pod) (syscall.Signal, error) {
	name, allowed := "", slices.Clone(p.Signals)
	for _, r := range p.Resources {
		if r.ReloadSignal == "" {
			continue
		}
		if name != "" && name != r.ReloadSignal {
			return 0, fmt.Errorf("profile %s: its resources want different signals (%s and %s); one profile reloads once: "+
				"give them one reload_signal or split the profile", p.Name, name, r.ReloadSignal)
		}
		name = r.ReloadSignal
	}
	if name != "" && len(allowed) == 0 {
		allowed = []string{name}
	}
	if label, ok := pod.Labels[LabelSignal]; ok {
		label = strings.TrimPrefix(strings.ToUpper(label), "SIG")
		if !slices.Contains(allowed, label) {
			return 0, fmt.Errorf("the pod label %s asks for signal %q, which profile %s does not allow (signals = [%s])",
				LabelSignal, label, p.Name, strings.Join(allowed, ", "))
		}
		name = label
	}
	if name == "" {
		return 0, nil
	}
	return verify.Signal(name)
}

// supported refuses what this version, this runtime or this container cannot
// do, before anything is touched.
func supported(job Job) error {
	c := job.Target.Container
	if !hostVisible(c.Runtime) {
		return unsupported("runtime %s runs the container where the node cannot see its processes "+
			"(Kata, gVisor); podreload enters namespaces of the node's own kernel only", c.Runtime)
	}
	return nil
}

func unsupported(format string, args ...any) error {
	return failed(daemonset.Unsupported, fmt.Errorf(format, args...))
}

// hostVisible tells runtimes that run processes on the node's kernel from
// those that do not, by the name that containerd knows them by.
func hostVisible(runtime string) bool {
	return strings.HasPrefix(runtime, "io.containerd.runc.") || runtime == "io.containerd.runtime.v1.linux"
}

func request(op shim.Op, files []daemonset.File, c daemonset.Container) shim.Request {
	req := shim.Request{Op: op, UID: c.UID, GID: c.GID, UIDMap: idMap(c.UIDMap), GIDMap: idMap(c.GIDMap)}
	for _, f := range files {
		file := shim.File{Path: f.Path, Data: f.Data, Absent: f.Absent, UID: f.UID, GID: f.GID, Mkdir: f.Mkdir}
		if f.Mode != nil {
			mode := uint32(*f.Mode)
			file.Mode = &mode
		}
		req.Files = append(req.Files, file)
	}
	return req
}

func idMap(ranges []daemonset.IDMap) []shim.IDMap {
	var m []shim.IDMap
	for _, r := range ranges {
		m = append(m, shim.IDMap(r))
	}
	return m
}

func fileStatus(files []daemonset.File, r shim.Result) []daemonset.FileStatus {
	var out []daemonset.FileStatus
	for i, f := range files {
		s := daemonset.FileStatus{Path: f.Path, Bytes: len(f.Data)}
		if i < len(r.Files) {
			s.Changed = r.Files[i].Changed
		}
		out = append(out, s)
	}
	return out
}

// Running answers [Runs] from the node's own /proc, and from what was found there before, under whatever profile: a
// server that is down may be so for want of the files that come next.
func Running(ctx context.Context, store *state.Store) Runs {
	return func(c daemonset.Container, p *template.Profile) bool {
		preset, known, err := presetOf(p)
		if err != nil || !known {
			return false
		}
		if rec, err := store.Load(c.ID); err == nil && rec.Process != nil && preset.Matches(rec.Process.Exe) {
			return true
		}
		init, err := pin(c)
		if err != nil {
			return false
		}
		defer init.Close()
		server, err := preset.Find(ctx, init)
		if err != nil {
			return errors.Is(err, verify.ErrAmbiguous)
		}
		server.Close()
		return true
	}
}
