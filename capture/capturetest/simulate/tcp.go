package simulate

import (
	"encoding/binary"
	"slices"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/capturetest/topology"
)

// TCP flags (RFC 9293 section 3.1).
const (
	flagFIN = 1 << iota
	flagSYN
	flagRST
	flagPSH
	flagACK
)

// tcpAnswer takes what a port without any connection answers to a segment, if
// it does: a port is closed or listens (RFC 9293 section 3.10.7).
func (b *builder) tcpAnswer(p *packet, s *topology.Service, seed uint64) bool {
	up := p.b[p.upper:]
	src, dst := p.ports()
	flags := up[13]
	open := slices.Contains(s.Open, dst)
	switch {
	case flags&flagRST != 0, s.Filtered && !open:
		return false
	case !open || flags&flagACK != 0:
		b.reset(p)
	case flags&flagSYN != 0 && flags&flagFIN == 0:
		b.tcp(b.synAck(p, src, dst, seed))
	default:
		return false // a listening port ignores the rest
	}
	return true
}

// reset takes the segment that refuses p (RFC 9293 section 3.10.7.1).
func (b *builder) reset(p *packet) {
	up := p.b[p.upper:]
	src, dst := p.ports()
	rst := layers.TCP{SrcPort: layers.TCPPort(dst), DstPort: layers.TCPPort(src), RST: true}
	if up[13]&flagACK != 0 {
		rst.Seq = binary.BigEndian.Uint32(up[8:])
	} else {
		rst.ACK, rst.Ack = true, binary.BigEndian.Uint32(up[4:])+segmentLength(up)
	}
	b.tcp(rst)
}

// segmentLength is how many sequence numbers a segment takes.
func segmentLength(up []byte) uint32 {
	n := uint32(len(up) - int(up[12]>>4)*4)
	if up[13]&flagSYN != 0 {
		n++
	}
	if up[13]&flagFIN != 0 {
		n++
	}
	return n
}

// synAck answers a SYN as Linux does: with the options that it offered, and
// always the MSS (RFC 9293 section 3.7.1, RFC 7323 sections 2.2 and 3.2, RFC
// 2018 section 2). Its sequence number follows from the flow and the SYN's.
func (b *builder) synAck(p *packet, src, dst uint16, seed uint64) layers.TCP {
	up := p.b[p.upper:]
	seq := binary.BigEndian.Uint32(up[4:])
	mss := uint16(defaultMTU - ip4Header - tcpHeader)
	if p.v6 {
		mss = defaultMTU - ip6Header - tcpHeader
	}
	isn := uint32(mix(flow(seed, p), uint64(seq)))
	options := append(b.options[:0], layers.TCPOption{
		OptionType: layers.TCPOptionKindMSS, OptionData: binary.BigEndian.AppendUint16(nil, mss),
	})
	var taken uint16 // kinds, one bit each
	offered(up, func(kind layers.TCPOptionKind, data []byte) {
		if kind > layers.TCPOptionKindTimestamps || taken>>kind&1 != 0 {
			return
		}
		taken |= 1 << kind
		options = appendOption(options, kind, data, isn)
	})
	return layers.TCP{
		SrcPort: layers.TCPPort(dst), DstPort: layers.TCPPort(src),
		Seq: isn, Ack: seq + 1, SYN: true, ACK: true, Window: 64240, Options: options,
	}
}

// appendOption appends the answer to an offered option, if there is one, at an
// even place (RFC 7323 appendix A).
func appendOption(options []layers.TCPOption, kind layers.TCPOptionKind, data []byte, clock uint32) []layers.TCPOption {
	nop := layers.TCPOption{OptionType: layers.TCPOptionKindNop}
	switch {
	case kind == layers.TCPOptionKindSACKPermitted && len(data) == 0:
		return append(options, nop, nop, layers.TCPOption{OptionType: kind})
	case kind == layers.TCPOptionKindTimestamps && len(data) == 8:
		stamps := append(binary.BigEndian.AppendUint32(nil, clock), data[:4]...)
		return append(options, nop, nop, layers.TCPOption{OptionType: kind, OptionData: stamps})
	case kind == layers.TCPOptionKindWindowScale && len(data) == 1:
		return append(options, nop, layers.TCPOption{OptionType: kind, OptionData: []byte{7}})
	}
	return options
}

// offered calls f for each option of a segment, as long as they make sense.
func offered(up []byte, f func(layers.TCPOptionKind, []byte)) {
	options := up[tcpHeader : int(up[12]>>4)*4]
	for len(options) > 0 {
		switch kind := layers.TCPOptionKind(options[0]); {
		case kind == layers.TCPOptionKindEndList:
			return
		case kind == layers.TCPOptionKindNop:
			options = options[1:]
		case len(options) < 2 || options[1] < 2 || int(options[1]) > len(options):
			return
		default:
			f(kind, options[2:options[1]])
			options = options[options[1]:]
		}
	}
}
