package matcher

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
)

// ExtensionObject is an object of an extension structure (RFC 4884 section 8).
//
// What it says is in Labels, Interface or Node, where its class is known and it is
// in order; else it is in Payload, as bytes. Of an object of a known class that
// is malformed, the one of these has what could be read of it, and Payload has it
// all.
type ExtensionObject struct {
	Class  uint8
	Type   uint8 // the C-Type
	Length int   // in bytes, as its header states it, those 4 included

	Labels    []Label        // of class 1, type 1, the top of the stack first
	Interface *InterfaceInfo // of class 2
	Node      *NodeInfo      // of class 5

	Payload   []byte
	Malformed bool
}

// Label is a label stack entry (RFC 4950 section 3, RFC 3032 section 2.1).
type Label struct {
	Label  uint32 // 20 bits
	TC     uint8  // traffic class, formerly EXP: 3 bits (RFC 5462)
	Bottom bool   // the bottom of the stack
	TTL    uint8
}

// InterfaceInfo is what a router tells of an interface or of the next hop (RFC
// 5837 section 4). What it does not tell is zero.
type InterfaceInfo struct {
	Role    InterfaceRole
	Index   uint32     // the ifIndex (RFC 2863)
	Address netip.Addr // IPv4 or IPv6
	MTU     uint32     // in bytes

	// Name is as the router sent it, without padding: it should be UTF-8, but
	// may be any bytes, and is not to be shown unescaped.
	Name string
}

// InterfaceRole is what an interface has to do with the quoted packet (RFC 5837
// section 4).
type InterfaceRole uint8

// The roles.
const (
	Incoming       InterfaceRole = iota // the packet came in by it
	SubIPComponent                      // the part below IP of the one that it came in by
	Outgoing                            // the packet would have left by it
	NextHop                             // no interface of the router's: the next hop
)

var interfaceRoles = [...]string{Incoming: "incoming", SubIPComponent: "sub-ip-component", Outgoing: "outgoing", NextHop: "next-hop"}

// String returns the role as the JSON output spells it.
func (r InterfaceRole) String() string { return interfaceRoles[r] }

// NodeInfo is what a router tells of itself, where the address that it answers from
// doesn't (draft-ietf-intarea-extended-icmp-nodeid). What it does not tell is zero.
type NodeInfo struct {
	Address netip.Addr // IPv4 or IPv6

	// Name is as in InterfaceInfo.
	Name string
}

// The classes of objects that are decoded, and the one type of the first (RFC
// 4950 section 3, RFC 5837 section 4).
const (
	classMPLS      = 1
	typeLabelStack = 1
	classInterface = 2
	classNode      = 5
)

// What an interface information object holds is said by the bits of its type;
// its role is the two highest (RFC 5837 section 4.1).
const (
	statesIndex   = 1 << 3
	statesAddress = 1 << 2
	statesName    = 1 << 1
	statesMTU     = 1 << 0
	roleShift     = 6
)

// unknownFirst are the bits of a node identification's type that stand before those of
// address and name: what they state would come first, and nobody knows how long.
const unknownFirst = 0xff &^ (statesAddress | statesName | statesMTU)

const (
	objectHeader = 4  // length (2 bytes), class, type
	maxObjects   = 32 // more are of no use to anybody: real messages have up to four
	longestName  = 64 // its length octet included (RFC 5837 section 4.3)
)

// parseObjects reads the objects behind an extension header. It stops where
// there is no telling where the next object begins. Zeros at the end are
// padding. The error says what is wrong first.
func parseObjects(b []byte) (objects []ExtensionObject, err error) {
	wrong := func(format string, args ...any) {
		if err == nil {
			err = fmt.Errorf("%w: object %d: %s", ErrExtension, len(objects)+1, fmt.Sprintf(format, args...))
		}
	}
	for !isPadding(b) {
		if len(objects) == maxObjects {
			wrong("one too many")
			return objects, err
		}
		if len(b) < objectHeader {
			wrong("%d bytes", len(b))
			return objects, err
		}
		length := int(binary.BigEndian.Uint16(b))
		if length < objectHeader {
			wrong("stated length %d", length)
			return objects, err
		}
		end := min(length, len(b))
		o, problem := parseObject(b[:end])
		if problem != "" {
			wrong("%s", problem)
		}
		objects, b = append(objects, o), b[end:]
	}
	if len(objects) == 0 {
		wrong("missing")
	}
	return objects, err
}

