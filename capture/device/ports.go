package device

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"syscall"

	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/craft/route"
)

// ports are the source ports that are held, of which traces share those that they
// can.
type ports map[netip.AddrPort]*heldPort

// heldPort is a port of an address, held by a socket that is never read, nor
// listened on: it keeps others off the port, and of UDP the kernel from answering
// for us.
type heldPort struct {
	socket io.Closer
	users  int
}

// holdPort takes a port that probes from an address are to come from, unless other
// traces from there have it. Those from one address try the same ports, and so all
// have the same, whichever is first. The caller is to close held when the trace has
// ended; it is nil if it need not be.
func (s *Set) holdPort(protocol *craft.Protocol, source netip.Addr, port uint16) (held io.Closer, err error) {
	if !protocol.HasPorts() {
		return nil, nil // an identifier is nobody's
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	at := netip.AddrPortFrom(source, port)
	if err := s.ports.hold(protocol, at); err != nil {
		return nil, err
	}
	return closer(func() error { return s.releasePort(at) }), nil
}

// hold binds a socket to a port, unless a trace has done so.
func (p ports) hold(protocol *craft.Protocol, at netip.AddrPort) error {
	if known := p[at]; known != nil {
		known.users++
		return nil
	}
	socket, err := bind(protocol, at)
	switch {
	case errors.Is(err, syscall.EPROTONOSUPPORT) || errors.Is(err, syscall.ESOCKTNOSUPPORT):
		socket = closer(func() error { return nil }) // the kernel lacks the protocol, so no program can bind the port
	case err != nil:
		return err
	}
	p[at] = &heldPort{socket: socket, users: 1}
	return nil
}

// releasePort ends that a trace needs a port.
func (s *Set) releasePort(at netip.AddrPort) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := s.ports[at]
	if held.users--; held.users > 0 {
		return nil
	}
	delete(s.ports, at)
	return held.socket.Close()
}

// closer is an io.Closer.
type closer func() error

// Close implements io.Closer.
func (c closer) Close() error { return c() }

// ErrPort: the source port is in use by another program.
var ErrPort = errors.New("is in use by another program")

// bindError says why a port can't be held.
func bindError(at netip.AddrPort, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("tracewire: source port %d %w: %w", at.Port(), ErrPort, err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("tracewire: source port %d needs root or CAP_NET_BIND_SERVICE: %w", at.Port(), err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("tracewire: source %v: %w", at.Addr(), route.ErrSource)
	}
	return fmt.Errorf("tracewire: source port %d: %w", at.Port(), err)
}
