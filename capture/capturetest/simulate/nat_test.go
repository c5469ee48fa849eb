package simulate_test

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/capturetest/simulate"
	"github.com/tracewire/tracewire/capture/capturetest/topology"
)

// behind is the network of chain with a NAT at its first router.
func behind(t *testing.T, nat topology.NAT) *simulate.Network {
	nat.Address, nat.Address6 = netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("2001:db8:203::1")
	return network(t, chain(func(c *topology.Topology) {
		c.Routers[0].NAT = &nat
		c.Destinations[0].Open = []uint16{dstPort}
	}))
}

// ofEach calls f with a probe of every protocol, and where its source port or its
// identifier is behind the IP header.
func ofEach(t *testing.T, f func(t *testing.T, p probe, port int)) {
	families(t, func(t *testing.T, v6 bool) {
		t.Run("UDP", func(t *testing.T) { f(t, probe{v6: v6, ttl: 2, id: 7}, 0) })
		t.Run("TCP", func(t *testing.T) { f(t, probe{v6: v6, ttl: 2, id: 7, tcp: &layers.TCP{SYN: true}}, 0) })
		t.Run("echo", func(t *testing.T) { f(t, probe{v6: v6, ttl: 2, id: 7, echo: true}, 4) })
	})
}

func header(v6 bool) int {
	if v6 {
		return 40
	}
	return 20
}

// Whatever a NAT maps, a quote that it restores is what was sent, and the packet
// outside, which a quote that it leaves alone shows, has a right checksum.
func TestNATMapsPorts(t *testing.T) {
	for _, mapping := range []topology.PortMapping{topology.EndpointIndependent, topology.AddressAndPortDependent} {
		ofEach(t, func(t *testing.T, p probe, port int) {
			sent := p.bytes(t)[header(p.v6):]
			if q := one(t, behind(t, topology.NAT{Ports: mapping}), p).quote(t)[header(p.v6):]; string(q) != string(sent) {
				t.Errorf("%s: quote %x of %x", mapping, q, sent)
			}
			ip := one(t, behind(t, topology.NAT{Ports: mapping, KeepQuotedPort: true, KeepQuotedChecksum: true}), p).quote(t)
			q := ip[header(p.v6):]
			if got := binary.BigEndian.Uint16(q[port:]); got == srcPort || got < 1024 {
				t.Errorf("%s: port %d outside", mapping, got)
			}
			if got := sumOutside(t, p, ip); got != 0xffff {
				t.Errorf("%s: outside the packet sums to %#x", mapping, got)
			}
			q = one(t, behind(t, topology.NAT{Ports: mapping, KeepQuotedChecksum: true}), p).quote(t)[header(p.v6):]
			if got := binary.BigEndian.Uint16(q[port:]); got != srcPort || string(q) == string(sent) {
				t.Errorf("%s: port %d is restored, and only it: %x", mapping, got, q)
			}
		})
	}
}

// sumOutside is the sum of a quoted packet as it was outside: 0xffff if its
// checksum is right there.
func sumOutside(t *testing.T, p probe, ip []byte) uint16 {
	t.Helper()
	data := ip[header(p.v6):]
	proto, addrs := ip[9], append(netip.MustParseAddr("203.0.113.1").AsSlice(), ip[16:20]...)
	if p.v6 {
		proto, addrs = ip[6], append(netip.MustParseAddr("2001:db8:203::1").AsSlice(), ip[24:40]...)
	}
	if p.echo && !p.v6 {
		return ones(data)
	}
	pseudo := append(addrs, 0, proto, byte(len(data)>>8), byte(len(data)))
	return ones(append(pseudo, data...))
}

