// Package status tells people and machines who watch the node what is live where: the last
// events ([Board]), metrics ([Metrics]), and a server ([Server]) of two faces. One is the
// socket below the state directory, root's alone, behind `podreload status` and `events`
// ([Client]); the other, where it is asked for, an address with /metrics, /healthz and
// /readyz and nothing that changes or betrays anything.
//
// How the node stands is not kept here: it is asked of the agent ([Node]) whenever somebody
// looks, so that what is shown cannot differ from what is, and what has gone leaves no trace.
// Only what happened is kept: the last events, and how long things took. Nothing here can
// hold up the agent: an event is put down and handed on without waiting, and who reads too
// slowly is dropped.
//
// What is not here: the words (package daemonset), the record of what was changed by whom,
// which outlives the agent (state), and the log, which the agent writes.
//
// Goroutines: [Server.Run] owns those of the server and returns when they have ended. A
// [Client] has none of its own.
package status
