package capturetest

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/tracewire/tracewire/capture/frame"
)

// Host is the host that traces, with its one Ethernet interface.
type Host struct {
	Addr       netip.Addr       // IPv4; zero: the topology's, or, in a chain, 192.0.2.1
	Addr6      netip.Addr       // IPv6; zero: the topology's, or, in a chain, none
	MAC        net.HardwareAddr // six bytes; nil: 02:00:00:00:00:01
	GatewayMAC net.HardwareAddr // of the first node; nil: 02:00:00:00:00:02
	MTU        int              // of the link; 0: the topology's, or, in a chain, 1500

	// Idle is after how long without a frame a watermark comes; 0: 100 ms,
	// which is a live handle's read timeout.
	Idle time.Duration

	// NoCopies: the capture never shows what was injected.
	NoCopies bool

	// Keep makes Conn.Sent return what was injected, and Conn.Drawn what came of
	// it.
	Keep bool
}

const (
	defaultMTU  = 1500
	defaultIdle = 100 * time.Millisecond
)

// or fills in what h does not say: from d, and the rest.
func (h Host) or(d Host) Host {
	if !h.Addr.IsValid() {
		h.Addr = d.Addr
	}
	if !h.Addr6.IsValid() {
		h.Addr6 = d.Addr6
	}
	if h.MAC == nil {
		h.MAC = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	}
	if h.GatewayMAC == nil {
		h.GatewayMAC = net.HardwareAddr{2, 0, 0, 0, 0, 2}
	}
	if h.MTU <= 0 {
		h.MTU = d.MTU
	}
	if h.Idle <= 0 {
		h.Idle = defaultIdle
	}
	h.MAC, h.GatewayMAC = slices.Clone(h.MAC), slices.Clone(h.GatewayMAC)
	return h
}

// Conn is a host's interface on a Network: a capture.Source and a
// capture.Injector. It holds no resources and need not be closed. Any
// goroutine may call its methods, but for Frames, which has its own contract.
type Conn struct {
	net  *Network
	host Host

	start time.Time     // of all times kept as durations; with the monotonic clock
	wall  time.Time     // start, as the capture stamps it
	since time.Duration // start, as the network counts time
	wake  chan struct{} // holds one when Frames has something to look at

	mu        sync.Mutex
	queue     queue
	seq       int           // of the next event
	clock     time.Duration // by how much the stamping clock has been set so far
	ranged    bool
	refuse    error // what Inject returns
	injected  int
	malformed []error
	sent      [][]byte
	drawn     [][]Arrival
}

// Arrival is an IP packet that reaches the host.
type Arrival struct {
	At time.Time // the stamp of a clock that was not set
	IP []byte
}

// Conn connects a host. Under testing/synctest it must be called inside the
// bubble. It panics when a MAC is not six bytes long. Several hosts (or one,
// several times) share the routers, with their limits and counters, and
// nothing else: none sees another's frames.
func (n *Network) Conn(h Host) *Conn {
	h = h.or(n.host)
	if len(h.MAC) != 6 || len(h.GatewayMAC) != 6 {
		panic(fmt.Sprintf("capturetest: %v and %v are not both Ethernet addresses", h.MAC, h.GatewayMAC))
	}
	now := time.Now()
	return &Conn{
		net: n, host: h,
		start: now, wall: now.UTC().Round(0), since: n.since(now),
		wake: make(chan struct{}, 1),
	}
}

// Host returns the host's configuration, defaults filled in.
func (c *Conn) Host() Host { return c.host }

// Way returns the way to a target: the host's address of its family, both ends of the
// link to the gateway, and the link's MTU. It is what tracewire.Through asks for.
func (c *Conn) Way(dst netip.Addr) (source netip.Addr, mac, gatewayMAC net.HardwareAddr, mtu int) {
	source = c.host.Addr
	if dst.Is6() {
		source = c.host.Addr6
	}
	return source, c.host.MAC, c.host.GatewayMAC, c.host.MTU
}

// ConnStats are a connection's counters.
type ConnStats struct {
	// Injected counts the frames that Inject took, malformed ones included.
	Injected int

	// Malformed is why frames that Inject took went nowhere: not from the
	// host to the gateway, no IP, a wrong length or checksum (or, a fault of
	// the simulation's user, an answer that cannot be built).
	Malformed []error
}

// Stats returns the counters as of now.
func (c *Conn) Stats() ConnStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return ConnStats{Injected: c.injected, Malformed: slices.Clone(c.malformed)}
}

