// Command rules reads the alerts of a PrometheusRule as Prometheus would: each expression with
// its own parser, and the annotations' templates. It is a module of its own, so that podreload
// needs nothing of Prometheus's server. That the metrics named are there is a test of
// daemonset/status.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"text/template"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
	"sigs.k8s.io/yaml"
)

type rule struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	For         string            `json:"for"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

func main() {
	if len(os.Args) != 2 {
		fail(errors.New("rules FILE"))
	}
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		fail(err)
	}
	var file struct {
		Spec struct {
			Groups []struct {
				Rules []rule `json:"rules"`
			} `json:"groups"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		fail(err)
	}
	n := 0
	for _, group := range file.Spec.Groups {
		for _, r := range group.Rules {
			n++
			if err := check(r); err != nil {
				fail(fmt.Errorf("%s: %w", r.Alert, err))
			}
		}
	}
	if n == 0 {
		fail(fmt.Errorf("%s has no rules", os.Args[1]))
	}
}

func check(r rule) error {
	if _, err := parser.NewParser(parser.Options{}).ParseExpr(r.Expr); err != nil {
		return fmt.Errorf("%s: %w", r.Expr, err)
	}
	if _, err := time.ParseDuration(r.For); err != nil {
		return err
	}
	if r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
		return errors.New("it needs a severity, a summary and a description")
	}
	for _, text := range r.Annotations {
		const given = "{{$labels := .Labels}}{{$value := .Value}}"
		t, err := template.New("annotation").Funcs(template.FuncMap{"humanizeDuration": fmt.Sprint}).Parse(given + text)
		if err != nil {
			return err
		}
		if err := t.Execute(io.Discard, map[string]any{"Labels": map[string]string{}, "Value": 1.0}); err != nil {
			return err
		}
	}
	return nil
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "rules:", err)
	os.Exit(1)
}
