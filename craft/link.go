package craft

import (
	"fmt"
	"net"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// Link is the link header that every frame of a Builder begins with. The zero
// Link is none: frames begin with the IP header.
type Link struct {
	Src, Dst net.HardwareAddr // of this interface, and of the next hop

	// VLAN and Priority are those of an 802.1Q tag (IEEE 802.1Q, section 9.6),
	// which is written if either is not 0: VLAN 0 is a tag for the priority
	// alone. An interface that is a VLAN's adds the tag itself.
	VLAN     uint16 // up to 4094
	Priority uint8  // up to 7
}

const maxVLAN = 4094 // 4095 is reserved

func (l *Link) hasNone() bool { return len(l.Src) == 0 && len(l.Dst) == 0 }

func (l *Link) tagged() bool { return l.VLAN != 0 || l.Priority != 0 }

// length is how long the header is.
func (l *Link) length() int {
	switch {
	case l.hasNone():
		return 0
	case l.tagged():
		return 18
	}
	return 14
}

func (l *Link) validate() error {
	switch {
	case l.VLAN > maxVLAN || l.Priority > 7:
		return fmt.Errorf("craft: VLAN %d with priority %d: they go up to %d and 7", l.VLAN, l.Priority, maxVLAN)
	case l.hasNone() && l.tagged():
		return fmt.Errorf("craft: a VLAN tag without an Ethernet header")
	case l.hasNone() || len(l.Src) == 6 && len(l.Dst) == 6:
		return nil
	}
	return fmt.Errorf("craft: not an Ethernet link: %v to %v", l.Src, l.Dst)
}

// layers are those of the header of a frame that carries IPv4 or IPv6.
func (l *Link) layers(is6 bool) []gopacket.SerializableLayer {
	carried := layers.EthernetTypeIPv4
	if is6 {
		carried = layers.EthernetTypeIPv6
	}
	eth := &layers.Ethernet{SrcMAC: l.Src, DstMAC: l.Dst, EthernetType: carried}
	switch {
	case l.hasNone():
		return nil
	case l.tagged():
		eth.EthernetType = layers.EthernetTypeDot1Q
		return []gopacket.SerializableLayer{eth, &layers.Dot1Q{VLANIdentifier: l.VLAN, Priority: l.Priority, Type: carried}}
	}
	return []gopacket.SerializableLayer{eth}
}