// Sent returns copies of the frames injected so far, in order, if Host.Keep is
// set.
func (c *Conn) Sent() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	sent := make([][]byte, len(c.sent))
	for i, f := range c.sent {
		sent[i] = slices.Clone(f)
	}
	return sent
}

// Drawn returns, for each frame injected so far, what it draws from the network, in
// no particular order, if Host.Keep is set. The packets may not be changed.
func (c *Conn) Drawn() [][]Arrival {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.drawn)
}

// Inject sends a frame: its copy is captured at once (unless Host.NoCopies),
// what it draws from the network when it arrives. Like a packet socket it
// refuses, with an error, only what is shorter than an Ethernet header or
// longer than the MTU allows; whatever else is wrong with a frame is found
// on the way, where the frame is dropped and counted (see Conn.Stats).
func (c *Conn) Inject(data []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refuse != nil {
		return c.refuse
	}
	if len(data) < etherHeaderLength || len(data) > etherHeaderLength+c.host.MTU {
		return fmt.Errorf("capturetest: inject: frame of %d bytes on a link with MTU %d", len(data), c.host.MTU)
	}
	c.injected++
	if c.host.Keep {
		c.sent = append(c.sent, slices.Clone(data))
		c.drawn = append(c.drawn, nil)
	}
	now := time.Since(c.start)
	if !c.host.NoCopies {
		c.schedule(event{at: now, data: copied(data), dir: frame.Out})
	}
	if err := c.travel(now, data); err != nil {
		c.malformed = append(c.malformed, fmt.Errorf("capturetest: frame %d: %w", c.injected, err))
	}
	return nil
}

// travel schedules what a frame injected now brings back.
func (c *Conn) travel(now time.Duration, data []byte) error {
	ip, err := c.host.unwrap(data)
	if err != nil {
		return err
	}
	arrivals, err := c.net.carrier.carry(now+c.since, ip)
	if err != nil {
		return err
	}
	for _, a := range arrivals {
		c.schedule(event{at: a.At - c.since, data: c.Inbound(a.IP), dir: frame.In})
		if c.host.Keep {
			of := &c.drawn[len(c.drawn)-1]
			*of = append(*of, Arrival{c.wall.Add(a.At - c.since), a.IP})
		}
	}
	return nil
}

// FailInject makes every Inject from now on return err and send nothing; nil
// ends that.
func (c *Conn) FailInject(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuse = err
}

// Deliver makes a frame arrive after the given time (now, if that is
// negative), whatever it holds: a spoofed reply, a replay, another tracer's.
func (c *Conn) Deliver(after time.Duration, data []byte) {
	c.show(after, event{data: copied(data), dir: frame.In})
}

// Emit makes the capture show, after the given time, a frame that the host
// itself sent, but not by Inject: its kernel's, or another program's. The
// network does not answer it.
func (c *Conn) Emit(after time.Duration, data []byte) {
	c.show(after, event{data: copied(data), dir: frame.Out})
}

// Step sets the clock that stamps frames forward by d, or back: later stamps
// are shifted by it (and Read times, by the same clock). Between the last
// frame stamped before and the first one stamped after comes a watermark with
// the step in it, at once.
func (c *Conn) Step(d time.Duration) {
	c.show(0, event{step: d})
}

// Miss makes the capture say, at once, that it missed frames.
func (c *Conn) Miss(g frame.Gap) {
	c.show(0, event{gap: &g})
}

// Fail makes reading fail: after what was captured so far Frames yields err
// and ends. With a nil err it ends as a file does, with frame.End. Replies
// that are still under way are lost.
func (c *Conn) Fail(err error) {
	if err == nil {
		err = errEnd
	}
	c.show(0, event{err: err})
}

// Inbound returns the Ethernet frame that brings an IP packet from the
// gateway to the host. It is as long as it needs to be, not padded to 60 bytes.
func (c *Conn) Inbound(datagram []byte) []byte {
	return ethernet(c.host.GatewayMAC, c.host.MAC, datagram)
}

// Outbound returns the Ethernet frame that takes an IP packet from the
// host to the gateway.
func (c *Conn) Outbound(datagram []byte) []byte {
	return ethernet(c.host.MAC, c.host.GatewayMAC, datagram)
}

// copied is a copy that, unlike slices.Clone's, is never nil: a frame without
// Data is a watermark.
func copied(data []byte) []byte { return append([]byte{}, data...) }
