// Package turns bounds how much of one kind of work a node has under way at once, and shares
// that out fairly: who waits is in a group, best a profile, and the groups take turns. So one pod
// of a profile does not wait until the 250 of another are done.
//
// What it does not do: it does not know what the work is or how long it may take, and takes no turn back.
//
// Goroutines: none.
package turns