// An endpoint-independent mapping is one port, the other a port for each
// destination port (RFC 4787, section 4.1).
func TestNATMapsByEndpoint(t *testing.T) {
	for mapping, want := range map[topology.PortMapping]int{
		"": 1, topology.EndpointIndependent: 1, topology.AddressAndPortDependent: 8,
	} {
		n, ports := behind(t, topology.NAT{Ports: mapping, KeepQuotedPort: true}), map[string]bool{}
		for i := range 8 {
			q := one(t, n, probe{ttl: 3, dst: uint16(33434 + i)}).quote(t)
			ports[string(q[20:22])] = true
		}
		if len(ports) != want {
			t.Errorf("%q: %d ports", mapping, len(ports))
		}
	}
}

// A direct answer comes to the port that the host knows, with a right checksum
// (which decode checks).
func TestNATRestoresAnswers(t *testing.T) {
	ofEach(t, func(t *testing.T, p probe, _ int) {
		p.ttl = 64
		n := behind(t, topology.NAT{Ports: topology.EndpointIndependent, KeepQuotedPort: true})
		if p.tcp == nil && !p.echo {
			n = network(t, chain(func(c *topology.Topology) {
				c.Routers[0].NAT = &topology.NAT{
					Address: netip.MustParseAddr("203.0.113.1"), Address6: netip.MustParseAddr("2001:db8:203::1"),
					Ports: topology.EndpointIndependent,
				}
				c.Destinations[0].UDP = topology.UDPEcho
			}))
		}
		back := n.Carry(0, p.bytes(t), nil)
		if len(back) != 1 {
			t.Fatalf("%d answers", len(back))
		}
		d, upper := decode(t, back[0]), back[0].IP[header(p.v6):]
		got := binary.BigEndian.Uint16(upper[2:])
		if p.echo {
			got = binary.BigEndian.Uint16(upper[4:])
		}
		if got != srcPort {
			t.Errorf("%s to port %d", d.What, got)
		}
	})
}

func TestNATRenumbers(t *testing.T) {
	ids := func(by topology.NATID) (all []uint16) {
		n := behind(t, topology.NAT{ID: by})
		for range 5 {
			q := one(t, n, probe{ttl: 2, id: 7}).quote(t)
			if ones(q[:20]) != 0xffff {
				t.Errorf("%q: header checksum of %x", by, q[:20])
			}
			all = append(all, binary.BigEndian.Uint16(q[4:]))
		}
		return all
	}
	if got := ids(""); got[0] != 7 || got[4] != 7 {
		t.Errorf("kept: %d", got)
	}
	if got := ids(topology.NATIDOrdered); got[0] == 7 || got[4] != got[0]+4 {
		t.Errorf("ordered: %d", got)
	}
	if got := ids(topology.NATIDRandom); got[1] == got[0]+1 && got[2] == got[0]+2 {
		t.Errorf("random: %d", got)
	}
}

func TestNATRewritesQuotedTTL(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		for _, test := range []struct {
			nat  topology.NAT
			want uint8
		}{
			{topology.NAT{}, 1},
			{topology.NAT{QuotedTTL: topology.TTLReceived}, 3},
			{topology.NAT{QuotedTTL: topology.TTLValue, QuotedTTLValue: 9}, 9},
		} {
			q := one(t, behind(t, test.nat), probe{v6: v6, ttl: 3}).quote(t)
			if got := quotedTTL(q); got != test.want {
				t.Errorf("%q: quoted TTL %d", test.nat.QuotedTTL, got)
			}
		}
	})
}

// A NAT without an address of a family leaves that family alone.
func TestNATOfOneFamily(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		n := network(t, chain(func(c *topology.Topology) {
			nat := &topology.NAT{Ports: topology.EndpointIndependent, KeepQuotedPort: true, KeepQuotedChecksum: true}
			if v6 {
				nat.Address = netip.MustParseAddr("203.0.113.1")
			} else {
				nat.Address6 = netip.MustParseAddr("2001:db8:203::1")
			}
			c.Routers[0].NAT = nat
		}))
		p := probe{v6: v6, ttl: 3}
		if q := one(t, n, p).quote(t)[header(v6):]; string(q) != string(p.bytes(t)[header(v6):]) {
			t.Errorf("quote %x", q)
		}
	})
}
