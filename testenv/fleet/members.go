package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/podreload/podreload/testenv"
)

const three = 3

// members are an etcd of three, and perhaps a proxy before it.
type members struct {
	dir    string
	ports  *testenv.Ports // of clients, of peers, of the proxy
	procs  []*process
	proxy  *process
	gone   time.Duration // what members that have ended had taken
	client *clientv3.Client
}

func startMembers(ctx context.Context, dir string) (*members, error) {
	ports, err := testenv.HoldPorts(2*three + 1)
	if err != nil {
		return nil, err
	}
	m := &members{dir: dir, ports: ports}
	for i := range three {
		if err := m.configure(i); err != nil {
			return nil, err
		}
	}
	if m.client, err = clientv3.New(clientv3.Config{Endpoints: m.Endpoints(), Logger: zap.NewNop()}); err != nil {
		return nil, err
	}
	return m, nil
}

// Endpoints are those of the members.
func (m *members) Endpoints() (out []string) {
	for _, a := range m.ports.Addrs[:three] {
		out = append(out, "http://"+a)
	}
	return out
}

func (m *members) file(i int) string { return filepath.Join(m.dir, fmt.Sprintf("m%d.yaml", i)) }

func (m *members) configure(i int) error {
	peer := func(i int) string { return "http://" + m.ports.Addrs[three+i] }
	var cluster []string
	for j := range three {
		cluster = append(cluster, fmt.Sprintf("m%d=%s", j, peer(j)))
	}
	text, err := json.Marshal(map[string]any{ // JSON is YAML; etcd's defaults otherwise
		"name": fmt.Sprintf("m%d", i), "data-dir": filepath.Join(m.dir, fmt.Sprintf("m%d", i)),
		"logger": "zap", "log-level": "error", "log-outputs": []string{filepath.Join(m.dir, fmt.Sprintf("m%d.log", i))},
		"listen-client-urls": m.Endpoints()[i], "advertise-client-urls": m.Endpoints()[i],
		"listen-peer-urls": peer(i), "initial-advertise-peer-urls": peer(i),
		"initial-cluster": strings.Join(cluster, ","),
	})
	if err != nil {
		return err
	}
	return os.WriteFile(m.file(i), text, 0o600)
}

// Start starts all members, and returns when they answer.
func (m *members) Start(ctx context.Context) error {
	m.procs = make([]*process, three)
	errs := make([]error, three)
	var wg sync.WaitGroup
	for i := range m.procs {
		wg.Go(func() { m.procs[i], errs[i] = spawn("etcd", m.file(i)) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := m.client.Get(ctx, "/")
	return err
}

// Kill ends all members with no word to anybody.
func (m *members) Kill() error {
	var errs []error
	for _, p := range m.procs {
		if p == nil {
			continue
		}
		took, err := p.cpu()
		errs = append(errs, err)
		m.gone += took
		p.kill()
	}
	m.procs = nil
	return errors.Join(errs...)
}

// Proxy starts etcd's gRPC proxy, and returns its endpoint.
func (m *members) Proxy() (endpoint string, err error) {
	addr := m.ports.Addrs[2*three]
	m.proxy, err = spawn(append([]string{"proxy", addr}, m.Endpoints()...)...)
	return "http://" + addr, err
}

// cpu is what members and proxy have taken so far.
func (m *members) cpu() (etcd, proxy time.Duration, err error) {
	etcd = m.gone
	for _, p := range m.procs {
		took, err := p.cpu()
		if err != nil {
			return 0, 0, err
		}
		etcd += took
	}
	if m.proxy != nil {
		proxy, err = m.proxy.cpu()
	}
	return etcd, proxy, err
}

// tell is how the members have fared since it was last asked: the calls of all, the most
// that one had at once, and what all are watched with now.
func (m *members) tell() (sum told, err error) {
	for _, p := range m.procs {
		t, err := p.tell()
		if err != nil {
			return sum, err
		}
		sum.Calls, sum.Peak = sum.Calls+t.Calls, max(sum.Peak, t.Peak)
		sum.Streams, sum.Watches = sum.Streams+t.Streams, sum.Watches+t.Watches
	}
	return sum, nil
}

// Close ends all.
func (m *members) Close() error {
	err := m.Kill()
	if m.proxy != nil {
		m.proxy.kill()
	}
	m.ports.Release()
	return errors.Join(err, m.client.Close())
}

// fill writes n keys below prefix, each of 109 bytes with its value.
func (m *members) fill(ctx context.Context, prefix string, n int) error {
	const most = 128 // etcd's default limit for a transaction
	for i := 0; i < n; i += most {
		var ops []clientv3.Op
		for j := i; j < min(i+most, n); j++ {
			ops = append(ops, clientv3.OpPut(fmt.Sprintf("%s/%05d", prefix, j), value(j)))
		}
		if _, err := m.client.Txn(ctx).Then(ops...).Commit(); err != nil {
			return err
		}
	}
	return nil
}

func value(i int) string {
	v := fmt.Sprintf("value %d ", i)
	return v + strings.Repeat("x", 91-len(v))
}
