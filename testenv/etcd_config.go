package testenv

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// addresses are where an etcd listens, each host:port.
type addresses struct {
	Client string // Endpoint
	Plain  string // as Client, without TLS
	Peer   string
}

// noted returns the addresses that the file holds from before, else free ones, which it notes there.
// The ports are held: an etcd that is stopped for a while comes back where it was.
func noted(file string) (a addresses, held *Ports, err error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		if held, err = HoldPorts(3); err != nil {
			return a, nil, err
		}
		a = addresses{Client: held.Addrs[0], Plain: held.Addrs[1], Peer: held.Addrs[2]}
		if text, err = json.Marshal(a); err == nil {
			err = os.WriteFile(file, text, 0o600)
		}
		if err != nil {
			held.Release()
		}
		return a, held, err
	}
	if err != nil {
		return a, nil, err
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return a, nil, fmt.Errorf("%s: %w", file, err)
	}
	held, err = holdAgain(a.Client, a.Plain, a.Peer)
	return a, held, err
}

// writeConfig writes the configuration file, which is the same for all versions: each ignores
// what it does not know.
func (e *Etcd) writeConfig() error {
	listen := e.Endpoint()
	if e.config.Cert != "" {
		listen += "," + e.Plain()
	}
	c := map[string]any{
		"name":     e.member.name,
		"data-dir": e.data(),
		"logger":   "zap", "log-level": "warn", "log-outputs": []string{e.log()},
		"unsafe-no-fsync":    true,                            // the data need not outlive the machine
		"heartbeat-interval": 20, "election-timeout": 20 * 20, // the network is this machine: be quick
		"listen-client-urls": listen, "advertise-client-urls": e.Endpoint(),
		"listen-peer-urls": "http://" + e.addrs.Peer, "initial-advertise-peer-urls": "http://" + e.member.advertise,
		"initial-cluster": e.member.cluster,
		"bcrypt-cost":     4, // passwords of tests need no protection
	}
	if e.member.joins {
		c["initial-cluster-state"] = "existing"
	}
	if e.config.AuthToken != "" {
		c["auth-token"] = e.config.AuthToken
	}
	if e.config.Cert != "" {
		c["client-transport-security"] = map[string]any{
			"cert-file": e.config.Cert, "key-file": e.config.Key,
			"trusted-ca-file": e.config.ClientCA, "client-cert-auth": e.config.ClientCA != "",
		}
	}
	text, err := json.Marshal(c) // JSON is YAML
	if err != nil {
		return err
	}
	return os.WriteFile(e.file(), text, 0o600)
}
