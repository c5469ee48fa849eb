//go:build linux && cgo

package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"github.com/google/gopacket/pcap"
	"golang.org/x/sys/unix"
)

// sender puts what Inject is given on its way.
type sender interface {
	send(data []byte) error
	close()
}

// newSender opens the sender for an interface; own are this host's addresses.
func newSender(device *net.Interface, own map[netip.Addr]int) (sender, error) {
	switch kindOf(device) {
	case ethernetLink:
		return openFrames(device.Name)
	case loopbackLink:
		return openLocal(own)
	default:
		return openPackets(device.Index)
	}
}

// openFrames opens a handle of libpcap's that receives nothing, in the smallest
// ring there is.
func openFrames(name string) (sender, error) {
	h, err := activate(name, 64, 1<<16, pollInterval)
	if err != nil {
		return nil, err
	}
	if err := h.SetBPFFilter("less 1"); err != nil {
		h.Close()
		return nil, err
	}
	return &handle{pcap: h}, nil
}

func (h *handle) send(data []byte) error {
	return h.do(func(h *pcap.Handle) error { return h.WritePacketData(data) })
}

// sockets are the sender of IP packets. By what a packet begins with, send4 or
// send6 sends it.
type sockets struct {
	mu           sync.Mutex // of the addresses below too, which a call fills in
	closed       bool
	fds          []int
	send4, send6 func(packet []byte) error
}

func (s *sockets) send(data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return ErrClosed
	case data[0]>>4 == 4 && len(data) >= 20:
		return s.send4(data)
	case data[0]>>4 == 6 && len(data) >= 40:
		return s.send6(data)
	}
	return errors.New("not an IP packet, which this interface wants")
}

func (s *sockets) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, fd := range s.fds {
		unix.Close(fd)
	}
	s.fds, s.closed = nil, true
}

// open opens a socket that receives nothing.
func (s *sockets) open(family, kind, protocol int) (int, error) {
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, protocol)
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return 0, ErrPermission
	case err != nil:
		return 0, err
	}
	s.fds = append(s.fds, fd)
	return fd, nil
}

// openPackets opens a packet socket (packet(7)): what it is given leaves by the
// interface, unchanged. Unlike libpcap it tells the interface the protocol,
// which PPP wants to know.
func openPackets(index int) (sender, error) {
	s := &sockets{}
	fd, err := s.open(unix.AF_PACKET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	by := func(etherType uint16) func([]byte) error {
		to := &unix.SockaddrLinklayer{Ifindex: index, Protocol: bigEndian(etherType)}
		return func(packet []byte) error { return unix.Sendto(fd, packet, 0, to) }
	}
	s.send4, s.send6 = by(unix.ETH_P_IP), by(unix.ETH_P_IPV6)
	return s, nil
}

// bigEndian is v as the kernel reads it where it is in network byte order.
func bigEndian(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}

// openLocal opens raw sockets (raw(7)): what they are given goes where the
// kernel's routes send it, which for this host's addresses is lo.
//
// The kernel takes the header as it is, but for what can only have one value,
// the total length and the checksum of IPv4, and an IPv4 ID or source address
// of zero, which it fills in. It refuses what is longer than the MTU; it does
// not fragment.
func openLocal(own map[netip.Addr]int) (sender, error) {
	s := &sockets{}
	fd4, err := s.open(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW) // which implies IP_HDRINCL
	if err != nil {
		return nil, fmt.Errorf("raw socket: %w", err)
	}
	s.send4 = func(packet []byte) error {
		return unix.Sendto(fd4, packet, 0, &unix.SockaddrInet4{Addr: [4]byte(packet[16:20])})
	}
	fd6, err := s.open(unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_RAW)
	switch {
	case errors.Is(err, unix.EAFNOSUPPORT):
		s.send6 = func([]byte) error { return err }
		return s, nil
	case err != nil:
		s.close()
		return nil, fmt.Errorf("raw socket: %w", err)
	}
	s.send6 = func(packet []byte) error {
		to := &unix.SockaddrInet6{Addr: [16]byte(packet[24:40])}
		if _, dst := endsOf(packet); dst.IsLinkLocalUnicast() {
			to.ZoneId = uint32(own[dst])
		}
		return unix.Sendto(fd6, packet, 0, to)
	}
	return s, nil
}
