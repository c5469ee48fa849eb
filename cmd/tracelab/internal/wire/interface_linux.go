package wire

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"runtime"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/tracewire/tracewire/capture/capturetest/topology"
)

// Interface is the name of the host's interface.
const Interface = "eth0"

const maxMTU = 65535

// quiet keeps the host from sending anything by itself. What a kernel does not
// have, or does not let be set, is left as it is.
var quiet = [][2]string{
	{"net/ipv6/conf/all/disable_ipv6", "0"},
	{"net/ipv6/conf/default/disable_ipv6", "0"},
	{"net/ipv6/conf/lo/disable_ipv6", "0"},
	{"net/ipv6/conf/all/accept_dad", "0"},
	{"net/ipv6/conf/default/accept_dad", "0"},
	{"net/ipv6/conf/default/dad_transmits", "0"},
	{"net/ipv6/conf/default/accept_ra", "0"},
	{"net/ipv6/conf/default/router_solicitations", "0"},
	{"net/ipv6/conf/default/mldv2_unsolicited_report_interval", "1"},
	{"net/ipv4/ping_group_range", "0 0"},
}

// silence keeps the kernel of the calling thread's namespace from speaking IPv6
// on interfaces to come: in the far one the simulator alone speaks.
func silence() { _ = writeExisting("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1") }

// settle makes the near namespace quiet.
func settle() {
	for _, s := range quiet {
		_ = writeExisting("/proc/sys/"+s[0], s[1])
	}
}

func writeExisting(name, value string) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// pair makes the veth pair and returns the far namespace and the index of the
// interface there.
func pair(host *topology.Host) (netns.NsHandle, int, error) {
	settle()
	far, err := newNamespace()
	if err != nil {
		return netns.None(), 0, fmt.Errorf("network namespace: %w", err)
	}
	index, err := join(far, host)
	if err != nil {
		far.Close()
		return netns.None(), 0, err
	}
	return far, index, nil
}

func join(far netns.NsHandle, host *topology.Host) (int, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.HardwareAddr = Interface, host.MTU, hostMAC
	const farName = "lab0"
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: farName, PeerNamespace: netlink.NsFd(far)}); err != nil {
		return 0, fmt.Errorf("make %s: %w", Interface, err)
	}
	index, err := raiseFar(far, farName)
	if err != nil {
		return 0, fmt.Errorf("the far end of %s: %w", Interface, err)
	}
	if err := completeChecksums(Interface); err != nil {
		return 0, fmt.Errorf("%s: turn checksum offload off: %w", Interface, err)
	}
	return index, raiseHost(host)
}

func raiseFar(far netns.NsHandle, name string) (index int, err error) {
	err = within(far, func() error {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		index = link.Attrs().Index
		// The near end's MTU is the one that limits both ways.
		return errors.Join(netlink.LinkSetMTU(link, maxMTU), netlink.LinkSetUp(link))
	})
	return index, err
}

// raiseHost sets lo and the host's interface up, with its addresses,
// neighbours and default routes.
func raiseHost(host *topology.Host) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	near, err := netlink.LinkByName(Interface)
	if err != nil {
		return err
	}
	if err := errors.Join(netlink.LinkSetUp(lo), netlink.LinkSetUp(near)); err != nil {
		return fmt.Errorf("set %s up: %w", Interface, err)
	}
	for _, p := range host.Addresses {
		if p.Addr().Is6() && !hasIPv6() {
			continue
		}
		address := &netlink.Addr{IPNet: ipNet(p), Flags: unix.IFA_F_NODAD}
		if err := netlink.AddrAdd(near, address); err != nil {
			return fmt.Errorf("%s: address %s: %w", Interface, p, err)
		}
	}
	for _, g := range host.Gateways {
		if g.Is6() && !hasIPv6() {
			continue
		}
		if err := gateway(near.Attrs().Index, g); err != nil {
			return fmt.Errorf("%s: gateway %s: %w", Interface, g, err)
		}
	}
	return awaitUp()
}

// awaitUp returns once the kernel would send on the interface. One that has its
// carrier still drops what it is given for a moment.
func awaitUp() error {
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		link, err := netlink.LinkByName(Interface)
		if err != nil || link.Attrs().OperState == netlink.OperUp {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not come up", Interface)
		}
	}
}

// gateway makes a neighbour that needs no resolution the next hop to
// everywhere.
func gateway(index int, addr netip.Addr) error {
	err := netlink.NeighSet(&netlink.Neigh{
		LinkIndex: index, IP: addr.AsSlice(), HardwareAddr: gatewayMAC, State: netlink.NUD_PERMANENT,
	})
	if err != nil {
		return err
	}
	everywhere := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if addr.Is6() {
		everywhere = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return netlink.RouteReplace(&netlink.Route{LinkIndex: index, Dst: ipNet(everywhere), Gw: addr.AsSlice()})
}

func hasIPv6() bool {
	_, err := os.Stat("/proc/sys/net/ipv6")
	return !errors.Is(err, fs.ErrNotExist)
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// newNamespace makes a network namespace; the calling goroutine stays where it
// is.
func newNamespace() (netns.NsHandle, error) {
	type made struct {
		ns  netns.NsHandle
		err error
	}
	result := make(chan made)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err != nil {
			result <- made{netns.None(), err}
			return
		}
		silence()
		// By a name that holds where /proc is that of another process namespace.
		ns, err := netns.GetFromPath("/proc/thread-self/ns/net")
		result <- made{ns, err}
	}()
	m := <-result
	return m.ns, m.err
}

// within calls f on a thread of the namespace.
func within(ns netns.NsHandle, f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := netns.Set(ns)
		if err == nil {
			err = f()
		}
		result <- err
	}()
	return <-result
}

// completeChecksums has the kernel compute the checksums of what it sends, and
// cut what it sends into packets, as it does without offloading; frames are
// then as they would be on a cable.
func completeChecksums(name string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for _, command := range []uint32{unix.ETHTOOL_STSO, unix.ETHTOOL_SGSO} {
		_ = ethtoolOff(fd, name, command) // fails where they depend on checksums, and are off with them
	}
	return ethtoolOff(fd, name, unix.ETHTOOL_STXCSUM)
}

// onLink are the addresses that the wire resolves: the gateways, and every
// node's on the host's link.
func onLink(t *topology.Topology) map[netip.Addr]bool {
	addrs := map[netip.Addr]bool{}
	for _, g := range t.Host.Gateways {
		addrs[g] = true
	}
	add := func(nodes []netip.Addr) {
		for _, a := range nodes {
			for _, p := range t.Host.Addresses {
				if p.Contains(a) && a != p.Addr() {
					addrs[a] = true
				}
			}
		}
	}
	for _, r := range t.Routers {
		add(r.Addresses)
	}
	for _, d := range t.Destinations {
		add(d.Addresses)
	}
	return addrs
}
