package frame

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"net"
)

// What keeps Decode from finding an IP packet. ErrNotIP says that the frame is
// in order and carries something else; the others that it can't be read.
var (
	ErrNotIP     = errors.New("frame: no IP packet")
	ErrTruncated = errors.New("frame: cut before the end of the IP header")
	ErrMalformed = errors.New("frame: malformed link header")
	ErrLinkType  = errors.New("frame: unknown link type")
)

var (
	errVersion = fmt.Errorf("%w: the IP version is not the announced one", ErrMalformed)
	errPPP     = fmt.Errorf("%w: PPP protocol number with an even last byte", ErrMalformed)
	errPPPoE   = fmt.Errorf("%w: not PPPoE version 1, type 1, code 0", ErrMalformed)
)

// MAC is an IEEE 802 MAC address, in the order in which it is sent.
type MAC [6]byte

// String writes m as 00:11:22:aa:bb:cc.
func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// VLAN is one tag of IEEE 802.1Q.
type VLAN struct {
	TPID uint16 // the EtherType that announces the tag: 0x8100, 0x88a8 or 0x9100
	TCI  uint16 // priority (3 bits), drop eligible (1 bit), VLAN identifier (12 bits)
}

// ID is the tag's VLAN identifier.
func (v VLAN) ID() uint16 { return v.TCI & 0xfff }

// MaxVLANs is how many VLAN tags of a frame a Packet has room for.
const MaxVLANs = 4

// Packet is the IP packet in a frame, and what the link headers before it say.
type Packet struct {
	// IP is the frame from the IP header on, in the frame's own memory. It holds
	// at least the fixed part of the header, 20 or 40 bytes, of the version
	// that Version says. Nothing else in it is checked: it may be longer than
	// the packet (padding, a frame check sequence) or, when the capture cut
	// the frame, shorter.
	IP []byte

	// Version is 4 or 6: what the link header announces, and the first four
	// bits of IP say.
	Version uint8

	// Direction is the frame's, or, where that is Unknown, what the link
	// header says: Linux cooked captures do.
	Direction Direction

	// Src and Dst are the frame's MAC addresses. Ethernet has both, Linux
	// cooked captures of 6-byte addresses have Src. One that the link header
	// does not have is zero, as both are in the Ethernet of Linux's lo.
	Src, Dst MAC

	// VLANs[:NumVLANs] are the VLAN tags, outermost first. From a frame with
	// more than MaxVLANs the inner ones are missing.
	VLANs    [MaxVLANs]VLAN
	NumVLANs int
}

// Decode finds the IP packet that f carries, behind any of the link types of
// this package, VLAN tags (IEEE 802.1Q), MPLS labels (RFC 3032), PPPoE (RFC
// 2516) or SNAP (RFC 1042).
//
// Where the error is not nil, the Packet is zero, and errors.Is finds one of
// ErrNotIP, ErrTruncated, ErrMalformed and ErrLinkType. A watermark is
// ErrTruncated. Nothing is allocated but for ErrLinkType. Decode keeps no
// state: any number of goroutines may call it.
//
// gopacket's DecodingLayerParser is not used: it lacks SLL2, PPP, MPLS, PPPoE,
// SNAP and raw IP, and its SLL layer trusts a length from the frame, so that
// only Ethernet, two kinds of VLAN tag and loopback would be left to it.
func Decode(f *Frame) (p Packet, err error) {
	if err := p.Decode(f); err != nil {
		return Packet{}, err
	}
	return p, nil
}

// Decode is the function Decode into a Packet that is there already. After an
// error its fields mean nothing.
func (p *Packet) Decode(f *Frame) error {
	*p = Packet{}
	p.Direction = f.Direction
	return p.link(f.Link, f.Data)
}

// The values of DLT_RAW on most systems and on OpenBSD, which some programs
// write to files where Raw belongs. The registry reserves both.
const (
	rawDLT        LinkType = 12
	rawDLTOpenBSD LinkType = 14
)

// IsKnown reports whether Decode understands frames of the type.
func (t LinkType) IsKnown() bool {
	var p Packet
	return !errors.Is(p.link(t, nil), ErrLinkType)
}

