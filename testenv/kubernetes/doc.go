// Package kubernetes gives tests a real Kubernetes of one node: API server, controller
// manager, scheduler and kubelet as `make parts-kubernetes` builds them, on a [testenv.Node]'s
// containerd and an etcd in this process ([Start]).
//
// The cluster lives in a network namespace of its own, which [Isolate] moves the whole test
// process to, so that test code reaches pods and API server by plain connections and nothing
// of the machine's network changes. It does not move to another mount or PID namespace: the
// agent under test finds "the node" through process 1.
//
// Everything has a place below one temporary folder, but for what the kubelet does not let us
// choose: /var/lib/kubelet and /var/log/containers. A machine that has a kubelet of its own is
// therefore refused. [Cluster.Close] takes all of it away, and the next [Start] what a killed
// test has left.
//
// What it is not: it has no DNS, no kube-proxy, so no Services, and no network policy.
//
// hyperkube is a module of its own, which nothing here imports: Kubernetes' dependencies stay
// out of podreload's.
package kubernetes
