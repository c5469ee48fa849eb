package device

import (
	"io"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/tracewire/tracewire/craft"
)

// descriptor is a socket.
type descriptor int

// Close implements io.Closer.
func (d descriptor) Close() error { return unix.Close(int(d)) }

// bind holds a port: a socket that is bound, and does nothing else.
func bind(protocol *craft.Protocol, at netip.AddrPort) (io.Closer, error) {
	family, kind := unix.AF_INET, unix.SOCK_DGRAM
	if at.Addr().Is6() {
		family = unix.AF_INET6
	}
	if protocol.Stream {
		kind = unix.SOCK_STREAM
	}
	c, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, int(protocol.Number))
	if err != nil {
		return nil, bindError(at, err)
	}
	if err := unix.Bind(c, sockaddr(at)); err != nil {
		unix.Close(c)
		return nil, bindError(at, err)
	}
	_ = unix.SetsockoptInt(c, unix.SOL_SOCKET, unix.SO_RCVBUF, 0) // the smallest there is; nobody will read it
	return descriptor(c), nil
}

func sockaddr(at netip.AddrPort) unix.Sockaddr {
	if at.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	}
	a := &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}
	if index, err := strconv.ParseUint(at.Addr().Zone(), 10, 32); err == nil { // see route.Route.Scoped
		a.ZoneId = uint32(index)
	}
	return a
}
