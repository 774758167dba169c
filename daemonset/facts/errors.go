package facts

import "errors"

// The ways in which a question can go without an answer. That there is no such file, name or
// interface is an answer.
var (
	// ErrNoAnswer: no name server answered, or none could say. A later pass may know more.
	ErrNoAnswer = errors.New("no name server has an answer")

	// ErrTooMany: the pass has asked more than it may.
	ErrTooMany = errors.New("too many questions")

	// ErrUnknown: there is no such user or group in the container.
	ErrUnknown = errors.New("unknown in the container")
)
