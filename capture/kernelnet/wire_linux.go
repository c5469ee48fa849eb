package kernelnet

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Delay decides how long a frame stays on a wire: not at all, for a while
// (it leaves no earlier, and about a millisecond later), or, when negative,
// forever: the frame is lost. The frame is complete, from its Ethernet header,
// and valid during the call only. One wire makes one call at a time, on
// goroutines of its own.
type Delay func(frame []byte) time.Duration

// Wire is like Link, but carries each frame through user space and as late as
// delay says, in both directions. Frames of equal delay stay in order; those of
// none pass the ones that wait. What is on the wire when the test ends is lost.
// Frames carry complete checksums, as with CompleteChecksums.
func (n *Network) Wire(a, b *Node, delay Delay, subnets ...string) *Link {
	n.t.Helper()
	middle := n.namespace("wire "+a.Name+" – "+b.Name, nil)
	l := &Link{}
	var left, right End
	l.A, left = n.pair(a, middle)
	l.B, right = n.pair(b, middle)
	l.inner = []End{left, right}
	l.CompleteChecksums()
	n.carry(left.tap(), right.tap(), delay)
	l.number(subnets)
	return l
}

// carry copies frames between the two taps until the test ends.
func (n *Network) carry(left, right *os.File, delay Delay) {
	var one sync.Mutex
	serial := func(frame []byte) time.Duration {
		one.Lock()
		defer one.Unlock()
		return delay(frame)
	}
	var directions sync.WaitGroup
	for _, s := range []*strand{
		{t: n.t, from: left, to: right, delay: serial},
		{t: n.t, from: right, to: left, delay: serial},
	} {
		directions.Go(s.run)
	}
	n.t.Cleanup(func() {
		left.Close()
		right.Close()
		directions.Wait()
	})
}

// strand is one direction of a wire.
type strand struct {
	t        testing.TB
	from, to *os.File
	delay    Delay
	waiting  []parcel // by time of leaving
}

type parcel struct {
	leaves time.Time
	frame  []byte
}

// run carries frames until a tap is closed.
func (s *strand) run() {
	buf := make([]byte, 1<<16)
	for {
		s.from.SetReadDeadline(s.deliver(time.Now()))
		n, err := s.from.Read(buf)
		switch {
		case err == nil:
			s.accept(buf[:n], time.Now())
		case errors.Is(err, os.ErrClosed):
			return
		case !errors.Is(err, os.ErrDeadlineExceeded):
			s.t.Errorf("kernelnet: wire: %v", err)
			return
		}
	}
}

// deliver sends what is due and returns when the next frame will be, or zero.
func (s *strand) deliver(now time.Time) time.Time {
	for len(s.waiting) > 0 {
		if next := s.waiting[0].leaves; next.After(now) {
			return next
		}
		s.send(s.waiting[0].frame)
		s.waiting = s.waiting[1:]
	}
	return time.Time{}
}

func (s *strand) accept(frame []byte, now time.Time) {
	switch d := s.delay(frame); {
	case d == 0:
		s.send(frame)
	case d > 0:
		p := parcel{leaves: now.Add(d), frame: slices.Clone(frame)}
		i, _ := slices.BinarySearchFunc(s.waiting, p.leaves, func(p parcel, t time.Time) int {
			if p.leaves.After(t) {
				return 1
			}
			return -1
		})
		s.waiting = slices.Insert(s.waiting, i, p)
	}
}

// send loses the frame where the other end is down or full, like a cable.
func (s *strand) send(frame []byte) { _, _ = s.to.Write(frame) }

// tap opens a packet socket on the end for the frames that arrive there.
func (e *End) tap() *os.File {
	e.Node.net.t.Helper()
	var fd int
	err := e.Node.Do(func() (err error) {
		// Protocol 0 receives nothing until the socket is bound to its interface.
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		return err
	})
	if err != nil {
		e.fatal("packet socket", err)
	}
	file := os.NewFile(uintptr(fd), e.Interface)
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
		file.Close()
		e.fatal("ignore outgoing frames", err)
	}
	all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: e.Index}); err != nil {
		file.Close()
		e.fatal("bind packet socket", err)
	}
	return file
}

// CompleteChecksums has the nodes at both ends compute the checksums of what
// they send on the link. Over veth they otherwise leave those of their own
// UDP and TCP packets to the receiver, so that captures and quotes show only
// the sum of the pseudo-header. A wire does so from the start.
func (l *Link) CompleteChecksums() {
	l.A.Node.net.t.Helper()
	for _, e := range []End{l.A, l.B} {
		err := e.Node.Do(func() error {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			return disableChecksumOffload(fd, e.Interface)
		})
		if err != nil {
			e.fatal("turn checksum offload off", err)
		}
	}
}

// disableChecksumOffload is "ethtool -K name tx off" (linux/ethtool.h).
func disableChecksumOffload(fd int, name string) error {
	off := struct{ command, data uint32 }{command: unix.ETHTOOL_STXCSUM}
	request := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte // the rest of the union in struct ifreq
	}{data: unsafe.Pointer(&off)}
	copy(request.name[:unix.IFNAMSIZ-1], name)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	if errno != 0 {
		return errno
	}
	return nil
}

// ICMPFrom delays the ICMP messages whose source is addr by d, or loses them
// when d is negative; all else passes at once. On a wire beside a router it
// makes the router slow, or silent, to answer but not to forward. Neighbour
// discovery is not delayed.
func ICMPFrom(addr string, d time.Duration) Delay {
	from := netip.MustParseAddr(addr)
	return func(frame []byte) time.Duration {
		if isICMPFrom(frame, from) {
			return d
		}
		return 0
	}
}

// isICMPFrom knows untagged Ethernet, and IPv6 without extension headers.
func isICMPFrom(frame []byte, from netip.Addr) bool {
	if len(frame) < 14+20 {
		return false
	}
	ip := frame[14:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case unix.ETH_P_IP:
		return ip[9] == unix.IPPROTO_ICMP && netip.AddrFrom4([4]byte(ip[12:16])) == from
	case unix.ETH_P_IPV6:
		if len(ip) < 40+1 || ip[6] != unix.IPPROTO_ICMPV6 {
			return false
		}
		// RFC 4861, section 4: the types of neighbour discovery.
		discovery := ip[40] >= 133 && ip[40] <= 137
		return !discovery && netip.AddrFrom16([16]byte(ip[8:24])) == from
	}
	return false
}
