// Package check tries a new configuration where the running container cannot
// see it. A [Trial] goes in, a pass or a [Refusal] comes out.
//
// The try is made in a twin: a short-lived container, made by the target's own
// OCI runtime from the target's own OCI spec, so that it holds the privileges that
// the target holds and no other. Its root and each writable directory volume are
// overlays with the live ones below; its network, IPC and UTS namespaces are the
// target's. The caller's Write puts the files in by the same crossing that
// applies them later, Verify proves that the twin sees them, then the command runs.
// README.md has the steps, and why they are so.
//
// It also keeps which configurations servers were proved with ([Checker.Prove]), for containers that
// are about to start and cannot wait for a try.
//
// What it does not do: it decides nothing about files (package template), writes
// none itself (nsenter and shim do), and asks nothing of containerd, which does not
// see a twin. It tells one runtime only from others: what is not run on the node's
// kernel by a runc-like program is ErrUnsupported.
//
// [Open] makes the process a child subreaper (prctl(2)), since a twin's init
// is an orphan as soon as the runtime has made it. This package reaps what it started
// and nothing else.
//
// Goroutines: a [Checker] owns one for each trial under way, one for each twin that
// is cleared away behind its answer, one for each look at a volume, and one for each OCI
// runtime that was killed, until it can be collected; [Checker.Close] ends and awaits them. One that reads what a twin says
// ends with the twin.
package check
