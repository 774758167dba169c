package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/podreload/podreload/testenv"
)

// deployment is nginx as a person would deploy it. PROFILE is its label, SPEC and CONTAINER are lines of its pod's and
// its container's.
const deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME}
spec:
  selector: {matchLabels: {app: NAME}}
  strategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}
  template:
    metadata: {labels: {app: NAME, podreload.io/profile: PROFILE}}
    spec:
      terminationGracePeriodSeconds: 5
      automountServiceAccountToken: false
      SPEC
      containers:
        - name: nginx
          image: podreload.io/testenv:latest
          imagePullPolicy: Never
          readinessProbe: {httpGet: {path: /, port: 80}, periodSeconds: 1}
          CONTAINER
`

// deploy deploys nginx and waits until it is ready.
func (r *rig) deploy(name, spec, container string) {
	r.t.Helper()
	r.deployFor("web", name, spec, container)
}

// deployFor is deploy with another profile.
func (r *rig) deployFor(profile, name, spec, container string) {
	r.t.Helper()
	r.apply(strings.NewReplacer("NAME", name, "PROFILE", profile, "SPEC", spec, "CONTAINER", container).Replace(deployment))
	r.rolledOut("default", "deployment/"+name)
}

// podIP is the address of the one pod with that label app.
func (r *rig) podIP(app string) string {
	r.t.Helper()
	ips := strings.Fields(r.kubectl("get", "pods", "-l", "app="+app, "--field-selector", "status.phase=Running", "-o", "jsonpath={.items[*].status.podIP}"))
	if len(ips) != 1 {
		r.t.Fatalf("pods of %s have addresses %q, want one", app, ips)
	}
	return ips[0]
}

// client makes a connection for each request, as Connection: close does: only those are
// without loss over an nginx reload, see RFC 9112, 9.5.
var client = http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

func get(ctx context.Context, ip string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+ip+"/", nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return strings.TrimSpace(string(body)), err
}

// served waits until a pod serves text.
func (r *rig) served(ip, text string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), waitTimeout)
	defer cancel()
	if err := testenv.Poll(ctx, func() error {
		got, err := get(ctx, ip)
		if err == nil && got != text {
			err = fmt.Errorf("got %q", got)
		}
		return err
	}); err != nil {
		r.t.Fatalf("%s does not serve %q: %v", ip, text, err)
	}
}

// load requests from a pod until it is told to stop, and then tells how many succeeded.
// A request that fails fails the test.
func (r *rig) load(ip string) (stop func() int64) {
	ctx, cancel := context.WithCancel(r.t.Context())
	var done sync.WaitGroup
	var good atomic.Int64
	for range 4 {
		done.Go(func() {
			pace := time.NewTicker(5 * time.Millisecond) // a load, not a siege: 800 a second at most
			defer pace.Stop()
			for {
				if _, err := get(context.WithoutCancel(ctx), ip); err != nil {
					r.t.Errorf("a request is lost: %v", err)
				} else {
					good.Add(1)
				}
				select {
				case <-pace.C:
				case <-ctx.Done():
					return
				}
			}
		})
	}
	return func() int64 {
		cancel()
		done.Wait()
		return good.Load()
	}
}
