// Package frame is the form in which the agent and its shim talk over their
// socket: a kind, a length, a body. The descriptors that go with a request are
// attached to the first byte of its header.
//
// It knows neither side and starts nothing.
package frame
