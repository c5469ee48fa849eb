package tracewire

import (
	"context"

	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/device"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher/engine"
	"github.com/tracewire/tracewire/matcher/path"
)

// Conn captures and injects frames: a live handle, or a simulated network.
type Conn = device.Conn

// Errors of the way to a target, besides those of the packages capture, capture/netns
// and craft/route.
var (
	// ErrPermission: this process may not capture and send frames.
	ErrPermission = capture.ErrPermission

	// ErrPort: the source port is in use by another program.
	ErrPort = device.ErrPort

	// ErrCaptureEnded: nothing more is captured, though the trace is not over.
	ErrCaptureEnded = engine.ErrEnded
)

// ErrUnprepared: a trace needs what Prepare has not opened, and nothing more is
// opened.
var ErrUnprepared = device.ErrUnprepared

// Wire is the way to a target.
type Wire struct {
	// Conn is what a trace captures and sends on. It is closed with the last trace
	// on it, if it is an io.Closer.
	Conn   Conn
	Source path.Source // all of it
	MTU    int         // the longest IP packet; 0 if there is no limit

	// Port is the port to send from, which nothing else on this host uses; of
	// ICMP the identifier. 0 is the one that the Options name or, if they name none,
	// the first that follows from the seed.
	Port uint16
	VLAN uint16 // of a tag in every frame; 0 for none

	way *device.Way // of one that was only resolved
}

// ResolveNextHop has the kernel resolve the next hop's link address, of a Wire that
// [Resolve] returned, where frames have addresses and it is not known. It takes until the
// next hop answers, or the kernel gives up. The errors are those of package craft/route.
func (w *Wire) ResolveNextHop(ctx context.Context) error {
	if w.way == nil {
		return nil
	}
	err := w.way.ResolveNextHop(ctx)
	w.Source.NextHopMAC = w.way.NextHopMAC
	return err
}

// link is the link header of frames to the target.
func (w *Wire) link() craft.Link {
	if len(w.Source.MAC) == 0 {
		return craft.Link{}
	}
	return craft.Link{Src: w.Source.MAC, Dst: w.Source.NextHopMAC, VLAN: w.VLAN}
}
