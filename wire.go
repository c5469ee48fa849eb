package tracewire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/device"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/craft/route"
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
	ErrCaptureEnded = errors.New("tracewire: the capture has ended")
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
}

// Network is a Conn in a network that is no kernel's, such as a simulated one
// (capture/capturetest). Way returns the way to a target: the address and the link
// addresses that probes have, and the longest IP packet, or 0 if there is no limit.
type Network interface {
	Conn
	Way(dst netip.Addr) (source netip.Addr, mac, nextHopMAC net.HardwareAddr, mtu int)
}

// Through returns what has Options trace through a network. It is for Options.Dial.
func Through(n Network) func(context.Context, netip.Addr, *Options) (*Wire, error) {
	return func(_ context.Context, dst netip.Addr, o *Options) (*Wire, error) {
		source, mac, nextHopMAC, mtu := n.Way(dst)
		return &Wire{Conn: n, MTU: mtu, VLAN: o.VLAN, Source: path.Source{Addr: source, MAC: mac, NextHop: dst, NextHopMAC: nextHopMAC}}, nil
	}
}

// Resolve looks up the way that a trace to dst would take, and opens nothing: the Wire
// has no Conn, and its Port is the first that a trace would try. Where frames have
// addresses, it has the kernel resolve the next hop's. Nil Options are the defaults. The
// errors are those of Tracer.Trace.
func Resolve(ctx context.Context, dst netip.Addr, o *Options) (*Wire, error) {
	if o == nil {
		o = &Options{}
	}
	on := *o
	if _, err := on.validate(); err != nil {
		return nil, err
	}
	if on.Seed == 0 {
		on.Seed = craft.RandomSeed()
	}
	way, err := device.Resolve(ctx, dst.Unmap(), on.way())
	if err != nil {
		return nil, err
	}
	return wireOf(way, &on), nil
}

// wireOf is the Wire of a way that the kernel's routes name.
func wireOf(w *device.Way, o *Options) *Wire {
	return &Wire{MTU: w.MTU, Port: w.Port, VLAN: o.VLAN, Source: path.Source{
		Addr: w.Source, Interface: w.Interface, MAC: w.MAC, NextHop: w.NextHop, NextHopMAC: w.NextHopMAC, Also: w.Also,
	}}
}

// link is the link header of frames to the target.
func (w *Wire) link() craft.Link {
	if len(w.Source.MAC) == 0 {
		return craft.Link{}
	}
	return craft.Link{Src: w.Source.MAC, Dst: w.Source.NextHopMAC, VLAN: w.VLAN}
}

// way says by what way the probes of Options with a Seed go.
func (o *Options) way() device.Options {
	d := device.Options{
		Namespace: o.Namespace, Interface: o.Interface, Source: o.Source, Mark: o.Mark, NextHopMAC: o.NextHopMAC,
		Protocol: o.protocolTo, Ports: craft.SourcePorts(o.Seed, uint16(o.SrcPort)), Fixed: o.SrcPort != 0, Flow: o.Flow, Accept: o.accept,
		Restricted: o.Restricted, Exclusive: o.Recording != nil,
	}
	if len(o.Gateways) > 0 {
		d.Gateway = o.Gateways[0]
	}
	return d
}

// accept refuses a route that the Options can't be traced by.
func (o *Options) accept(r *route.Route) error {
	switch {
	case r.Kind != route.Ethernet && (o.VLAN != 0 || o.NextHopMAC != nil):
		return fmt.Errorf("%w: %s has no link header for a VLAN or a MAC address", ErrOptions, r.Device())
	case o.Restricted && r.Port != "":
		return fmt.Errorf("tracewire: sending by %s, past %s, %w", r.Port, r.Interface, ErrPrivilege)
	}
	return nil
}

// Flow returns what a route to a target may depend on besides addresses, for probes
// from a port; 0 is the port that SrcPort, or else Seed, says. Of Classic probes, of
// which each is a flow of its own, it is the first: all of them leave by its route.
func (o *Options) Flow(dst netip.Addr, port uint16) route.Flow {
	f := route.Flow{Protocol: o.protocolTo(dst).Number, TOS: uint8(o.TOS), FlowLabel: uint32(o.FlowLabel)}
	if !o.protocol().HasPorts() {
		return f
	}
	if port == 0 && (o.SrcPort != 0 || o.Seed != 0) {
		port = craft.FirstSourcePort(o.Seed, uint16(o.SrcPort))
	}
	f.SrcPort, f.DstPort = port, o.dstPort()
	return f
}
