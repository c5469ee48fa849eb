package device

import (
	"net/netip"
	"testing"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/craft"
)

// A protocol that the kernel lacks has no ports that another program could have, as
// UDP-Lite in some kernels: there is nothing to hold, and nothing fails.
func TestPortOfProtocolThatTheKernelLacks(t *testing.T) {
	const unassigned = layers.IPProtocol(200)
	held, at := ports{}, netip.MustParseAddrPort("127.0.0.1:40000")
	set := &Set{ports: held}
	for range 2 {
		if err := held.hold(&craft.Protocol{Number: unassigned}, at); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := set.releasePort(at); err != nil {
			t.Fatal(err)
		}
	}
	if len(held) > 0 {
		t.Errorf("still held: %v", held)
	}
}
