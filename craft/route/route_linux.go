package route

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Lookup asks the kernel for the route to dst, which must be a unicast IPv4
// address.
func Lookup(dst netip.Addr, o Options) (Route, error) {
	link, err := chosenLink(o)
	if err != nil {
		return Route{}, err
	}
	if err := checkSource(dst, o, link); err != nil {
		return Route{}, err
	}
	found, err := netlink.RouteGetWithOptions(dst.AsSlice(), request(o))
	if err != nil {
		return Route{}, lookupError(dst, o, err)
	}
	if len(found) == 0 {
		return Route{}, fmt.Errorf("route: %v: %w", dst, ErrNoRoute)
	}
	if err := checkDestination(dst, o, found[0].Type); err != nil {
		return Route{}, err
	}
	if link == nil || link.Attrs().Index != found[0].LinkIndex {
		if link, err = netlink.LinkByIndex(found[0].LinkIndex); err != nil {
			return Route{}, fmt.Errorf("route: %v: interface %d: %w", dst, found[0].LinkIndex, err)
		}
	}
	return describe(dst, o, &found[0], link)
}

// chosenLink is the interface that o names, or nil.
func chosenLink(o Options) (netlink.Link, error) {
	if o.Interface == "" {
		return nil, nil
	}
	link, err := netlink.LinkByName(o.Interface)
	if err != nil {
		return nil, fmt.Errorf("route: %s: %w", o.Interface, ErrInterface)
	}
	if link.Attrs().Flags&net.FlagUp == 0 {
		return nil, fmt.Errorf("route: %s: %w", o.Interface, ErrDown)
	}
	return link, nil
}

// checkSource refuses what the kernel would let pass: a source that is not an
// address of this host, or one borrowed from another interface than the chosen.
func checkSource(dst netip.Addr, o Options, link netlink.Link) error {
	if !o.Source.IsValid() && link == nil {
		return nil
	}
	of := link
	if o.Source.IsValid() {
		of = nil // any interface
	}
	family := netlink.FAMILY_V4
	if dst.Is6() {
		family = netlink.FAMILY_V6
	}
	list, err := netlink.AddrList(of, family)
	if err != nil {
		return fmt.Errorf("route: addresses: %w", err)
	}
	if !o.Source.IsValid() {
		if len(list) == 0 {
			return fmt.Errorf("route: %s: %w of the family of %v", o.Interface, ErrNoAddress, dst)
		}
		return nil
	}
	for _, a := range list {
		if ip, ok := netip.AddrFromSlice(a.IP); ok && ip.Unmap() == o.Source {
			return nil
		}
	}
	return fmt.Errorf("route: source %v: %w", o.Source, ErrSource)
}

// checkDestination refuses what is not for one other host. Asked for an
// interface, the kernel doesn't look whether dst is special on another.
func checkDestination(dst netip.Addr, o Options, kind int) error {
	if o.Interface != "" && kind == unix.RTN_UNICAST {
		if found, err := netlink.RouteGet(dst.AsSlice()); err == nil && len(found) > 0 {
			kind = found[0].Type
		}
	}
	switch kind {
	case unix.RTN_LOCAL:
		return fmt.Errorf("route: %v: %w", dst, ErrLocal)
	case unix.RTN_BROADCAST, unix.RTN_MULTICAST:
		return fmt.Errorf("route: %v: %w", dst, ErrBroadcast)
	}
	return nil
}

func request(o Options) *netlink.RouteGetOptions {
	r := &netlink.RouteGetOptions{Oif: o.Interface}
	if o.Source.IsValid() {
		r.SrcAddr = o.Source.AsSlice()
	}
	return r
}

// lookupError says what the kernel's refusal of a look-up means.
func lookupError(dst netip.Addr, o Options, err error) error {
	switch {
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH),
		errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EINVAL):
		// Also what a route of type unreachable, prohibit or blackhole says.
		if o.Interface != "" {
			return fmt.Errorf("route: %v through %s: %w", dst, o.Interface, ErrNoRoute)
		}
		return fmt.Errorf("route: %v: %w", dst, ErrNoRoute)
	}
	return fmt.Errorf("route: %v: %w", dst, err)
}

// describe makes a Route of what the kernel answered.
func describe(dst netip.Addr, o Options, found *netlink.Route, link netlink.Link) (Route, error) {
	attrs := link.Attrs()
	r := Route{
		Interface: attrs.Name, Index: attrs.Index, MTU: attrs.MTU, MAC: attrs.HardwareAddr,
		Source: o.Source, NextHop: dst,
	}
	if gateway, ok := netip.AddrFromSlice(found.Gw); ok {
		r.NextHop = gateway.Unmap()
	} else if via, ok := found.Via.(*netlink.Via); ok {
		if gateway, ok := netip.AddrFromSlice(via.Addr); ok {
			r.NextHop = gateway
		}
	}
	if !r.Source.IsValid() {
		source, ok := netip.AddrFromSlice(found.Src)
		if !ok || source.IsUnspecified() || source.IsLoopback() {
			return Route{}, fmt.Errorf("route: %s: %w of the family of %v", r.Interface, ErrNoAddress, dst)
		}
		r.Source = source.Unmap()
	}
	if attrs.EncapType != "ether" || len(r.MAC) != 6 {
		return Route{}, fmt.Errorf("route: %s (%s): %w", r.Interface, attrs.EncapType, ErrLink)
	}
	return r, nil
}

