package craft

import (
	"encoding/binary"

	"github.com/google/gopacket/layers"
)

// TCP is what the header of a TCP probe says besides ports and sequence number.
// The zero TCP is a plain SYN.
type TCP struct {
	Flags TCPFlags // zero means SYN

	// The options (RFC 9293, section 3.2; RFC 2018, section 2; RFC 7323,
	// sections 2.2 and 3.2).
	MSS        uint16 // maximum segment size; 0 for no such option
	SACK       bool   // SACK permitted
	Timestamps bool   // with a keyed time of this host, and 0 to echo
	Scaling    bool   // window scale by Scale bits
	Scale      uint8  // up to 14
}

// TCPFlags are the control bits of a TCP header (RFC 9293, section 3.1).
type TCPFlags uint8

// The control bits. A SYN with ECE and CWR asks for ECN (RFC 3168, section
// 6.1.1).
const (
	FlagFIN TCPFlags = 1 << iota
	FlagSYN
	FlagRST
	FlagPSH
	FlagACK
	FlagURG
	FlagECE
	FlagCWR
)

// Names are the control bits that are set, as RFC 9293 calls them; of none, which
// means SYN, that.
func (f TCPFlags) Names() (names []string) {
	if f == 0 {
		f = FlagSYN
	}
	for i, name := range [...]string{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"} {
		if f>>i&1 != 0 {
			names = append(names, name)
		}
	}
	return names
}

// maxScale is the largest window scale (RFC 7323, section 2.3).
const maxScale = 14

// tcpWindow is what a Linux host offers in a SYN over Ethernet.
const tcpWindow = 64240

// flags are those that are sent.
func (t TCP) flags() TCPFlags {
	if t.Flags == 0 {
		return FlagSYN
	}
	return t.Flags
}

// layer is the header, without what tells probes apart.
func (t TCP) layer(now uint32) *layers.TCP {
	f := t.flags()
	return &layers.TCP{
		FIN: f&FlagFIN != 0, SYN: f&FlagSYN != 0, RST: f&FlagRST != 0, PSH: f&FlagPSH != 0,
		ACK: f&FlagACK != 0, URG: f&FlagURG != 0, ECE: f&FlagECE != 0, CWR: f&FlagCWR != 0,
		Window: tcpWindow, Options: t.options(now),
	}
}

// options are in the order, and with the padding, in which Linux sends them:
// some firewalls drop what looks unusual.
func (t TCP) options(now uint32) (all []layers.TCPOption) {
	add := func(kind layers.TCPOptionKind, data ...byte) {
		all = append(all, layers.TCPOption{OptionType: kind, OptionData: data})
	}
	pad := func() { add(layers.TCPOptionKindNop) }
	if t.MSS != 0 {
		add(layers.TCPOptionKindMSS, byte(t.MSS>>8), byte(t.MSS))
	}
	if t.SACK || t.Timestamps {
		if !t.SACK || !t.Timestamps {
			pad()
			pad()
		}
		if t.SACK {
			add(layers.TCPOptionKindSACKPermitted)
		}
		if t.Timestamps {
			add(layers.TCPOptionKindTimestamps, binary.BigEndian.AppendUint64(nil, uint64(now)<<32)...)
		}
	}
	if t.Scaling {
		pad()
		add(layers.TCPOptionKindWindowScale, t.Scale)
	}
	return all
}

// optionsLength is how long the options are in bytes: a multiple of 4.
func (t TCP) optionsLength() (n int) {
	if t.MSS != 0 {
		n += 4
	}
	switch {
	case t.Timestamps:
		n += 12
	case t.SACK:
		n += 4
	}
	if t.Scaling {
		n += 4
	}
	return n
}
