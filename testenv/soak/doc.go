// Package soak has a real `podreload daemon` work for a long time, and for a short one much too
// much, and looks at what it holds: nothing may grow.
//
// TestSoak puts new numbers all the time, each to the key of one of many pods, of which a tenth
// runs nginx, checked and proved, and the others a shell that catches a signal. Meanwhile
// containers are killed and started again, and pods removed and made anew. Every few seconds the
// daemon is asked what it holds, and what lies on its disk; a probe puts a number and
// waits until a container has it. At the end each pod must have its last number, and
// of all that was looked at the last tenth may not be above the second by more than a bound.
//
// TestFlood puts ten thousand numbers a second under one prefix that one profile reads with a
// wait: the reloads are bounded by it, the memory by what is there, and the last state wins.
//
// TestKeys changes one of very many keys, of which two small files are made.
//
// In `make test` all are short; `make soak` is the long run, whose table stands in
// testenv/README.md. Times are printed, never asserted.
//
// Goroutines belong to a test's run (writers, churn, probe, sampler) and end with its context.
package soak
