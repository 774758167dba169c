// Package pods asks containerd which containers of pods run on this node, and
// what the runtime knows of each: its pod's name, labels and annotations, its
// init process, and the facts of its OCI spec.
//
// Everything comes from containerd's own API, with no Kubernetes API server in
// between. That has one consequence a person must know: labels and annotations
// are those the pod was created with, since the kubelet hands them over once.
//
// What is trusted: the metadata that containerd's CRI plugin keeps beside a
// container and its sandbox. A container's labels are never read, because
// containerd mixes the labels of its image into them.
//
// What it does not do: it chooses no profile (package agent), judges no
// runtime (package nsenter) and changes nothing in containerd.
//
// Goroutines: [Client.Watch] runs in its caller's goroutine and owns one more,
// the receiver of containerd's event stream, which has ended when Watch
// returns. The connection's goroutines belong to the [Client] and end with
// [Client.Close].
package pods
