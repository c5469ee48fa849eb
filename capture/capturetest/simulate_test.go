package capturetest_test

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/capturetest"
	"github.com/tracewire/tracewire/capture/capturetest/topology"
	"github.com/tracewire/tracewire/capture/frame"
)

const host6, dest6 = "2001:db8::1:1", "2001:db8:3::7"

// likeChain is the topology that does what chain does.
func likeChain() *topology.Topology {
	t := &topology.Topology{
		Name: "chain",
		Host: topology.Host{Addresses: []netip.Prefix{netip.MustParsePrefix(host + "/24"), netip.MustParsePrefix(host6 + "/64")}, Gateways: capturetest.Addrs("192.0.2.254", "2001:db8::ff")},
		Links: []topology.Link{{
			Path: []string{"host", "r1", "r2", "r3", "end"}, Delay: topology.Duration(time.Millisecond),
		}},
		Destinations: []topology.Destination{{Node: topology.Node{Name: "end", Addresses: capturetest.Addrs(dest, dest6)}}},
	}
	for i, a := range []string{hop1, hop2, hop3} {
		six := "2001:db8:1::" + string(rune('1'+i))
		t.Routers = append(t.Routers, topology.Router{
			Node: topology.Node{Name: "r" + string(rune('1'+i)), Addresses: capturetest.Addrs(a, six)},
		})
	}
	return t
}

func simulated(t *testing.T, h capturetest.Host) (*capturetest.Network, *capturetest.Conn) {
	t.Helper()
	n, err := capturetest.Simulate(likeChain())
	if err != nil {
		t.Fatal(err)
	}
	return n, n.Conn(h)
}

// TestASimulatedChainIsLikeAChain compares the two simulators, which share no
// code, frame by frame.
func TestASimulatedChainIsLikeAChain(t *testing.T) {
	run := func(connect func() *capturetest.Conn) (frames []frame.Frame) {
		synctest.Test(t, func(t *testing.T) {
			c := connect()
			for ttl := range uint8(9) {
				for _, size := range []int{0, 7, 800} {
					p := probe(ttl + 1)
					p.Payload = bytes.Repeat([]byte{ttl}, size)
					inject(t, c, p)
				}
			}
			frames = capture(t, c, time.Second)
		})
		return frames
	}
	want := run(func() *capturetest.Conn { _, c := connect(t, chain(), capturetest.Host{}); return c })
	got := run(func() *capturetest.Conn { _, c := simulated(t, capturetest.Host{}); return c })
	for _, frames := range [][]frame.Frame{want, got} {
		for _, f := range frames {
			if f.Direction == frame.In {
				clear(f.Data[14+4 : 14+6])   // each counts its IP IDs from elsewhere
				clear(f.Data[14+10 : 14+12]) // and the checksum covers them
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || len(want) != 2*27 {
		t.Errorf("%d frames (-chain +topology):\n%s", len(want), diff)
	}
}

func TestSimulateIPv6(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, c := simulated(t, capturetest.Host{})
		if got := c.Host(); got.Addr.String() != host || got.Addr6.String() != host6 || got.MTU != 1500 {
			t.Errorf("host %+v", got)
		}
		ip := &layers.IPv6{
			Version: 6, HopLimit: 2, NextHeader: layers.IPProtocolUDP,
			SrcIP: c.Host().Addr6.AsSlice(), DstIP: netip.MustParseAddr(dest6).AsSlice(),
		}
		udp := &layers.UDP{SrcPort: srcPort, DstPort: dstPort}
		if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
			t.Fatal(err)
		}
		buf := gopacket.NewSerializeBuffer()
		opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
		if err := gopacket.SerializeLayers(buf, opts, ip, udp, gopacket.Payload("probe")); err != nil {
			t.Fatal(err)
		}
		if err := c.Inject(c.Outbound(buf.Bytes())); err != nil {
			t.Fatal(err)
		}
		frames := capture(t, c, time.Second)
		if len(frames) != 2 {
			t.Fatalf("captured %d frames; %v", len(frames), c.Stats().Malformed)
		}
		if got := frames[1].Time.Sub(frames[0].Time); got != 4*time.Millisecond {
			t.Errorf("RTT %v, want 4ms", got)
		}
		p := gopacket.NewPacket(frames[1].Data, layers.LayerTypeEthernet, gopacket.Default)
		got, ok := p.NetworkLayer().(*layers.IPv6)
		if !ok || got.SrcIP.String() != "2001:db8:1::2" || p.Layer(layers.LayerTypeICMPv6) == nil {
			t.Errorf("%v", p)
		}
		if got := n.Simulation().Stats(); got.Carried != 1 || got.Nodes[2].Answered != 1 {
			t.Errorf("stats %+v", got)
		}
	})
}

func TestSimulatedHostsShareLimitsAndTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		of := likeChain()
		of.Routers[0].Answer.Limit = topology.Limit{Rate: 1, Burst: 1}
		n, err := capturetest.Simulate(of)
		if err != nil {
			t.Fatal(err)
		}
		a := n.Conn(capturetest.Host{NoCopies: true})
		<-time.After(10 * time.Second)
		b := n.Conn(capturetest.Host{NoCopies: true})
		var got []int
		for _, c := range []*capturetest.Conn{a, b, a} {
			inject(t, c, probe(1))
			got = append(got, n.Simulation().Stats().Nodes[1].Answered)
			<-time.After(time.Second / 2)
		}
		if want := []int{1, 1, 2}; !slices.Equal(got, want) {
			t.Errorf("answered %v, want %v", got, want)
		}
		if f := capture(t, b, time.Second); len(f) != 0 {
			t.Errorf("the second host captured %d frames", len(f))
		}
	})
}

func TestSimulateTellsWhatIsMalformed(t *testing.T) {
	_, c := simulated(t, capturetest.Host{})
	f := c.Outbound(packet(t, probe(1)))
	f[14+27]++
	if err := c.Inject(f); err != nil {
		t.Fatal(err)
	}
	if got := c.Stats().Malformed; len(got) != 1 || got[0].Error() != "capturetest: frame 1: wrong UDP checksum" {
		t.Errorf("malformed: %v", got)
	}
}

func TestSimulateRefusesWhatIsNotValid(t *testing.T) {
	of := likeChain()
	of.Links[0].Path[1] = "nobody"
	if n, err := capturetest.Simulate(of); err == nil {
		t.Errorf("built %+v", n)
	}
}
