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

// usable are the states of a neighbour in which the kernel sends to it.
const usable = netlink.NUD_REACHABLE | netlink.NUD_STALE | netlink.NUD_DELAY |
	netlink.NUD_PROBE | netlink.NUD_PERMANENT | netlink.NUD_NOARP

// resolveTimeout is longer than the kernel goes on asking: three times, a
// second apart by default.
const resolveTimeout = 3500 * time.Millisecond

// lookInterval is how often the table is looked at when the kernel tells of no
// change: it stops telling when there is more to tell than it keeps.
const lookInterval = 50 * time.Millisecond

// Neighbour returns the hardware address of the next hop: nil where the route
// has none, NextHopMAC where that is known. If the kernel does not know it, it is
// made to ask; ErrNeighbour says that nobody answered.
func (r Route) Neighbour(ctx context.Context) (net.HardwareAddr, error) {
	if r.Kind != Ethernet || r.NextHopMAC != nil {
		return r.NextHopMAC, nil
	}
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

func (r Route) neighbourError() error {
	return fmt.Errorf("route: %v on %s: %w", r.NextHop, r.Interface, ErrNeighbour)
}

// neighbour looks the next hop up in the kernel's table. failed says that the
// kernel has asked for it in vain.
func (r Route) neighbour() (mac net.HardwareAddr, failed bool) {
	list, err := netlink.NeighList(r.Index, familyOf(r.NextHop))
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
// by a gateway, where an IPv4 route says that the next hop is behind one. IPv6
// has no such socket: there some route through the interface has to lead to the
// next hop, be it the default route by way of it.
func (r Route) nudge() error {
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		e := c.Control(func(fd uintptr) {
			if err = unix.BindToDevice(int(fd), r.Interface); errors.Is(err, unix.EPERM) {
				err = nil // before Linux 5.7 it needed CAP_NET_RAW; the route leads there all the same
			}
			err = errors.Join(err, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DONTROUTE, 1))
		})
		return cmp.Or(e, err)
	}}
	conn, err := d.Dial("udp", netip.AddrPortFrom(r.Scoped(r.NextHop), 9).String())
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
