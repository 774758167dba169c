// Package agent is the reconcile loop: it decides which container gets which
// files and makes it so, again and again, until the server runs with them.
//
// Data goes one way: source → template → check → nsenter and shim → verify → state.
// This package wires those, and holds what belongs to none of them: the choice
// of containers ([Choose]), one apply ([Applier]) and the loop ([Agent]). The
// manual commands use the first two, the daemon all three.
//
// An apply is a transaction, and reads from top to bottom: the goal (pass.go), the
// check (try.go), the commit and its proof (change.go), reload commands (reload.go), the
// way back (back.go). What puts it off is in hold.go and empty.go, what templates ask
// inside in inside.go, and how a profile goes in leave.go. What a container gets that does not run
// yet is in startapply.go, by whose choice in startchoice.go. The record says at each moment
// how the next process finishes or undoes it. What of all this can be seen from outside is in
// observe.go and stand.go.
//
// The loop is level-triggered. An event (a key, a container, a timer) only
// wakes the worker of a target; what is done follows from what is true then:
// the newest snapshot, the record of the target, the files inside. A missed or
// doubled event therefore costs nothing but time.
//
// Goroutines: [Agent.Run] owns all of them and returns when the last has
// ended: one that follows the runtime, one that is told of containers before they start (and
// its own, while one waits), one that follows conf.d, one for each set of keys
// that a profile reads (feed), one that keeps what has shown to be good (keeper), one a target
// that applies (worker). A worker works on one container only, so one that hangs delays no other.
//
// What is not here: how a server is found and proved (verify), how a configuration
// is tried (check), how bytes get inside (nsenter, shim), how a command is run there (exec)
// and a question answered (facts), what the records look like on disk (state).
package agent
