package capture

import (
	"errors"
	"net"
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
	// ErrAddress: the interface lost the address that probes come from.
	ErrAddress = errors.New("the source address was removed")
	// ErrBusy: the interface's queue is full; a later frame may pass.
	ErrBusy = errors.New("the interface's queue is full")
	// ErrUnsupported: this build has no live capture.
	ErrUnsupported = errors.New("live capture needs Linux and a build with cgo and libpcap")
)

// LiveOptions say what a Live captures.
type LiveOptions struct {
	Interface string

	// MAC is the address that this host's frames come from, where it is not
	// the interface's own: on a port of a bridge it is the bridge's.
	MAC net.HardwareAddr

	// Filter is a filter of libpcap's (pcap-filter(7)), written for frames
	// without VLAN tags; frames that are tagged and would match without their
	// tags are captured too. It must not say vlan or ether, which not every
	// link has. Empty means everything. See FilterICMP.
	Filter string

	// SnapLen is how many bytes of a frame are kept; 0 means 2048.
	SnapLen int

	// Buffer is the size of the kernel's ring in bytes; 0 means 4 MiB.
	Buffer int

	// Idle is after how long without a frame a watermark comes, and a Live that
	// sleeps wakes up; 0 means 20 ms, and 2 ms is the least. A caller that requests
	// watermarks when it needs them (Live.RequestWatermark) can choose a long one.
	Idle time.Duration

	// ReceiveOnly opens no handle to send by: Inject fails.
	ReceiveOnly bool

	poll bool // as where libpcap's socket isn't found
}

// FilterICMP is a Filter for the ICMP messages of both families. libpcap's icmp6
// looks no further than at the first header that follows IPv6's (RFC 8200,
// section 4), so whatever begins with one that something may hide behind passes.
const FilterICMP = "icmp or icmp6 or " + filterHidden

// filterHidden is a Filter for what begins with an extension header of IPv6.
const filterHidden = "(ip6 and (ip6[6] = 0 or ip6[6] = 43 or ip6[6] = 44 or ip6[6] = 60))"

// Stats are the counts of a capture, as its kernel side keeps them.
type Stats struct {
	Received int // frames that passed the filter
	Dropped  int // frames lost since the ring was full, or by the interface
}

const (
	defaultSnapLen = 2048
	defaultBuffer  = 4 << 20

	defaultIdle = 20 * time.Millisecond

	// pollInterval bounds how long a read waits for a frame where nothing can
	// interrupt it, and so how soon a watermark, the end of a context or Close is
	// noticed.
	pollInterval = 20 * time.Millisecond

	// countInterval is how often a handle that has frames to read asks how many it
	// lost.
	countInterval = 5 * time.Millisecond

	// linkInterval is how often an idle handle looks whether its interface is
	// still up: libpcap doesn't say.
	linkInterval = 250 * time.Millisecond
)
