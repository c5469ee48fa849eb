// Package netns runs a function in another network namespace: with the
// interfaces, routes and sockets that are there.
//
// A namespace belongs to a thread. What f opens, in a call of Do, belongs to the
// namespace for good, and may be used anywhere; but a goroutine that f starts
// runs on another thread, outside. Inherit takes it along.
package netns

import "errors"

// Errors that a caller may want to tell apart. Those returned wrap one of them,
// or say what the system said.
var (
	ErrUnknown     = errors.New("no such network namespace")
	ErrPermission  = errors.New("no permission to enter a network namespace")
	ErrUnsupported = errors.New("network namespaces are for Linux")
)
