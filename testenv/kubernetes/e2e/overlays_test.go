package e2e

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/podreload/podreload/testenv"
)

// operatorKind is one of the Prometheus operator's, of which the API server here knows no more than the name: what
// is in it is looked at elsewhere (testenv/rules).
const operatorKind = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: PLURAL.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  scope: Namespaced
  names: {kind: KIND, plural: PLURAL}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
---
`

// testOverlays has the API server look at every folder of manifests, as it is.
func (r *rig) testOverlays() {
	root, err := testenv.Repository()
	if err != nil {
		r.t.Fatal(err)
	}
	folders, err := filepath.Glob(filepath.Join(root, "daemonset", "manifests", "*"))
	if err != nil || len(folders) == 0 {
		r.t.Fatalf("no manifests: %v", err)
	}
	for kind, plural := range map[string]string{"PodMonitor": "podmonitors", "PrometheusRule": "prometheusrules"} {
		r.apply(strings.NewReplacer("KIND", kind, "PLURAL", plural).Replace(operatorKind))
		r.kubectl("wait", "--for=condition=Established", "crd/"+plural+".monitoring.coreos.com", "--timeout", waitTimeout.String())
	}
	for _, folder := range folders {
		ctx, cancel := context.WithTimeout(r.t.Context(), waitTimeout)
		defer cancel()
		if _, err := r.Kubectl(ctx, "apply", "-k", folder, "--dry-run=server", "--validate=strict"); err != nil {
			r.t.Error(err)
		}
	}
}
