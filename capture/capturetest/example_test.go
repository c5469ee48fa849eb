package capturetest_test

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/capturetest"
)

func Example() {
	network, err := capturetest.New(capturetest.ChainOf(time.Millisecond, "10.0.1.1", "10.0.2.1", "198.51.100.7"))
	if err != nil {
		panic(err)
	}
	conn := network.Conn(capturetest.Host{})

	probe, err := capturetest.UDP{
		From: netip.AddrPortFrom(conn.Host().Addr, 54321),
		To:   netip.MustParseAddrPort("198.51.100.7:33434"),
		TTL:  2,
	}.Packet()
	if err != nil {
		panic(err)
	}
	if err := conn.Inject(conn.Outbound(probe)); err != nil {
		panic(err)
	}

	for f := range conn.Frames(context.Background()) {
		if f.IsWatermark() {
			break // a tenth of a second without a frame
		}
		for _, layer := range gopacket.NewPacket(f.Data, layers.LayerTypeEthernet, gopacket.Default).Layers() {
			switch l := layer.(type) {
			case *layers.IPv4:
				fmt.Print(l.SrcIP, " to ", l.DstIP, ", TTL ", l.TTL)
			case *layers.ICMPv4:
				fmt.Print(": ", l.TypeCode)
			}
		}
		fmt.Println()
	}
	// Output:
	// 192.0.2.1 to 198.51.100.7, TTL 2
	// 10.0.2.1 to 192.0.2.1, TTL 63: TimeExceeded(TTLExceeded)
}
