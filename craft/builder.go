package craft

import (
	"encoding/binary"
	"fmt"

	"github.com/dchest/siphash"
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// Secret keys the identity of a run's probes. Whoever does not know it can't
// forge a reply to a probe without having seen the probe.
type Secret [2]uint64

// Builder builds frames. gopacket's layers make the frame of a first probe;
// probes that differ from it in TTL, ID, epoch and flow alone, as those of a trace
// do, are made by patching it. A Builder belongs to one goroutine.
type Builder struct {
	secret Secret
	link   Link
	buf    gopacket.SerializeBuffer

	shape    Probe // the probe that the template was built for, with zero for what a patch writes
	template template
}

// template is a frame, and what is to know of it for patching it.
type template struct {
	frame     []byte
	ip        []byte // of frame: the IP header, and all that follows
	transport []byte // of frame: the transport header and the payload
	token     Token
	checksum  int // where in the transport packet it is
	key       Key // what all probes of the shape have in common
	secret    Secret
	constant  constant

	// Of the IP header, and of the transport packet with its pseudo-header:
	// without what a patch writes.
	ipSum, sum uint64

	cookie bool // there is a cookie in the payload
	query  bool // the payload is a DNS query
	acks   bool // the TCP header acknowledges something
}

// constant is what the probes to one destination have in common and nobody
// else knows.
type constant struct {
	checksum uint16 // of ICMP echoes
	sequence uint16 // of the ICMP echo with ID 0
	now      uint32 // the time in TCP's timestamps
}

// NewBuilder returns a Builder of frames for one link.
func NewBuilder(link Link, secret Secret) (*Builder, error) {
	if err := link.validate(); err != nil {
		return nil, err
	}
	return &Builder{secret: secret, link: link, buf: gopacket.NewSerializeBuffer()}, nil
}

// Frame builds p's frame and says by which Key it will be known. The same
// probe, link and secret always give the same frame. The frame is valid until
// the next call. The errors wrap ErrProbe.
func (b *Builder) Frame(p *Probe) ([]byte, Key, error) {
	shape := *p
	shape.TTL, shape.ID, shape.SrcPort, shape.DstPort, shape.Epoch, shape.Flow = 0, 0, 0, 0, 0, 0
	if shape.Dst.Is6() {
		shape.FlowLabel &^= maxFlowLabel // what is too much of it stays, to be refused
	}
	if shape != b.shape || !shape.Dst.IsValid() {
		if err := b.build(shape); err != nil {
			return nil, Key{}, err
		}
	}
	t := &b.template
	key := t.key
	t.identify(p, &key)
	t.patchIP(p)
	t.patch(&key, p.Flow)
	return t.frame, key, nil
}

// build makes the frame of shape, with nothing in it yet that a patch writes.
func (b *Builder) build(shape Probe) error {
	b.shape = Probe{}
	if err := shape.validate(); err != nil {
		return err
	}
	secret := b.secret.of(&shape)
	constant := secret.constant()
	stack := append(b.link.layers(shape.Dst.Is6()), shape.ipLayer())
	stack = append(stack, shape.stack(constant.now)...)
	if err := gopacket.SerializeLayers(b.buf, gopacket.SerializeOptions{FixLengths: true}, stack...); err != nil {
		return fmt.Errorf("%w: %w", ErrProbe, err)
	}
	frame := b.buf.Bytes()
	t := template{frame: frame, ip: frame[b.link.length():], secret: secret, constant: constant}
	if err := t.read(&shape); err != nil {
		return fmt.Errorf("%w: %w", ErrProbe, err)
	}
	b.shape, b.template = shape, t
	return nil
}

// read reads the frame of shape as anybody would.
func (t *template) read(shape *Probe) error {
	p, err := ParsePacket(t.ip)
	if err != nil {
		return err
	}
	if t.key, err = p.Key(); err != nil {
		return err
	}
	t.transport = p.Payload[:shape.length()-len(p.Header)] // without Ethernet's padding
	t.ipSum = onesSum(p.Header)
	t.sum = p.pseudoSum(len(t.transport)) + onesSum(t.transport)
	known := ProtocolOf(p.Protocol)
	t.token, t.checksum = known.Token, known.checksum
	t.cookie = shape.Payload == "" && t.token != Sequence
	t.query = isQuery([]byte(shape.Payload))
	t.acks = shape.TCP.Flags&FlagACK != 0
	return nil
}

// ipLayer is the IP header.
func (p *Probe) ipLayer() gopacket.SerializableLayer {
	if p.Dst.Is6() {
		return &layers.IPv6{
			Version: 6, TrafficClass: p.TOS, FlowLabel: p.FlowLabel, NextHeader: p.protocol(),
			SrcIP: p.Src.AsSlice(), DstIP: p.Dst.AsSlice(),
		}
	}
	ip := &layers.IPv4{
		Version: 4, TOS: p.TOS, Protocol: p.protocol(), Options: p.Route.options(p.Dst),
		SrcIP: p.Src.AsSlice(), DstIP: p.Route.First(p.Dst).AsSlice(),
	}
	if p.DF {
		ip.Flags = layers.IPv4DontFragment
	}
	return ip
}

// stack is what follows the IP header.
func (p *Probe) stack(now uint32) []gopacket.SerializableLayer {
	return append(ProtocolOf(p.protocol()).layers(p, now), p.payload())
}

// payload is the one that is given, or a pattern; with zero for what a patch
// writes in front.
func (p *Probe) payload() gopacket.Payload {
	b := make(gopacket.Payload, p.length()-p.ipHeader()-p.transportHeader())
	identity := tuneLength
	switch {
	case p.Payload != "":
		copy(b[identity:], p.Payload[identity:])
		return b
	case p.token() == Sequence:
		identity = 0
	default:
		identity += cookieLength
	}
	for i := identity; i < len(b); i++ {
		b[i] = 0x40 + byte(i)&0x3f
	}
	return b
}

// of is the secret of the probes that have p's destination and protocol.
func (s Secret) of(p *Probe) Secret {
	dst := p.Dst.As16()
	one, other := siphash.Hash128(s[0], s[1], append(dst[:], uint8(p.protocol())))
	return Secret{one, other}
}

// constant is what those probes have in common.
func (s Secret) constant() constant {
	one, other := siphash.Hash128(s[0], s[1], nil) // shorter than what hash is of
	return constant{checksum: plainChecksum(other), sequence: uint16(one), now: uint32(one >> 32)}
}

// hash is a keyed hash of what tells those probes apart. Epoch 0 adds nothing.
func (s Secret) hash(p *Probe) (one, other uint64) {
	var in [11]byte
	binary.BigEndian.PutUint16(in[:], p.SrcPort)
	binary.BigEndian.PutUint16(in[2:], p.DstPort)
	binary.BigEndian.PutUint16(in[4:], p.ID)
	in[6] = p.TTL
	if p.Epoch == 0 {
		return siphash.Hash128(s[0], s[1], in[:7])
	}
	binary.BigEndian.PutUint32(in[7:], p.Epoch)
	return siphash.Hash128(s[0], s[1], in[:])
}

// checksumOf is the checksum of the ICMP echoes of a flow. That of flow 0 is
// constant.checksum.
func (c *constant) checksumOf(flow uint16) uint16 {
	if flow == 0 {
		return c.checksum
	}
	return plainChecksum(uint64(c.checksum) - 1 + uint64(flow))
}

// plainChecksum makes a checksum of a hash. It is never 0, which means "none"
// to UDP (RFC 768), nor 0xffff, which is what a computed 0 is sent as: who
// updates a checksum on the way may confuse the two (RFC 1624, section 3).
func plainChecksum(hash uint64) uint16 { return uint16(1 + hash%0xfffe) }

// isPlain reports whether plainChecksum makes such.
func isPlain(checksum uint16) bool { return checksum != 0 && checksum != 0xffff }
