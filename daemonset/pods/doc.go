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
// [Starts] tells of containers before they run, as a plugin of containerd's NRI or else by
// events. It takes from those which container it is, and its process, and no more: what
// it is comes from the metadata as ever.
//
// What it does not do: it chooses no profile (package agent), judges no
// runtime (package nsenter) and changes nothing in containerd.
//
// Goroutines: [Client.Watch] runs in its caller's goroutine and owns one more,
// the receiver of containerd's event stream, which has ended when Watch
// returns. [Starts.Watch] owns the plugin's connection, the receiver of events and the calls under
// way, which have ended when it returns. The connection's goroutines belong to the [Client] and end with
// [Client.Close].
package pods