// link reads b from the link header on.
func (p *Packet) link(t LinkType, b []byte) error {
	switch t {
	case Ethernet:
		return p.ethernet(b)
	case LinuxSLL:
		return p.linuxSLL(b)
	case LinuxSLL2:
		return p.linuxSLL2(b)
	case Raw, rawDLT, rawDLTOpenBSD:
		return p.eitherIP(b, errVersion)
	case IPv4:
		return p.ip(4, b)
	case IPv6:
		return p.ip(6, b)
	case Null, Loop:
		return p.loopback(b)
	case PPP:
		return p.hdlcPPP(b)
	}
	return fmt.Errorf("%w %d", ErrLinkType, t)
}

// ethernet reads a header of IEEE 802.3 section 3.2: destination, source,
// length or type.
func (p *Packet) ethernet(b []byte) error {
	if len(b) < 14 {
		return ErrTruncated
	}
	copy(p.Dst[:], b)
	copy(p.Src[:], b[6:])
	return p.typed(binary.BigEndian.Uint16(b[12:]), b[14:])
}

// linuxSLL reads LINKTYPE_LINUX_SLL: packet type, ARPHRD type, address length,
// address (8), protocol.
func (p *Packet) linuxSLL(b []byte) error {
	if len(b) < 16 {
		return ErrTruncated
	}
	p.cooked(binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[4:]), MAC(b[6:12]))
	return p.cookedProtocol(binary.BigEndian.Uint16(b[14:]), b[16:])
}

// linuxSLL2 reads LINKTYPE_LINUX_SLL2: protocol, reserved (2), interface (4),
// ARPHRD type, packet type (1), address length (1), address (8).
func (p *Packet) linuxSLL2(b []byte) error {
	if len(b) < 20 {
		return ErrTruncated
	}
	p.cooked(uint16(b[10]), uint16(b[11]), MAC(b[12:18]))
	return p.cookedProtocol(binary.BigEndian.Uint16(b), b[20:])
}

// cooked takes the packet type (0 to this host, 1 broadcast, 2 multicast, 3 to
// another host, 4 sent by this host) and the source address of both SLLs.
func (p *Packet) cooked(packetType, addrLen uint16, addr MAC) {
	if addrLen == 6 {
		p.Src = addr
	}
	if p.Direction != Unknown {
		return
	}
	switch {
	case packetType < 4:
		p.Direction = In
	case packetType == 4:
		p.Direction = Out
	}
}

// cookedProtocol reads what follows an SLL header. Its protocol is an
// EtherType or one of Linux's ETH_P_ values below 0x0600, which are no lengths.
func (p *Packet) cookedProtocol(protocol uint16, b []byte) error {
	const ethP8022 = 4 // an IEEE 802.2 LLC header follows
	if protocol < minEtherType && protocol != ethP8022 {
		return ErrNotIP
	}
	return p.typed(protocol, b)
}

// loopback reads LINKTYPE_NULL, an address family in the byte order of the
// host that captured, and LINKTYPE_LOOP, where it is in network byte order.
func (p *Packet) loopback(b []byte) error {
	if len(b) < 4 {
		return ErrTruncated
	}
	family := binary.LittleEndian.Uint32(b)
	if family > 0xffff {
		family = bits.ReverseBytes32(family)
	}
	switch family {
	case 2:
		return p.ip(4, b[4:])
	case 10, 24, 28, 30: // Linux; NetBSD and OpenBSD; FreeBSD; Darwin
		return p.ip(6, b[4:])
	}
	return ErrNotIP
}

// hdlcPPP reads LINKTYPE_PPP: PPP, behind the address and control bytes of
// HDLC (RFC 1662 section 3.1) or without them.
func (p *Packet) hdlcPPP(b []byte) error {
	return p.ppp(bytes.TrimPrefix(b, []byte{0xff, 0x03}))
}

// ppp reads a protocol field of one or two bytes (RFC 1661 sections 2 and 6.5)
// and what follows.
func (p *Packet) ppp(b []byte) error {
	if len(b) == 0 {
		return ErrTruncated
	}
	protocol, n := uint16(b[0]), 1
	if protocol&1 == 0 {
		if len(b) < 2 {
			return ErrTruncated
		}
		protocol, n = binary.BigEndian.Uint16(b), 2
	}
	switch {
	case protocol&1 == 0:
		return errPPP
	case protocol == 0x0021:
		return p.ip(4, b[n:])
	case protocol == 0x0057:
		return p.ip(6, b[n:])
	case protocol == 0x0281, protocol == 0x0283: // RFC 3032 section 4.3
		return p.mpls(b[n:])
	}
	return ErrNotIP
}

