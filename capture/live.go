package capture

import (
	"errors"
	"time"
)

// Errors of a live handle. Those returned wrap one of them, or say what
// libpcap said.
var (
	// ErrPermission: this process may not capture or send frames.
	ErrPermission = errors.New("no permission to capture and send frames")
	// ErrClosed: the handle was closed.
	ErrClosed = errors.New("closed")
	// ErrDown: the interface is down, or was set down.
	ErrDown = errors.New("the interface is down")
	// ErrGone: there is no such interface, or it was removed.
	ErrGone = errors.New("no such interface")
	// ErrBusy: the interface's queue is full; a later frame may pass.
	ErrBusy = errors.New("the interface's queue is full")
	// ErrUnsupported: this build has no live capture.
	ErrUnsupported = errors.New("live capture needs Linux and a build with cgo and libpcap")
)

// LiveOptions say what a Live captures.
type LiveOptions struct {
	Interface string

	// Filter is a filter of libpcap's (pcap-filter(7)), written for frames
	// without VLAN tags; frames that are tagged and would match without their
	// tags are captured too. Empty means everything.
	Filter string

	// SnapLen is how many bytes of a frame are kept; 0 means 2048.
	SnapLen int

	// Buffer is the size of the kernel's ring in bytes; 0 means 4 MiB.
	Buffer int
}

// Stats are the counts of a capture, as its kernel side keeps them.
type Stats struct {
	Received int // frames that passed the filter
	Dropped  int // frames lost since the ring was full, or by the interface
}

const (
	defaultSnapLen = 2048
	defaultBuffer  = 4 << 20

	// pollInterval bounds how long a read waits for a frame, and so how soon
	// a watermark, the end of a context or Close is noticed.
	pollInterval = 20 * time.Millisecond

	// linkInterval is how often an idle handle looks whether its interface is
	// still up: libpcap doesn't say.
	linkInterval = 250 * time.Millisecond
)
