package matcher

import (
	"encoding/hex"
	"strconv"
)

// String returns the extension as Linux traceroute 2.1 prints it with -e, and
// nothing where there are no objects. Objects are separated by semicolons:
//
//	<MPLS:L=24001,E=0,S=0,T=1/L=24002,E=5,S=1,T=253>
//	<INC:515,10.3.0.6,"et-0/0/3.0",mtu=9000>
//	<NODE:10.3.0.6,"pe7">
//	<3/1:00000203,0a>
//
// Interface information begins with its role: INC, SUB, OUT or NXT. What the
// router does not tell of index, address, name and MTU is left out. This is the
// form of traceroute's current manual page; 2.1.2 and older ones print that
// class in hexadecimal. A node identification, which it prints so too, has the
// router's address and name. Objects of other classes, and malformed ones whatever
// their class, are shown as class, type and 32-bit words in hexadecimal.
//
// Names are quoted as in Go: nothing that a terminal would act on is left.
func (e Extensions) String() string {
	if len(e.Objects) == 0 {
		return ""
	}
	to := []byte{'<'}
	for i := range e.Objects {
		if i > 0 {
			to = append(to, ';')
		}
		to = e.Objects[i].append(to)
	}
	return string(append(to, '>'))
}

func (o *ExtensionObject) append(to []byte) []byte {
	switch {
	case o.Malformed:
		return o.appendHex(to)
	case o.Labels != nil:
		return appendLabels(to, o.Labels)
	case o.Interface != nil:
		return o.Interface.append(to, o.Type)
	case o.Node != nil:
		return o.Node.append(to, o.Type)
	}
	return o.appendHex(to)
}

func (o *ExtensionObject) appendHex(to []byte) []byte {
	to = strconv.AppendUint(to, uint64(o.Class), 10)
	to = append(to, '/')
	to = strconv.AppendUint(to, uint64(o.Type), 10)
	to = append(to, ':')
	for i := 0; i < len(o.Payload); i += 4 {
		if i > 0 {
			to = append(to, ',')
		}
		to = hex.AppendEncode(to, o.Payload[i:min(i+4, len(o.Payload))])
	}
	return to
}

func appendLabels(to []byte, labels []Label) []byte {
	to = append(to, "MPLS:"...)
	for i, l := range labels {
		if i > 0 {
			to = append(to, '/')
		}
		bottom := uint64(0)
		if l.Bottom {
			bottom = 1
		}
		to = strconv.AppendUint(append(to, "L="...), uint64(l.Label), 10)
		to = strconv.AppendUint(append(to, ",E="...), uint64(l.TC), 10)
		to = strconv.AppendUint(append(to, ",S="...), bottom, 10)
		to = strconv.AppendUint(append(to, ",T="...), uint64(l.TTL), 10)
	}
	return to
}

var roleLetters = [...]string{Incoming: "INC", SubIPComponent: "SUB", Outgoing: "OUT", NextHop: "NXT"}

// append needs the object's type to tell a part that is zero from one that is
// not there.
func (i *InterfaceInfo) append(to []byte, cType uint8) []byte {
	to = append(to, roleLetters[i.Role]...)
	separator := byte(':')
	next := func(part uint8) bool {
		if cType&part == 0 {
			return false
		}
		to = append(to, separator)
		separator = ','
		return true
	}
	if next(statesIndex) {
		to = strconv.AppendUint(to, uint64(i.Index), 10)
	}
	if next(statesAddress) {
		to = i.Address.AppendTo(to)
	}
	if next(statesName) {
		to = strconv.AppendQuote(to, i.Name)
	}
	if next(statesMTU) {
		to = strconv.AppendUint(append(to, "mtu="...), uint64(i.MTU), 10)
	}
	if separator == ':' {
		to = append(to, separator)
	}
	return to
}

// append needs the object's type, as that of InterfaceInfo does.
func (n *NodeInfo) append(to []byte, cType uint8) []byte {
	to = append(to, "NODE:"...)
	if cType&statesAddress != 0 {
		to = n.Address.AppendTo(to)
	}
	if cType&statesName != 0 {
		if cType&statesAddress != 0 {
			to = append(to, ',')
		}
		to = strconv.AppendQuote(to, n.Name)
	}
	return to
}