// minEtherType is the least value of Ethernet's length or type field that is
// an EtherType; a lesser one is a length, and an LLC header follows.
const minEtherType = 0x0600

// typed reads b as what the EtherType announces. Every turn of the loop takes
// at least 4 bytes off b.
func (p *Packet) typed(etherType uint16, b []byte) error {
	for {
		switch etherType {
		case 0x0800:
			return p.ip(4, b)
		case 0x86dd:
			return p.ip(6, b)
		case 0x8100, 0x88a8, 0x9100: // C-tag, S-tag, and what preceded the S-tag
			if len(b) < 4 {
				return ErrTruncated
			}
			p.tag(VLAN{TPID: etherType, TCI: binary.BigEndian.Uint16(b)})
			etherType, b = binary.BigEndian.Uint16(b[2:]), b[4:]
			continue
		case 0x8847, 0x8848: // RFC 3032 section 5
			return p.mpls(b)
		case 0x8864:
			return p.pppoe(b)
		}
		if etherType >= minEtherType {
			return ErrNotIP
		}
		var err error
		if etherType, b, err = snap(b); err != nil {
			return err
		}
	}
}

func (p *Packet) tag(v VLAN) {
	if p.NumVLANs < MaxVLANs {
		p.VLANs[p.NumVLANs] = v
		p.NumVLANs++
	}
}

// snap reads an LLC header, and gives the EtherType that its SNAP extension
// holds (RFC 1042) and what follows.
func snap(b []byte) (etherType uint16, payload []byte, err error) {
	const header = "\xaa\xaa\x03\x00\x00\x00"
	n := min(len(b), len(header))
	if string(b[:n]) != header[:n] {
		return 0, nil, ErrNotIP
	}
	if len(b) < len(header)+2 {
		return 0, nil, ErrTruncated
	}
	etherType = binary.BigEndian.Uint16(b[len(header):])
	if etherType < minEtherType {
		return 0, nil, ErrNotIP
	}
	return etherType, b[len(header)+2:], nil
}

// pppoe reads the header of a PPPoE session (RFC 2516 section 4): version and
// type, code, session (2), length (2).
func (p *Packet) pppoe(b []byte) error {
	if len(b) < 6 {
		return ErrTruncated
	}
	if b[0] != 0x11 || b[1] != 0 {
		return errPPPoE
	}
	return p.ppp(b[6:])
}

// mpls reads a stack of labels (RFC 3032 section 2.1). Nothing in it says what
// follows; a pseudowire's control word begins with 0 or 1 so as not to look
// like IP (RFC 4385 section 3), and an Ethernet pseudowire without one can't be
// told from IP when its first address begins with 4 or 6.
func (p *Packet) mpls(b []byte) error {
	for {
		if len(b) < 4 {
			return ErrTruncated
		}
		bottom := b[2]&1 != 0
		b = b[4:]
		if bottom {
			return p.eitherIP(b, ErrNotIP)
		}
	}
}

// eitherIP takes b as the IP packet whose version its first four bits say; if
// they say neither, the error is otherwise.
func (p *Packet) eitherIP(b []byte, otherwise error) error {
	if len(b) == 0 {
		return ErrTruncated
	}
	version := b[0] >> 4
	if version != 4 && version != 6 {
		return otherwise
	}
	return p.ip(version, b)
}

// ip takes b as the IP packet of the version that the link header announced.
func (p *Packet) ip(version uint8, b []byte) error {
	if len(b) == 0 {
		return ErrTruncated
	}
	if b[0]>>4 != version {
		return errVersion
	}
	header := 20 // RFC 791 section 3.1
	if version == 6 {
		header = 40 // RFC 8200 section 3
	}
	if len(b) < header {
		return ErrTruncated
	}
	p.IP, p.Version = b[:len(b):len(b)], version
	return nil
}
