package simulate_test

import (
	"encoding/binary"
	"strings"
	"sync"
	"testing"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/capturetest/simulate"
	"github.com/tracewire/tracewire/capture/capturetest/topology"
)

// resum makes a bent IPv4 header's checksum right.
func resum(ip []byte) []byte {
	ip[10], ip[11] = 0, 0
	binary.BigEndian.PutUint16(ip[10:], ^ones(ip[:int(ip[0]&15)*4]))
	return ip
}

func TestMalformedPacketsAreCountedAndDropped(t *testing.T) {
	type bend func(ip []byte) []byte
	tcp, echo := probe{tcp: &layers.TCP{SYN: true}}, probe{echo: true}
	udp6, tcp6, echo6 := probe{v6: true}, probe{v6: true, tcp: tcp.tcp}, probe{v6: true, echo: true}
	tests := []struct {
		name string
		p    probe
		bend bend
		want string
	}{
		{"nothing", probe{}, func(ip []byte) []byte { return nil }, "no IP header"},
		{"version", probe{}, func(ip []byte) []byte { ip[0] = 0x55; return ip }, "IP version 5"},
		{"no header", probe{}, func(ip []byte) []byte { return ip[:19] }, "no IPv4 header"},
		{"header too short", probe{}, func(ip []byte) []byte { ip[0] = 0x44; return ip }, "IPv4 header of 16 bytes"},
		{"cut", probe{}, func(ip []byte) []byte { return ip[:59] }, "IPv4 header of 20 bytes, total length 60, in 59 bytes"},
		{"total length", probe{}, func(ip []byte) []byte { ip[3] = 19; return resum(ip) }, "IPv4 header of 20 bytes, total length 19"},
		{"header checksum", probe{}, func(ip []byte) []byte { ip[4]++; return ip }, "wrong IPv4 header checksum"},
		{"UDP length", probe{}, func(ip []byte) []byte { ip[25]--; return ip }, "UDP length 39"},
		{"UDP checksum", probe{}, func(ip []byte) []byte { ip[27]++; return ip }, "wrong UDP checksum"},
		{"UDP cut", probe{}, func(ip []byte) []byte { ip[3] = 27; return resum(ip) }, "UDP header in 7 bytes"},
		{"TCP cut", tcp, func(ip []byte) []byte { ip[3] = 39; return resum(ip) }, "TCP header in 19 bytes"},
		{"TCP offset", tcp, func(ip []byte) []byte { ip[32] = 0xf0; ip[3] = 60; return resum(ip) }, "TCP header of 60 bytes in 40"},
		{"TCP offset too small", tcp, func(ip []byte) []byte { ip[32] = 0x40; return ip }, "TCP header of 16 bytes"},
		{"TCP checksum", tcp, func(ip []byte) []byte { ip[24]++; return ip }, "wrong TCP checksum"},
		{"ICMP cut", echo, func(ip []byte) []byte { ip[3] = 27; return resum(ip) }, "ICMP header in 7 bytes"},
		{"ICMP checksum", echo, func(ip []byte) []byte { ip[27]++; return ip }, "wrong ICMP checksum"},
		{"no IPv6 header", udp6, func(ip []byte) []byte { return ip[:39] }, "no IPv6 header"},
		{"IPv6 cut", udp6, func(ip []byte) []byte { return ip[:79] }, "IPv6 payload length 40 in 39 bytes"},
		{"extension header cut", udp6, func(ip []byte) []byte { ip[6], ip[5] = 0, 7; return ip[:47] }, "IPv6 extension header 0 is cut"},
		{"extension header too long", udp6, func(ip []byte) []byte { ip[6], ip[41] = 60, 9; return ip }, "IPv6 extension header 60 is cut"},
		{"IPv6 UDP without checksum", udp6, func(ip []byte) []byte { ip[46], ip[47] = 0, 0; return ip }, "wrong UDP checksum"},
		{"IPv6 UDP length", udp6, func(ip []byte) []byte { ip[45]++; return ip }, "UDP length 41"},
		{"IPv6 TCP checksum", tcp6, func(ip []byte) []byte { ip[44]++; return ip }, "wrong TCP checksum"},
		{"IPv6 ICMP checksum", echo6, func(ip []byte) []byte { ip[47]++; return ip }, "wrong ICMP checksum"},
		{"longer than the MTU", probe{size: 1473}, func(ip []byte) []byte { return ip }, "1501 bytes on a link with MTU 1500"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n := network(t, chain(nil))
			ip := test.bend(test.p.bytes(t))
			back, err := n.CarryOrError(0, ip, nil)
			if err == nil || !strings.HasPrefix(err.Error(), test.want) || len(back) != 0 {
				t.Errorf("%d answers, error %v, want %q", len(back), err, test.want)
			}
			s := n.Stats()
			if s.Carried != 1 || s.Malformed != 1 || s.Reason == nil || s.Nodes[1].Received != 0 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

func TestPaddedFramesAndMissingUDPChecksumsAreFine(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		n := network(t, chain(nil))
		ip := probe{v6: v6}.bytes(t)
		if !v6 {
			ip[26], ip[27] = 0, 0
		}
		back := n.Carry(0, append(ip, make([]byte, 10)...), nil)
		if len(back) != 1 {
			t.Fatal(n.Stats().Reason)
		}
		if got := len(decode(t, back[0]).quote(t)); got != len(ip) {
			t.Errorf("quotes %d bytes of %d", got, len(ip))
		}
	})
}

func TestNewRefusesWhatIsNotValid(t *testing.T) {
	_, err := simulate.New(chain(func(c *topology.Topology) {
		c.Links = append(c.Links, topology.Link{Path: []string{"r3", "r1"}})
		c.Links[0].Delay = -1
	}))
	if err == nil || strings.Count(err.Error(), "\n") != 1 || !strings.Contains(err.Error(), "loop") {
		t.Errorf("error %q, want two lines", err)
	}
}

// everything is a network with all that a probe may meet.
func everything() *topology.Topology {
	of := million()
	of.Routers[0].NAT = &topology.NAT{Address: node("", "203.0.113.1").Addresses[0]}
	of.Routers[0].SetDSCP = new(uint8(7))
	of.Routers[1].Answer = topology.Answer{
		MPLS:  &topology.MPLS{Labels: []topology.Label{{Label: 16}}},
		Quote: topology.Quote{Length: -1, ID: topology.IDSwapped, TTL: topology.TTLSent},
	}
	of.Routers[1].Reject = &topology.Reject{Code: 13, Hook: topology.Forward, AllowTCP: []uint16{80, 443}}
	of.Routers[2].Answer = topology.Answer{Quote: topology.Quote{Length: 8}, AsDestination: true}
	of.Destinations[0].Service = topology.Service{UDP: topology.UDPDNS, Open: []uint16{443}}
	of.Destinations = append(of.Destinations, topology.Destination{
		Node: node("echo", "198.51.100.8", "2001:db8:ffff::8"), Service: topology.Service{UDP: topology.UDPEcho},
	})
	of.Links[0].Duplicate, of.Links[0].MTU = 0.1, 1280
	of.Links = append(of.Links, topology.Link{Path: []string{"r1", "r3", "echo"}, MTU: 1300})
	return of
}

// FuzzCarry states that whatever the host sends, the network takes it and
// returns not many packets, with right lengths and checksums.
func FuzzCarry(f *testing.F) {
	for _, v6 := range []bool{false, true} {
		for _, p := range []probe{
			{v6: v6}, {v6: v6, ttl: 2}, {v6: v6, dst: 53}, {v6: v6, echo: true}, {v6: v6, tcp: &layers.TCP{SYN: true}, dst: 443},
			{v6: v6, to: pick(v6, "198.51.100.8", "2001:db8:ffff::8")}, {v6: v6, size: 1250, dontFrag: true},
			{v6: v6, to: pick(v6, "172.16.1.2", "2001:db8:aaaa::1"), ttl: 8},
			{v6: v6, to: pick(v6, "100.64.1.2", "2001:db8:bbbb::1"), ttl: 8},
		} {
			f.Add(p.bytes(f), true)
			f.Add(p.bytes(f), false)
		}
	}
	n := network(f, everything())
	f.Fuzz(func(t *testing.T, ip []byte, repair bool) {
		if repair && len(ip) >= 20 && ip[0]>>4 == 4 && len(ip) >= int(ip[0]&15)*4 && ip[0]&15 >= 5 {
			resum(ip)
		}
		back := n.Carry(0, ip, nil)
		if len(back) > 64 {
			t.Fatalf("%d packets", len(back))
		}
		for _, a := range back {
			if len(a.IP) < 20 || len(a.IP) > 1500 || a.At < 0 {
				t.Errorf("%d bytes after %v", len(a.IP), a.At)
			}
			decode(t, a)
		}
	})
}

func TestAnyGoroutineMayCarry(t *testing.T) {
	n := network(t, everything())
	ip := probe{ttl: 2}.bytes(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				n.Carry(0, ip, nil)
				n.Stats()
			}
		})
	}
	wg.Wait()
	if got := n.Stats().Carried; got != 400 {
		t.Errorf("%d carried", got)
	}
}
