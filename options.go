package tracewire

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/device"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/craft/route"
	"github.com/tracewire/tracewire/matcher/path"
)

// Limits of the Options. A length also has to fit the interface's MTU.
const (
	MaxQueries  = 10
	MaxInFlight = 1000
	MinLength   = craft.MinLength
	MaxLength   = 65535
	MaxSeed     = craft.MaxSeed
	MaxWait     = 24 * time.Hour
)

// Errors that a caller may want to tell apart. What Trace and Run return
// besides wraps the errors of the packages capture and craft/route.
var (
	// ErrOptions: the Options contradict each other or are out of range.
	ErrOptions = errors.New("tracewire: bad option")
	// ErrTarget: no path can be traced to such an address.
	ErrTarget = errors.New("tracewire: can't trace to")
	// ErrPrivilege: restricted Options don't allow it.
	ErrPrivilege = errors.New("needs root or CAP_NET_ADMIN")
)

// Options shape a trace. The zero Options are the defaults.
type Options struct {
	FirstTTL int           // the TTL to begin with; default 1
	MaxTTL   int           // the TTL to end with; default 30
	Queries  int           // probes for each TTL; default 3
	InFlight int           // probes outstanding at most; default 16
	Wait     path.Wait     // for a reply; default 5 s, 3 times the same hop's, 10 times a next hop's
	Interval time.Duration // least time between two probes; default none

	// Protocol of the probes: UDP, which is the default, UDP-Lite, TCP, or either
	// ICMP, which means echo requests of the target's family.
	Protocol layers.IPProtocol

	DstPort int       // port to probe; default 33434, for TCP 80, for UDP-Lite and with Payload 53; ICMP has none
	SrcPort int       // port to probe from, of ICMP the identifier; default a free one, at random
	Classic bool      // UDP: count DstPort up from probe to probe, which makes each a flow of its own
	Payload string    // UDP and UDP-Lite: what the probes carry, but for the first two bytes (see craft.Probe)
	TCP     craft.TCP // TCP: flags and options; default a plain SYN

	ID        int          // IPv4 ID of the first probe, up from 1; default random
	FlowLabel int          // of IPv6; default 0
	Length    int          // of the IP packet in bytes; default 60, over IPv6 80; for TCP and Payload the least
	TOS       int          // type of service, or traffic class: DSCP and ECN; default 0
	DF        bool         // IPv4: don't fragment
	MTU       bool         // find the MTU of each hop, with DF and probes as long as the link takes or as Length says
	Gateways  []netip.Addr // IPv4: a loose source route through these
	Source    netip.Addr   // address to probe from; default the route's

	Interface  string           // to leave by; default the route's
	Mark       uint32           // that the kernel's routing rules may ask for: ip rule's fwmark
	NextHopMAC net.HardwareAddr // Ethernet: the next hop's; default as the kernel resolves it
	VLAN       uint16           // Ethernet: the VLAN of an 802.1Q tag that frames get; default none
	Namespace  string           // the network namespace to trace from: a name in /run/netns, or a path; default this process's

	// Restricted says that the trace is for somebody who may trace paths and
	// nothing else, though this process may do more: who may not send any frame
	// that he likes, nor see what others send. What else the Options ask for
	// fails with ErrPrivilege: a VLAN, a NextHopMAC, a Mark, a Namespace, TCP flags
	// that don't open a connection, a port of a bridge. Only what leaves or reaches
	// the trace's own address and port is captured, and ICMP errors. A frame that
	// turns out to be of no trace is cut behind its headers. All traces of a Tracer
	// together send at most 1,000 probes a second, or 256 at once.
	Restricted bool

	// Seed fixes what is random in the probes: IDs, source port, cookies. 0
	// means a random one; the Path says which it was.
	Seed uint64

	// Recording is where everything that is captured is written; nil means
	// nowhere. If it can't be written, the trace goes on, and Recording.Close
	// returns why.
	Recording *Recording

	// Dial opens the way to a target; nil means the one that the kernel's routes
	// name. Tests put a simulated network here. Traces whose Wires have the same
	// Conn share what is captured on it, and it serves until none of them runs any
	// more, and then not again. In a recording Conns are told apart by the name in
	// Source.Interface.
	Dial func(context.Context, netip.Addr, *Options) (*Wire, error)
}

