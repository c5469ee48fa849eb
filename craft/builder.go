package craft

import (
	"encoding/binary"
	"fmt"
	"net"

	"github.com/dchest/siphash"
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// Secret keys the cookies and checksums of a run's probes. Whoever does not
// know it can't forge a reply to a probe without having seen the probe.
type Secret [2]uint64

// Link is the link header that every frame of a Builder begins with. The zero
// Link is none: frames begin with the IP header.
type Link struct {
	Src, Dst net.HardwareAddr // of this interface, and of the next hop
}

// Builder builds frames. gopacket's layers make the frame of a first probe;
// probes that differ from it in TTL and ID alone, as those of a trace do, are
// made by patching it. A Builder belongs to one goroutine.
type Builder struct {
	secret Secret
	eth    *layers.Ethernet // nil on a link without a header
	buf    gopacket.SerializeBuffer

	shape   Probe  // the probe that frame was built for, with TTL and ID zero
	frame   []byte // in buf
	ip, udp []byte // of frame: the headers, with what follows them
	ipSum   uint64 // of the IP header, and of the UDP datagram with its
	udpSum  uint64 // pseudo-header: without what a patch writes
}

// NewBuilder returns a Builder of frames for one link.
func NewBuilder(link Link, secret Secret) (*Builder, error) {
	b := &Builder{secret: secret, buf: gopacket.NewSerializeBuffer()}
	if len(link.Src) == 0 && len(link.Dst) == 0 {
		return b, nil
	}
	if len(link.Src) != 6 || len(link.Dst) != 6 {
		return nil, fmt.Errorf("craft: not an Ethernet link: %v to %v", link.Src, link.Dst)
	}
	b.eth = &layers.Ethernet{SrcMAC: link.Src, DstMAC: link.Dst, EthernetType: layers.EthernetTypeIPv4}
	return b, nil
}

// Frame builds p's frame and says by which Key it will be known. The same
// probe, link and secret always give the same frame. The frame is valid until
// the next call. The errors wrap ErrProbe.
func (b *Builder) Frame(p *Probe) ([]byte, Key, error) {
	shape := *p
	shape.TTL, shape.ID = 0, 0
	if shape != b.shape || !shape.Dst.IsValid() {
		if err := b.build(shape); err != nil {
			return nil, Key{}, err
		}
	}
	cookie, checksum := b.identity(p)
	b.patch(p, cookie, checksum)
	return b.frame, Key{
		Dst: p.Dst, Cookie: cookie, HasCookie: true, Token: uint32(checksum),
		SrcPort: p.SrcPort, DstPort: p.DstPort, ID: p.ID, Protocol: layers.IPProtocolUDP,
	}, nil
}

// build makes the frame of shape, with no TTL, ID or identity yet.
func (b *Builder) build(shape Probe) error {
	b.shape = Probe{}
	if err := shape.validate(); err != nil {
		return err
	}
	ip := &layers.IPv4{
		Version: 4, IHL: 5, TOS: shape.TOS, Protocol: layers.IPProtocolUDP,
		SrcIP: shape.Src.AsSlice(), DstIP: shape.Dst.AsSlice(),
	}
	if shape.DF {
		ip.Flags = layers.IPv4DontFragment
	}
	udp := &layers.UDP{SrcPort: layers.UDPPort(shape.SrcPort), DstPort: layers.UDPPort(shape.DstPort)}
	stack := []gopacket.SerializableLayer{ip, udp, payload(shape.Length - 28)}
	header := 0
	if b.eth != nil {
		stack, header = append([]gopacket.SerializableLayer{b.eth}, stack...), 14
	}
	if err := gopacket.SerializeLayers(b.buf, gopacket.SerializeOptions{FixLengths: true}, stack...); err != nil {
		return fmt.Errorf("%w: %w", ErrProbe, err)
	}
	b.frame = b.buf.Bytes()
	b.ip = b.frame[header:]
	b.udp = b.ip[20:]
	b.ipSum = onesSum(b.ip[:20])
	// The pseudo-header: addresses, protocol, length (RFC 768).
	b.udpSum = onesSum(b.ip[12:20]) + uint64(layers.IPProtocolUDP) + uint64(shape.Length-20)
	b.udpSum += onesSum(b.udp[:shape.Length-20])
	b.shape = shape
	return nil
}

// payload is n bytes of pattern, with room for the identity in front.
func payload(n int) gopacket.Payload {
	b := make(gopacket.Payload, n)
	for i := tuneLength + cookieLength; i < n; i++ {
		b[i] = 0x40 + byte(i)&0x3f
	}
	return b
}

// identity gives the cookie and the UDP checksum of p: a keyed hash of all that
// distinguishes it. The checksum is never 0, which means "none" (RFC 768), nor
// 0xffff, which is what a computed 0 is sent as.
func (b *Builder) identity(p *Probe) (cookie uint64, checksum uint16) {
	var in [24]byte
	dst := p.Dst.As16()
	copy(in[:], dst[:])
	binary.BigEndian.PutUint16(in[16:], p.SrcPort)
	binary.BigEndian.PutUint16(in[18:], p.DstPort)
	binary.BigEndian.PutUint16(in[20:], p.ID)
	in[22] = p.TTL
	cookie, rest := siphash.Hash128(b.secret[0], b.secret[1], in[:])
	return cookie | 1, uint16(1 + rest%0xfffe) // no zero byte ends a cookie
}

// patch writes into the frame what distinguishes p from others of its shape,
// and tunes the payload until checksum is the right one.
func (b *Builder) patch(p *Probe, cookie uint64, checksum uint16) {
	const payload = 8 // where it begins in b.udp
	binary.BigEndian.PutUint16(b.ip[4:], p.ID)
	b.ip[8] = p.TTL
	binary.BigEndian.PutUint16(b.ip[10:], ^fold(b.ipSum+uint64(p.ID)+uint64(p.TTL)<<8))

	sum := b.udpSum + cookie>>48 + cookie>>32&0xffff + cookie>>16&0xffff + cookie&0xffff
	tune := fold(uint64(^checksum) + uint64(^fold(sum)))
	binary.BigEndian.PutUint16(b.udp[6:], checksum)
	binary.BigEndian.PutUint16(b.udp[payload:], tune)
	binary.BigEndian.PutUint64(b.udp[payload+tuneLength:], cookie)
}

// onesSum adds b up as big-endian 16-bit words, not folded (RFC 1071).
func onesSum(b []byte) (sum uint64) {
	for ; len(b) >= 8; b = b[8:] {
		w := binary.BigEndian.Uint64(b)
		sum += w>>48 + w>>32&0xffff + w>>16&0xffff + w&0xffff
	}
	for ; len(b) >= 2; b = b[2:] {
		sum += uint64(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint64(b[0]) << 8
	}
	return sum
}

// fold reduces a sum of 16-bit words to one, in ones' complement.
func fold(sum uint64) uint16 {
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}
