// Package faults kills everything that podreload depends on, again and again, while it
// works: the agent, the shim, nginx, the container, containerd, etcd; with SIGKILL, at random
// moments, under constant updates and HTTP load. Its one long test is TestFaults.
//
// Who is who in it: a writer puts a new number to etcd all the time, as two files that
// must agree, and now and then as one that nginx does not take. Clients in each pod fetch that
// number from nginx, readers read the files as the containers see them, both without a pause.
// A round kills one of the victims a moment after a put, brings it back as its own
// supervisor would (systemd, the kubelet, a shell), and ends when every target is Live at what
// was last put. What must hold is checked all the time, in each round, and at the end
// (leaks).
//
// What is not tried: a power loss, a full disk, a container that fights back; the tests of
// packages shim and nsenter do that.
//
// Goroutines belong to the rig (writer, clients, readers) and end with its context; each child process has one
// that waits for it. No child outlives the test process.
package faults