// validate checks o, and returns what it comes to: without Seed, SrcPort and
// ID where these are to be random.
func (o *Options) validate() (path.Parameters, error) {
	if o.protocol() == nil {
		return path.Parameters{}, fmt.Errorf("%w: there are no probes of protocol %d", ErrOptions, uint8(o.Protocol))
	}
	p := path.Parameters{
		Interval: o.Interval, DF: o.DF || o.MTU, Seed: o.Seed, Wait: o.Wait,
		SrcPort: uint16(o.SrcPort), ID: uint16(o.ID), TOS: uint8(o.TOS),
		FirstTTL: uint8(cmp.Or(o.FirstTTL, 1)), MaxTTL: uint8(cmp.Or(o.MaxTTL, 30)),
		Queries: cmp.Or(o.Queries, 3), InFlight: cmp.Or(o.InFlight, 16),
		DstPort: o.dstPort(), Length: o.Length, FlowLabel: uint32(o.FlowLabel),
		Classic: o.Classic, MTU: o.MTU, Payload: o.Payload, TCP: o.TCP, Gateways: o.Gateways,
	}
	if p.Wait == (path.Wait{}) {
		p.Wait = path.Wait{Max: 5 * time.Second, Here: 3, Near: 10}
	}
	for _, check := range []struct {
		name             string
		value, low, high int
	}{
		{"first TTL", o.FirstTTL, 0, 255},
		{"max TTL", o.MaxTTL, 0, 255},
		{"queries", o.Queries, 0, MaxQueries},
		{"probes in flight", o.InFlight, 0, MaxInFlight},
		{"port", o.DstPort, 0, 65535},
		{"source port", o.SrcPort, 0, 65535},
		{"IP ID", o.ID, 0, 65535},
		{"packet length", cmp.Or(o.Length, MinLength), MinLength, MaxLength},
		{"type of service", o.TOS, 0, 255},
		{"flow label", o.FlowLabel, 0, 0xfffff},
	} {
		if check.value < check.low || check.value > check.high {
			return p, fmt.Errorf("%w: %s %d is not between %d and %d", ErrOptions, check.name, check.value, check.low, check.high)
		}
	}
	switch {
	case p.MaxTTL < p.FirstTTL:
		return p, fmt.Errorf("%w: the max TTL %d is less than the first TTL %d", ErrOptions, p.MaxTTL, p.FirstTTL)
	case p.Wait.Max <= 0 || p.Wait.Max > MaxWait || !isFactor(p.Wait.Here) || !isFactor(p.Wait.Near):
		return p, fmt.Errorf("%w: the wait for a reply must be longer than 0, and %v at most, and its factors must be numbers from 0", ErrOptions, MaxWait)
	case o.Interval < 0:
		return p, fmt.Errorf("%w: the time between probes can't be negative", ErrOptions)
	case o.Seed > MaxSeed:
		return p, fmt.Errorf("%w: seed %d is more than %d", ErrOptions, o.Seed, uint64(MaxSeed))
	case o.MTU && o.Payload != "":
		return p, fmt.Errorf("%w: the length of a given payload can't be varied to find the MTU", ErrOptions)
	case o.Classic && (o.protocol().Number != layers.IPProtocolUDP || o.Payload != ""):
		return p, fmt.Errorf("%w: ports that count are UDP's, and not for a given payload", ErrOptions)
	}
	return p, o.checkRestricted()
}

// isFactor reports whether a Wait can have a factor: it is finite, and not negative.
func isFactor(f float64) bool { return f >= 0 && !math.IsInf(f, 1) }

// checkRestricted refuses what restricted Options don't allow.
func (o *Options) checkRestricted() error {
	if !o.Restricted {
		return nil
	}
	for _, check := range []struct {
		what  string
		given bool
	}{
		{"a VLAN", o.VLAN != 0},
		{"another next hop's MAC address", o.NextHopMAC != nil},
		{"a mark", o.Mark != 0},
		{"another network namespace", o.Namespace != ""},
		{
			fmt.Sprintf("a TCP probe with %s, which is neither SYN alone nor SYN with both flags of ECN,", strings.Join(o.TCP.Flags.Names(), ",")),
			!opensConnection(o.TCP.Flags),
		},
	} {
		if check.given {
			return fmt.Errorf("tracewire: %s %w", check.what, ErrPrivilege)
		}
	}
	return nil
}

// opensConnection reports whether any program can have TCP flags sent, by connecting:
// those of a SYN, which may ask for ECN (RFC 3168, section 6.1.1).
func opensConnection(flags craft.TCPFlags) bool {
	return flags == 0 || flags == craft.FlagSYN || flags == craft.FlagSYN|craft.FlagECE|craft.FlagCWR
}

// protocol is that of the probes; of ICMP, the IPv4 one. It is nil if no probe can
// have it.
func (o *Options) protocol() *craft.Protocol {
	switch o.Protocol {
	case 0:
		return craft.ProtocolOf(layers.IPProtocolUDP)
	case layers.IPProtocolICMPv6:
		return craft.ProtocolOf(layers.IPProtocolICMPv4)
	}
	return craft.ProtocolOf(o.Protocol)
}

// protocolTo is that of the probes to a target.
func (o *Options) protocolTo(dst netip.Addr) *craft.Protocol {
	if o.protocol().Token == craft.EchoSequence && dst.Is6() {
		return craft.ProtocolOf(layers.IPProtocolICMPv6)
	}
	return o.protocol()
}

// dstPort is the port to probe, or 0 if there are none.
func (o *Options) dstPort() uint16 {
	switch protocol := o.protocol(); {
	case !protocol.HasPorts():
		return 0
	case o.DstPort != 0:
		return uint16(o.DstPort)
	case o.Payload != "":
		return 53
	default:
		return protocol.Port
	}
}

// checkFamily refuses what only the other family has than that of a target.
func (o *Options) checkFamily(dst netip.Addr) error {
	switch {
	case o.Source.IsValid() && o.Source.Is4() != dst.Is4():
		return fmt.Errorf("%w: the source %v and the target %v are not of one family", ErrOptions, o.Source, dst)
	case dst.Is4() && o.FlowLabel != 0:
		return fmt.Errorf("%w: flow labels are IPv6's, and %v is not", ErrOptions, dst)
	case dst.Is6() && len(o.Gateways) > 0:
		return fmt.Errorf("%w: source routes are IPv4's, and %v is not", ErrOptions, dst)
	}
	return nil
}

// checkTarget says why no path can be traced to an address, if so.
func checkTarget(dst netip.Addr) error {
	if err := path.CheckTarget(dst); err != nil {
		return fmt.Errorf("%w %v: %w", ErrTarget, dst, err)
	}
	return nil
}

// MTUError says that a probe is longer than the interface can send.
type MTUError = craft.MTUError

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
