// Package engine runs traces on a device: what goes in is an entry, what comes out are
// the events of a Path.
//
// An Engine is the subscriber of one device. It applies every entry to the Recorders of
// its traces, appends it to the recording, shows the plans what it caused, and hands the
// events to the goroutine that emits them. A plan says which probe goes next, a Crafter
// builds it.
package engine

import "errors"

// ErrEnded: nothing more is captured, though the trace is not over, and the capture
// doesn't say why.
var ErrEnded = errors.New("tracewire: the capture has ended")