func isPadding(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// parseObject reads what there is of an object from its header on. The problem
// is empty if it is in order.
func parseObject(b []byte) (o ExtensionObject, problem string) {
	o = ExtensionObject{Class: b[2], Type: b[3], Length: int(binary.BigEndian.Uint16(b))}
	payload := b[objectHeader:]
	known := true
	switch {
	case o.Class == classMPLS && o.Type == typeLabelStack:
		o.Labels, problem = parseLabels(payload)
	case o.Class == classInterface:
		o.Interface, problem = parseInterface(o.Type, payload)
	case o.Class == classNode && o.Type&unknownFirst == 0 && o.Type&(statesAddress|statesName) != 0:
		o.Node, problem = parseNode(o.Type, payload)
	default:
		known = false
	}
	switch {
	case o.Length > len(b):
		problem = fmt.Sprintf("stated length %d in %d bytes", o.Length, len(b))
	case o.Length%4 != 0:
		problem = fmt.Sprintf("stated length %d is no multiple of 4", o.Length)
	}
	o.Malformed = problem != ""
	if !known || o.Malformed {
		o.Payload = bytes.Clone(payload)
	}
	return o, problem
}

// parseLabels reads a label stack (RFC 4950 section 3).
func parseLabels(b []byte) (labels []Label, problem string) {
	if len(b) < 4 {
		return nil, "no label"
	}
	labels = make([]Label, 0, len(b)/4)
	for ; len(b) >= 4; b = b[4:] {
		entry := binary.BigEndian.Uint32(b)
		labels = append(labels, Label{
			Label: entry >> 12, TC: uint8(entry>>9) & 7, Bottom: entry>>8&1 == 1, TTL: uint8(entry),
		})
	}
	return labels, ""
}

// parseInterface reads interface information (RFC 5837 section 4), in the order
// in which its section 4.1 has the parts.
func parseInterface(cType uint8, b []byte) (*InterfaceInfo, string) {
	info := &InterfaceInfo{Role: InterfaceRole(cType >> roleShift)}
	p := interfaceParser{b: b}
	if cType&statesIndex != 0 {
		info.Index = p.number("index")
	}
	if cType&statesAddress != 0 {
		info.Address = p.address()
	}
	if cType&statesName != 0 {
		info.Name = p.name()
	}
	if cType&statesMTU != 0 {
		info.MTU = p.number("MTU")
	}
	if len(p.b) > 0 && p.problem == "" {
		p.problem = fmt.Sprintf("%d bytes too many", len(p.b))
	}
	return info, p.problem
}

// parseNode reads a node identification: the address and the name, as those of an
// interface, in this order. What a bit behind theirs states comes behind them, and is
// passed over.
func parseNode(cType uint8, b []byte) (*NodeInfo, string) {
	info := &NodeInfo{}
	p := interfaceParser{b: b}
	if cType&statesAddress != 0 {
		info.Address = p.address()
	}
	if cType&statesName != 0 {
		info.Name = p.name()
	}
	if len(p.b) > 0 && p.problem == "" && cType&statesMTU == 0 {
		p.problem = fmt.Sprintf("%d bytes too many", len(p.b))
	}
	return info, p.problem
}

// interfaceParser takes one part after the other off b. Once there was a
// problem nobody knows where the next part begins: all further ones are zero.
type interfaceParser struct {
	b       []byte
	problem string
}

// take returns n bytes, or nil if there are fewer.
func (p *interfaceParser) take(n int, what string) []byte {
	if p.problem != "" {
		return nil
	}
	if len(p.b) < n {
		p.problem = fmt.Sprintf("%s of %d bytes in %d", what, n, len(p.b))
		return nil
	}
	taken := p.b[:n]
	p.b = p.b[n:]
	return taken
}

func (p *interfaceParser) number(what string) uint32 {
	if b := p.take(4, what); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// address takes an IP address sub-object: address family, reserved (2 bytes),
// address (RFC 5837 section 4.2).
func (p *interfaceParser) address() netip.Addr {
	header := p.take(4, "address header")
	if header == nil {
		return netip.Addr{}
	}
	size := 0
	switch family := binary.BigEndian.Uint16(header); family {
	case 1:
		size = 4
	case 2:
		size = 16
	default:
		p.problem = fmt.Sprintf("address family %d", family)
		return netip.Addr{}
	}
	a, _ := netip.AddrFromSlice(p.take(size, "address"))
	return a
}

// name takes an interface name sub-object: its length in bytes, this one
// included, then the name, padded with zeros (RFC 5837 section 4.3). A length
// that is not as it should be does not spoil the name, but what follows.
func (p *interfaceParser) name() string {
	first := p.take(1, "name")
	if first == nil {
		return ""
	}
	length := int(first[0])
	if length == 0 {
		p.problem = "name of stated length 0"
		return ""
	}
	name := string(p.take(length-1, "name behind its length"))
	if p.problem == "" && (length%4 != 0 || length > longestName) {
		p.problem = fmt.Sprintf("name of stated length %d", length)
	}
	return strings.TrimRight(name, "\x00")
}
