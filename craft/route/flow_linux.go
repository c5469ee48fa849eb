package route

import (
	"encoding/binary"
	"errors"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// rtaFlowLabel is RTA_FLOWLABEL of linux/rtnetlink.h: kernels before 6.13 ignore it.
const rtaFlowLabel = 31

// ecn are the bits of the TOS that no route depends on.
const ecn = 0x03

// get asks the kernel for the route of a flow, as ip route get does. (The netlink
// library's own question has no place for protocol, ports and TOS.)
func (l *lookup) get() (*netlink.Route, error) {
	request := nl.NewNetlinkRequest(unix.RTM_GETROUTE, unix.NLM_F_REQUEST)
	flow := &l.options.Flow
	message := &nl.RtMsg{RtMsg: unix.RtMsg{
		Family: uint8(familyOf(l.dst)), Dst_len: uint8(l.dst.BitLen()), Tos: flow.TOS &^ ecn, Flags: unix.RTM_F_LOOKUP_TABLE,
	}}
	request.AddData(message)
	add := func(attribute int, value []byte) { request.AddData(nl.NewRtAttr(attribute, value)) }
	add(unix.RTA_DST, l.dst.AsSlice())
	if source := l.options.Source; source.IsValid() {
		message.Src_len = message.Dst_len
		add(unix.RTA_SRC, source.AsSlice())
	}
	if l.link != nil {
		add(unix.RTA_OIF, nl.Uint32Attr(uint32(l.link.Attrs().Index)))
	}
	if l.options.Mark != 0 {
		add(unix.RTA_MARK, nl.Uint32Attr(l.options.Mark))
	}
	if flow.Protocol != 0 {
		add(unix.RTA_IP_PROTO, []byte{byte(flow.Protocol)})
	}
	if flow.SrcPort != 0 {
		add(unix.RTA_SPORT, binary.BigEndian.AppendUint16(nil, flow.SrcPort))
	}
	if flow.DstPort != 0 {
		add(unix.RTA_DPORT, binary.BigEndian.AppendUint16(nil, flow.DstPort))
	}
	if flow.FlowLabel != 0 && l.dst.Is6() {
		add(rtaFlowLabel, binary.BigEndian.AppendUint32(nil, flow.FlowLabel))
	}
	answers, err := request.Execute(unix.NETLINK_ROUTE, 0)
	if errors.Is(err, unix.EOPNOTSUPP) && flow.Protocol != 0 {
		flow.Protocol = 0 // the kernel takes few protocols here; to its rules the others are like UDP
		return l.get()
	}
	if err != nil {
		return nil, err
	}
	if len(answers) == 0 {
		return nil, ErrNoRoute
	}
	return parseRoute(answers[0])
}

// parseRoute reads what a Route is made of from an answer.
func parseRoute(answer []byte) (*netlink.Route, error) {
	message := nl.DeserializeRtMsg(answer)
	found := &netlink.Route{Type: int(message.Type)}
	attributes, err := nl.ParseRouteAttr(answer[message.Len():])
	if err != nil {
		return nil, err
	}
	for _, a := range attributes {
		switch a.Attr.Type {
		case unix.RTA_OIF:
			found.LinkIndex = int(nl.NativeEndian().Uint32(a.Value))
		case unix.RTA_PREFSRC:
			found.Src = a.Value
		case unix.RTA_GATEWAY:
			found.Gw = a.Value
		case unix.RTA_VIA:
			via := &netlink.Via{}
			if err := via.Decode(a.Value); err != nil {
				return nil, err
			}
			found.Via = via
		}
	}
	return found, nil
}
