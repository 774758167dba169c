// Package testenv gives tests, the demo and the benchmarks the real parts that
// podreload works on: a private containerd ([StartNode]), pods made through CRI
// as the kubelet makes them ([Node.RunPod]), and an etcd in this process
// ([StartEtcd]), the distribution's ([StartEtcdWith]) or one of several members ([StartCluster]).
// testing.go wraps them for testing.TB.
//
// It mocks nothing and it touches nothing of the machine's own: containerd gets a
// root, state, socket and cgroup of its own below one temporary folder, pods
// have a network namespace with loopback only, and Close takes all of it away.
// It does not install anything either: the parts come from `make parts`.
//
// What it is not: a kubelet (no probes, no restart policy, no volumes but bind
// mounts) and not a library for the agent, which must never import it.
//
// One goroutine belongs to a running containerd (it waits for the process) and
// ends with it; etcd's end with [Etcd.Stop].
package testenv
