package status

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/podreload/podreload/daemonset"
)

// busy is a node with a bit of everything.
func busy() daemonset.View {
	two, yes, no := 2, true, false
	return daemonset.View{
		Listed: true, EtcdAway: "etcd is not available", EtcdErrors: 3,
		Profiles: []daemonset.ProfileView{{Name: "broken", Reason: "conf.d/broken.toml:1:9: …"}, {Name: "spare"}, {Name: "web"}},
		Problems: []string{"conf.d/away: permission denied"},
		Feeds:    []daemonset.FeedView{{Profile: "web", Reason: "no answer"}, {Profile: "web"}, {Profile: "api"}},
		Targets: []daemonset.TargetView{
			{
				Status:  daemonset.Status{ContainerID: "a", Namespace: "prod", Pod: "web-0", Name: "nginx", Profile: "web", State: daemonset.Live, Revision: 7},
				Results: map[daemonset.State]int{daemonset.Live: 4, daemonset.Refused: 1}, Took: &yes, TookAt: noon, Draining: &two,
			},
			{
				Status: daemonset.Status{ContainerID: "b", Namespace: "prod", Pod: "web-1", Name: "nginx", Profile: "web", State: daemonset.Refused, Revision: 6},
				Took:   &no, Behind: noon.Add(-time.Minute),
			},
			{Status: daemonset.Status{Namespace: "prod", Pod: "web-2", Profile: "web", State: daemonset.Ambiguous}},
			// The container that the first has replaced is about to go, under the same name.
			{
				Status:  daemonset.Status{ContainerID: "c", Namespace: "prod", Pod: "web-0", Name: "nginx", Profile: "web", State: daemonset.Live, Revision: 7},
				Results: map[daemonset.State]int{daemonset.Live: 1},
			},
			{Status: daemonset.Status{ContainerID: "d", Namespace: "pr\xffod", Pod: "bad", Name: "nginx", Profile: "web", State: daemonset.Waiting}},
		},
	}
}

func text(all []series) (lines []string) {
	for _, s := range all {
		if s.metric.name == reloads.name && s.value == 0 {
			continue // there are many
		}
		lines = append(lines, s.metric.name+"{"+strings.Join(s.labels, ",")+"} "+strconv.FormatFloat(s.value, 'f', -1, 64))
	}
	slices.Sort(lines)
	return lines
}

func TestSample(t *testing.T) {
	want := []string{
		"podreload_config_valid{} 0",
		"podreload_draining_workers{prod,web-0,nginx,web} 2",
		"podreload_etcd_alive{} 0",
		"podreload_etcd_errors_total{} 3",
		"podreload_lag_seconds{pr�od,bad,nginx,web} 0",
		"podreload_lag_seconds{prod,web-0,nginx,web} 0",
		"podreload_lag_seconds{prod,web-1,nginx,web} 60",
		"podreload_last_reload_success_timestamp_seconds{prod,web-0,nginx,web} 1767355200",
		"podreload_last_reload_successful{prod,web-0,nginx,web} 1",
		"podreload_last_reload_successful{prod,web-1,nginx,web} 0",
		"podreload_live_revision{prod,web-0,nginx,web} 7",
		"podreload_live_revision{prod,web-1,nginx,web} 6",
		"podreload_profile_valid{broken} 0",
		"podreload_profile_valid{spare} 1",
		"podreload_profile_valid{web} 1",
		"podreload_reloads_total{prod,web-0,nginx,web,Live} 5",
		"podreload_reloads_total{prod,web-0,nginx,web,Refused} 1",
		"podreload_runtime_alive{} 1",
		"podreload_target_state{pr�od,bad,nginx,web,Waiting} 1",
		"podreload_target_state{prod,web-0,nginx,web,Live} 1",
		"podreload_target_state{prod,web-1,nginx,web,Refused} 1",
		"podreload_target_state{prod,web-2,,web,Ambiguous} 1",
		"podreload_targets{broken,Live} 0",
		"podreload_targets{spare,Live} 0",
		"podreload_targets{web,Ambiguous} 1",
		"podreload_targets{web,Live} 2",
		"podreload_targets{web,Refused} 1",
		"podreload_targets{web,Waiting} 1",
		"podreload_watch_alive{api} 1",
		"podreload_watch_alive{web} 0",
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, text(sample(busy(), noon))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := sample(daemonset.View{}, noon); len(got) != 4 {
		t.Errorf("of an idle node %v", text(got))
	}
}

// TestLint gathers as a scrape does, and holds names, types and help to Prometheus's rules.
func TestLint(t *testing.T) {
	m := NewMetrics("v1", &node{view: busy()}, []string{"render", "check"})
	m.Phase("render", time.Millisecond)
	problems, err := testutil.GatherAndLint(m.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "podreload_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	var names []string
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		names = append(names, f.GetName())
	}
	for _, name := range []string{"go_goroutines", "process_open_fds", "podreload_build_info", "podreload_phase_duration_seconds"} {
		if !slices.Contains(names, name) {
			t.Errorf("no %s among %v", name, names)
		}
	}
	bad := prometheus.NewCounter(prometheus.CounterOpts{Name: "podreload_bad", Help: "x"})
	if problems, err := testutil.CollectAndLint(bad); err != nil || !slices.ContainsFunc(problems, func(p promlint.Problem) bool { return p.Metric == "podreload_bad" }) {
		t.Errorf("the linter finds nothing: %v, %v", problems, err)
	}
}

// TestDocumented holds the table of metrics and the alerts to the metrics that there are.
func TestDocumented(t *testing.T) {
	known := map[string][]string{"podreload_build_info": {"version", "goversion"}, "podreload_phase_duration_seconds": {"phase"}}
	for _, m := range ofNode {
		known[m.name] = m.labels
	}
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for line := range strings.Lines(string(readme)) {
		if name, ok := strings.CutPrefix(line, "| `podreload_"); ok {
			name, rest, _ := strings.Cut("podreload_"+name, "`")
			rows[name] = rest
		}
	}
	for name, labels := range known {
		row, ok := rows[name]
		if !ok {
			t.Errorf("%s is not in the table of ../README.md", name)
		}
		for _, l := range labels {
			if !strings.Contains(row, "`"+l+"`") {
				t.Errorf("the table's row of %s does not name its label %s", name, l)
			}
		}
	}
	for name := range rows {
		if _, ok := known[name]; !ok {
			t.Errorf("the table has %s, which is not there", name)
		}
	}
	files, err := filepath.Glob("../manifests/monitoring/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests of the overlay monitoring: %v", err)
	}
	used := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`\bpodreload_\w+`).FindAllString(string(text), -1) {
			used++
			name = regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
			if _, ok := known[name]; !ok {
				t.Errorf("%s uses %s, which is not there", file, name)
			}
		}
	}
	if used < 5 {
		t.Errorf("the alerts use %d metrics only", used)
	}
}
