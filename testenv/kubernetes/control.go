package kubernetes

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/podreload/podreload/testenv"
)

const server = "https://" + NodeIP + ":6443"

// kubeconfig trusts whatever answers in our network namespace: there is only one.
const kubeconfig = `apiVersion: v1
kind: Config
clusters: [{name: testenv, cluster: {server: "SERVER", insecure-skip-tls-verify: true}}]
users: [{name: admin, user: {token: TOKEN}}]
contexts: [{name: testenv, context: {cluster: testenv, user: admin}}]
current-context: testenv
`

const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: NODEIP
healthzBindAddress: 127.0.0.1
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
containerRuntimeEndpoint: unix://SOCKET
cgroupDriver: cgroupfs
cgroupRoot: CGROUP
failCgroupV1: false
failSwapOn: false
enforceNodeAllocatable: []
localStorageCapacityIsolation: false
makeIPTablesUtilChains: false
podLogsDir: DIR/pods
staticPodPath: ""
resolvConf: DIR/resolv.conf
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard: {memory.available: 100Mi}
evictionPressureTransitionPeriod: 1s
# What a pod's volumes and probes say is seen in seconds, not in a minute.
syncFrequency: 2s
nodeStatusUpdateFrequency: 2s
`

// fill puts this cluster's values into a configuration.
func (c *Cluster) fill(text string) string {
	values := []string{"DIR", c.dir, "SERVER", server, "NODEIP", NodeIP, "SUBNET", podSubnet}
	if c.node != nil {
		values = append(values, "SOCKET", c.node.Socket(), "CGROUP", c.node.Cgroup())
	}
	return strings.NewReplacer(values...).Replace(text)
}

// configure writes what the parts read.
func (c *Cluster) configure() error {
	var secret [16]byte
	rand.Read(secret[:]) // never fails
	token := hex.EncodeToString(secret[:])
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	var errs []error
	for name, text := range map[string]string{
		"tokens":            token + ",admin,admin,system:masters\n",
		"kubeconfig":        strings.ReplaceAll(c.fill(kubeconfig), "TOKEN", token),
		"kubelet.yaml":      c.fill(kubeletConfig),
		"resolv.conf":       "nameserver " + NodeIP + "\n", // nobody answers there, and nobody is asked
		"service-account":   string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})),
		"audit-policy.yaml": "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n",
	} {
		errs = append(errs, os.WriteFile(c.path(name), []byte(text), 0o600))
	}
	return errors.Join(errs...)
}

// control are the parts but the kubelet.
func (c *Cluster) control() []*part {
	return []*part{
		{name: apiServer, args: []string{
			"--etcd-servers", c.etcd.Endpoint(), "--bind-address", NodeIP, "--advertise-address", NodeIP, "--secure-port", "6443",
			"--cert-dir", c.path("pki"), "--token-auth-file", c.path("tokens"), "--authorization-mode", "Node,RBAC",
			"--service-cluster-ip-range", serviceCIDR, "--endpoint-reconciler-type", "none",
			"--service-account-issuer", server, "--service-account-key-file", c.path("service-account"),
			"--service-account-signing-key-file", c.path("service-account"),
			"--kubelet-preferred-address-types", "InternalIP", "--allow-privileged=true",
			"--audit-policy-file", c.path("audit-policy.yaml"), "--audit-log-path", c.path("audit.log"),
		}},
		{name: "kube-controller-manager", args: []string{
			"--kubeconfig", c.Kubeconfig(), "--bind-address", "127.0.0.1", "--leader-elect=false",
			"--service-account-private-key-file", c.path("service-account"), "--allocate-node-cidrs=false",
			"--node-monitor-period", "1s",
		}},
		{name: "kube-scheduler", args: []string{"--kubeconfig", c.Kubeconfig(), "--bind-address", "127.0.0.1", "--leader-elect=false"}},
	}
}

func (c *Cluster) kubelet() *part {
	return &part{name: kubelet, args: []string{
		"--config", c.path("kubelet.yaml"), "--kubeconfig", c.Kubeconfig(), "--root-dir", c.path("kubelet"), "--cert-dir", c.path("pki"),
		"--hostname-override", NodeName, "--node-ip", NodeIP,
	}}
}

// apiReady waits until the API server says that it is ready.
func (c *Cluster) apiReady(ctx context.Context, p *part) error {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		// It has made its certificate for itself.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	defer client.CloseIdleConnections()
	return testenv.Poll(ctx, func() error {
		if err := c.running(p); err != nil {
			return err
		}
		r, err := client.Get(server + "/readyz")
		if err != nil {
			return err
		}
		defer r.Body.Close()
		body, _ := io.ReadAll(io.LimitReader(r.Body, 4096))
		if r.StatusCode != http.StatusOK {
			return fmt.Errorf("the API server is not ready: %s", body)
		}
		return nil
	})
}

// running is an error that ends a [testenv.Poll] once one of the parts has ended.
func (c *Cluster) running(parts ...*part) error {
	for _, p := range parts {
		select {
		case <-p.exited:
			return testenv.Final(fmt.Errorf("%s ended; see %s", p.name, c.Log(p.name)))
		default:
		}
	}
	return nil
}

// nodeReady waits until pods can be scheduled.
func (c *Cluster) nodeReady(ctx context.Context) error {
	return testenv.Poll(ctx, func() error {
		if err := c.running(c.parts...); err != nil {
			return err
		}
		if _, err := c.Kubectl(ctx, "get", "serviceaccount", "default"); err != nil {
			return err
		}
		out, err := c.Kubectl(ctx, "get", "node", NodeName, "-o", "jsonpath={.status.conditions[?(@.type=='Ready')].status} {.spec.taints}")
		if err == nil && strings.TrimSpace(out) != "True" {
			err = fmt.Errorf("node is not ready: %q", out)
		}
		return err
	})
}
