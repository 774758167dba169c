// Command fleet measures what many agents cost an etcd of three members, and prints tables,
// straight lines through them, and a plot. Run it with `make bench-fleet`.
//
// An agent is here what it has of etcd: a [source.Client] that follows a profile of 20 keys
// and a prefix of 100 that all agents share. They run in this process; each member of etcd, and
// etcd's gRPC proxy, is a process of its own (this program again: child.go), so that
// /proc tells what it has cost. Bytes are what this process has read and written, which is
// what the agents say and hear: connections end here and nothing else of size is read.
//
// It needs no root, listens on loopback only, and leaves nothing: the children end with it.
// What a reload costs a node is measured by testenv/bench.
//
// Goroutines: one an agent, which waits for changes and ends with it; one a child, which
// waits for its end.
package main