// usable are the states of a neighbour in which the kernel sends to it.
const usable = netlink.NUD_REACHABLE | netlink.NUD_STALE | netlink.NUD_DELAY |
	netlink.NUD_PROBE | netlink.NUD_PERMANENT | netlink.NUD_NOARP

// resolveTimeout is longer than the kernel goes on asking: three times, a
// second apart by default.
const resolveTimeout = 3500 * time.Millisecond

// lookInterval is how often the table is looked at when the kernel tells of no
// change: it stops telling when there is more to tell than it keeps.
const lookInterval = 50 * time.Millisecond

// Neighbour returns the hardware address of the next hop. If the kernel does
// not know it, it is made to ask; ErrNeighbour says that nobody answered.
func (r Route) Neighbour(ctx context.Context) (net.HardwareAddr, error) {
	if mac, _ := r.neighbour(); mac != nil {
		return mac, nil
	}
	asking, cancel := context.WithTimeout(ctx, resolveTimeout)
	updates := make(chan netlink.NeighUpdate, 16)
	if err := netlink.NeighSubscribe(updates, asking.Done()); err != nil {
		cancel()
		return nil, fmt.Errorf("route: neighbours: %w", err)
	}
	// The goroutine that sends the updates ends after the last is received.
	defer func() {
		cancel()
		for range updates {
		}
	}()
	if err := r.nudge(); err != nil {
		return nil, err
	}
	mac, err := r.await(asking, updates)
	if ended := context.Cause(ctx); err != nil && ended != nil {
		err = ended // the caller's patience, not ours
	}
	return mac, err
}

// await returns what the kernel has learnt about the next hop, once it is there.
func (r Route) await(asking context.Context, updates <-chan netlink.NeighUpdate) (net.HardwareAddr, error) {
	look := time.NewTicker(lookInterval)
	defer look.Stop()
	for {
		// The answer may have come before the first update.
		switch mac, failed := r.neighbour(); {
		case mac != nil:
			return mac, nil
		case failed:
			return nil, r.neighbourError()
		}
		if err := r.check(); err != nil {
			return nil, err
		}
		for changed := false; !changed; {
			select {
			case u, ok := <-updates:
				if !ok {
					updates = nil
				}
				changed = ok && u.LinkIndex == r.Index && r.NextHop == addrOf(u.IP)
			case <-look.C:
				changed = true
			case <-asking.Done():
				return nil, r.neighbourError()
			}
		}
	}
}

// check looks whether the interface is still there and up.
func (r Route) check() error {
	link, err := netlink.LinkByIndex(r.Index)
	switch {
	case err != nil:
		return fmt.Errorf("route: %s: %w", r.Interface, ErrInterface)
	case link.Attrs().Flags&net.FlagUp == 0:
		return fmt.Errorf("route: %s: %w", r.Interface, ErrDown)
	}
	return nil
}

func addrOf(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}

func (r Route) neighbourError() error {
	return fmt.Errorf("route: %v on %s: %w", r.NextHop, r.Interface, ErrNeighbour)
}

// neighbour looks the next hop up in the kernel's table. failed says that the
// kernel has asked for it in vain.
func (r Route) neighbour() (mac net.HardwareAddr, failed bool) {
	family := netlink.FAMILY_V4
	if r.NextHop.Is6() {
		family = netlink.FAMILY_V6
	}
	list, err := netlink.NeighList(r.Index, family)
	if err != nil {
		return nil, false
	}
	for _, n := range list {
		if addrOf(n.IP) != r.NextHop {
			continue
		}
		if n.State&usable != 0 && len(n.HardwareAddr) == 6 {
			return n.HardwareAddr, false
		}
		return nil, n.State&netlink.NUD_FAILED != 0
	}
	return nil, false
}

// nudge makes the kernel ask for the next hop's hardware address, by sending
// it a datagram: to the discard port (RFC 863), from an ordinary socket. Not
// by a gateway, where a route says that the next hop is behind one.
func (r Route) nudge() error {
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		e := c.Control(func(fd uintptr) {
			err = errors.Join(unix.BindToDevice(int(fd), r.Interface),
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DONTROUTE, 1))
		})
		return cmp.Or(e, err)
	}}
	conn, err := d.Dial("udp", netip.AddrPortFrom(r.NextHop, 9).String())
	if err == nil {
		_, err = conn.Write([]byte{0})
		conn.Close()
	}
	if err == nil {
		return nil
	}
	if lost := r.check(); lost != nil {
		return lost
	}
	return fmt.Errorf("route: %v on %s: %w", r.NextHop, r.Interface, err)
}
