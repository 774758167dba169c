package status

import (
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/podreload/podreload/daemonset"
)

// Metrics are what Prometheus is told. All but the phases are read from the node at each
// scrape: the series of a container go with it, and there are never more than what runs.
type Metrics struct {
	registry *prometheus.Registry
	phases   *prometheus.HistogramVec
}

// NewMetrics are the metrics of a node. phases are the parts of an apply that [Metrics.Phase]
// will be told of.
func NewMetrics(version string, node Node, phases []string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		phases: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "podreload_phase_duration_seconds",
			Help:    "How long the parts of an apply took, whether they succeeded or not.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"phase"}),
	}
	for _, p := range phases {
		m.phases.WithLabelValues(p)
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "podreload_build_info", Help: "Always 1; the labels say which podreload this is.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(m.phases, build, nodeCollector{node},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Phase counts one part of an apply.
func (m *Metrics) Phase(name string, took time.Duration) {
	m.phases.WithLabelValues(name).Observe(took.Seconds())
}

// metric describes one metric of the node.
type metric struct {
	name, help string
	labels     []string
	counter    bool
}

var ofTarget = []string{"namespace", "pod", "container", "profile"}

var (
	reloads = metric{"podreload_reloads_total",
		"Applies by what they came to: Live (a proved reload), Applied (in place, nothing proves it), Refused, RolledBack or Failed; of failures in a row that are the same, the first.",
		[]string{"namespace", "pod", "container", "profile", "result"}, true}
	lastSuccessful = metric{"podreload_last_reload_successful", "Whether the last change of the configuration took.", ofTarget, false}
	lastSuccess    = metric{"podreload_last_reload_success_timestamp_seconds", "When a change of the configuration took last.", ofTarget, false}
	targets        = metric{"podreload_targets", "Targets by state; profiles of conf.d that have none as well.", []string{"profile", "state"}, false}
	targetState    = metric{"podreload_target_state", "Always 1; the label says how the target stands.",
		[]string{"namespace", "pod", "container", "profile", "state"}, false}
	liveRevision = metric{"podreload_live_revision", "The revision of etcd that is in place.", ofTarget, false}
	lag          = metric{"podreload_lag_seconds",
		"How long etcd has been known to hold another configuration than what is in place; 0 when it does not.", ofTarget, false}
	draining     = metric{"podreload_draining_workers", "Old workers of the server that still finish their requests.", ofTarget, false}
	profileValid = metric{"podreload_profile_valid", "Whether the profile can be applied; 0 when its files in conf.d have an error.", []string{"profile"}, false}
	configValid  = metric{"podreload_config_valid", "Whether conf.d could be read whole; what is wrong in a profile's own files is that profile's.", nil, false}
	watchAlive   = metric{"podreload_watch_alive", "Whether the keys of the profile are followed in etcd; 0 when those of any pod are not.", []string{"profile"}, false}
	etcdErrors   = metric{"podreload_etcd_errors_total", "How often reading from etcd began to fail.", nil, true}
	etcdAlive    = metric{"podreload_etcd_alive", "Whether etcd answers.", nil, false}
	runtimeAlive = metric{"podreload_runtime_alive", "Whether containerd answers.", nil, false}
)

var ofNode = []metric{reloads, lastSuccessful, lastSuccess, targets, targetState, liveRevision, lag, draining, profileValid, configValid, watchAlive, etcdErrors, etcdAlive, runtimeAlive}

var descriptions = func() map[string]*prometheus.Desc {
	all := map[string]*prometheus.Desc{}
	for _, m := range ofNode {
		all[m.name] = prometheus.NewDesc(m.name, m.help, m.labels, nil)
	}
	return all
}()

// nodeCollector reads the node when somebody asks.
type nodeCollector struct{ node Node }

// Describe is that of [prometheus.Collector].
func (c nodeCollector) Describe(descs chan<- *prometheus.Desc) {
	for _, m := range ofNode {
		descs <- descriptions[m.name]
	}
}

// Collect is that of [prometheus.Collector].
func (c nodeCollector) Collect(out chan<- prometheus.Metric) {
	for _, s := range sample(c.node.View(), time.Now()) {
		kind := prometheus.GaugeValue
		if s.metric.counter {
			kind = prometheus.CounterValue
		}
		out <- prometheus.MustNewConstMetric(descriptions[s.metric.name], kind, s.value, s.labels...)
	}
}

// series is one value with its labels.
type series struct {
	metric metric
	labels []string
	value  float64
}

// sample makes the series of a view.
func sample(v daemonset.View, now time.Time) []series {
	var s samples
	s.add(etcdErrors, float64(v.EtcdErrors))
	s.set(etcdAlive, bit(v.EtcdAway == ""))
	s.set(runtimeAlive, bit(v.RuntimeAway == ""))
	s.set(configValid, bit(len(v.Problems) == 0))
	for _, f := range v.Feeds {
		s.least(watchAlive, bit(f.Reason == ""), f.Profile)
	}
	for _, p := range v.Profiles {
		s.add(targets, 0, p.Name, string(daemonset.Live))
		s.set(profileValid, bit(p.Reason == ""), p.Name)
	}
	for _, t := range v.Targets {
		s.target(t, now)
	}
	return s.all
}

func (s *samples) target(t daemonset.TargetView, now time.Time) {
	who := []string{t.Namespace, t.Pod, t.Name, t.Profile}
	and := func(label daemonset.State) []string { return append(who[:4:4], string(label)) }
	s.add(targets, 1, t.Profile, string(t.State))
	s.set(targetState, 1, and(t.State)...)
	if t.ContainerID == "" {
		return
	}
	for _, result := range []daemonset.State{daemonset.Live, daemonset.Applied, daemonset.Refused, daemonset.RolledBack, daemonset.Failed} {
		s.add(reloads, float64(t.Results[result]), and(result)...)
	}
	if t.Took != nil {
		s.set(lastSuccessful, bit(*t.Took), who...)
	}
	if !t.TookAt.IsZero() {
		s.set(lastSuccess, float64(t.TookAt.UnixMilli())/1000, who...)
	}
	if t.Revision > 0 {
		s.set(liveRevision, float64(t.Revision), who...)
	}
	behind := 0.0
	if !t.Behind.IsZero() {
		behind = max(0, now.Sub(t.Behind).Seconds())
	}
	s.set(lag, behind, who...)
	if t.Draining != nil {
		s.set(draining, float64(*t.Draining), who...)
	}
}

// samples hold each series once: containers of the same name, of which one is about to go,
// must not spoil the whole scrape.
type samples struct {
	all []series
	at  map[string]int
}

func (s *samples) find(m metric, labels []string) (*series, bool) {
	for i := range labels {
		labels[i] = strings.ToValidUTF8(labels[i], "�")
	}
	key := m.name + "\x00" + strings.Join(labels, "\x00")
	if s.at == nil {
		s.at = map[string]int{}
	}
	i, known := s.at[key]
	if !known {
		i = len(s.all)
		s.at[key], s.all = i, append(s.all, series{metric: m, labels: labels})
	}
	return &s.all[i], known
}

func (s *samples) set(m metric, value float64, labels ...string) {
	one, _ := s.find(m, labels)
	one.value = value
}

func (s *samples) add(m metric, value float64, labels ...string) {
	one, _ := s.find(m, labels)
	one.value += value
}

func (s *samples) least(m metric, value float64, labels ...string) {
	one, known := s.find(m, labels)
	if !known || value < one.value {
		one.value = value
	}
}

func bit(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
