//go:build linux && cgo

package capture

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// kind is what an interface takes to send.
type kind int

const (
	rawLink      kind = iota // IP packets: it has no link-layer addresses
	ethernetLink             // frames
	loopbackLink             // nothing itself: the kernel drops what it has not sent
)

// loopbackIndex is the index of lo in every namespace.
const loopbackIndex = 1

func kindOf(device *net.Interface) kind {
	switch {
	case device.Flags&net.FlagLoopback != 0:
		return loopbackLink
	case len(device.HardwareAddr) == 6:
		return ethernetLink
	}
	return rawLink
}

// ownAddresses are the addresses of this host, with the index of an interface
// that has each.
func ownAddresses() (map[netip.Addr]int, error) {
	list, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) { // some may be missing that came or went
		return nil, fmt.Errorf("addresses: %w", err)
	}
	own := make(map[netip.Addr]int, len(list))
	for _, a := range list {
		if ip, ok := netip.AddrFromSlice(a.IP); ok {
			own[ip.Unmap()] = a.LinkIndex
		}
	}
	return own, nil
}

// endsOf are the addresses of an IP packet of either family, whose header is
// complete.
func endsOf(ip []byte) (src, dst netip.Addr) {
	if ip[0]>>4 == 4 {
		return netip.AddrFrom4([4]byte(ip[12:16])), netip.AddrFrom4([4]byte(ip[16:20]))
	}
	return netip.AddrFrom16([16]byte(ip[8:24])), netip.AddrFrom16([16]byte(ip[24:40]))
}

// openControl opens a socket to ask about interfaces by: it asks in the
// namespace where it was opened, wherever the caller is by then, and needs no
// descriptor any more.
func openControl() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return os.NewFile(uintptr(fd), "control"), nil
}

// look says ErrGone or ErrDown of an interface that is.
func look(control, index int) error {
	request, err := unix.NewIfreq("")
	if err != nil {
		return nil
	}
	request.SetUint32(uint32(index))
	err = unix.IoctlIfreq(control, unix.SIOCGIFNAME, request)
	if err == nil {
		err = unix.IoctlIfreq(control, unix.SIOCGIFFLAGS, request)
	}
	switch {
	case errors.Is(err, unix.ENODEV):
		return ErrGone
	case err == nil && request.Uint16()&unix.IFF_UP == 0:
		return ErrDown
	}
	return nil
}
