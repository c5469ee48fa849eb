//go:build linux && cgo

package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/kernelnet"
	"github.com/tracewire/tracewire/capture/netns"
)

// openOn captures on an interface until the test ends.
func openOn(t testing.TB, o LiveOptions) *Live {
	t.Helper()
	live, err := OpenLive(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { live.Close() })
	return live
}

// packet is a UDP datagram of either family, with n bytes behind its header.
func packet(t testing.TB, src, dst string, n int) []byte {
	t.Helper()
	from, to := netip.MustParseAddr(src), netip.MustParseAddr(dst)
	udp := &layers.UDP{SrcPort: 1, DstPort: 9}
	var ip gopacket.SerializableLayer
	if from.Is4() {
		v4 := &layers.IPv4{Version: 4, TTL: 1, Id: 4711, Protocol: layers.IPProtocolUDP, SrcIP: from.AsSlice(), DstIP: to.AsSlice()}
		_, ip = udp.SetNetworkLayerForChecksum(v4), v4
	} else {
		v6 := &layers.IPv6{Version: 6, HopLimit: 1, NextHeader: layers.IPProtocolUDP, SrcIP: from.AsSlice(), DstIP: to.AsSlice()}
		_, ip = udp.SetNetworkLayerForChecksum(v6), v6
	}
	buffer := gopacket.NewSerializeBuffer()
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(buffer, options, ip, udp, gopacket.Payload(bytes.Repeat([]byte{'x'}, n))); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

// What the kernel does to a packet that it is to send with the header it has.
func TestLiveOnLoopbackChangesNothingButWhatIsWrong(t *testing.T) {
	with := func(at int, values ...byte) func([]byte) {
		return func(p []byte) { copy(p[at:], values) }
	}
	sum := func(p []byte) { // the header's checksum (RFC 791, section 3.1)
		binary.BigEndian.PutUint16(p[10:], 0)
		var sum uint32
		for i := 0; i < 20; i += 2 {
			sum += uint32(binary.BigEndian.Uint16(p[i:]))
		}
		binary.BigEndian.PutUint16(p[10:], ^uint16(sum>>16+sum))
	}
	tests := map[string]struct {
		src, dst string
		change   func([]byte)
		ignore   []int // the bytes that the kernel gives values of its own
		undo     func([]byte)
	}{
		"IPv4":            {"127.0.0.1", "127.0.0.2", with(0), nil, with(0)},
		"TOS, DF and TTL": {"127.0.0.1", "127.0.0.1", func(p []byte) { p[1], p[6], p[8] = 0xb9, 0x40, 255; sum(p) }, nil, with(0)},
		"no UDP checksum": {"127.0.0.1", "127.0.0.1", with(26, 0, 0), nil, with(0)},
		"ID 0":            {"127.0.0.1", "127.0.0.1", func(p []byte) { p[4], p[5] = 0, 0; sum(p) }, []int{4, 5, 10, 11}, with(0)},
		"checksum":        {"127.0.0.1", "127.0.0.1", with(10, 1, 2), nil, sum},
		"length":          {"127.0.0.1", "127.0.0.1", with(2, 0, 20), nil, func(p []byte) { p[3] = byte(len(p)); sum(p) }},
		"no source":       {"0.0.0.0", "127.0.0.1", with(0), nil, func(p []byte) { copy(p[12:], []byte{127, 0, 0, 1}); sum(p) }},
		"IPv6":            {"::1", "::1", with(0), nil, with(0)},
		"flow label":      {"::1", "::1", with(0, 0x6b, 0x91, 0x23, 0x45), nil, with(0)},
		"IPv6 length":     {"::1", "::1", with(4, 0, 8), nil, with(0)},
	}
	newLab(t)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			live := openOn(t, LiveOptions{Interface: "lo", Filter: "ip or ip6"})
			want := packet(t, tt.src, tt.dst, 32)
			tt.change(want)
			inject(t, live, want)
			tt.undo(want)
			got := take(t, live, 1)[0].Data[14:]
			for _, i := range tt.ignore {
				want[i], got[i] = 0, 0
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestLiveInjectsPackets(t *testing.T) {
	const mtu = 1400
	tests := []struct {
		name string
		data []byte
		want string
	}{
		{"nil", nil, "empty"},
		{"a byte", []byte{0x45}, "not an IP packet"},
		{"a header cut off", packet(t, "127.0.0.1", "127.0.0.1", 0)[:19], "not an IP packet"},
		{"an IPv6 header cut off", packet(t, "::1", "::1", 0)[:39], "not an IP packet"},
		{"a frame", make([]byte, 60), "not an IP packet"},
		{"the longest", packet(t, "127.0.0.1", "127.0.0.1", mtu-28), ""},
		{"the longest of IPv6", packet(t, "::1", "::1", mtu-48), ""},
		{"a byte too long", packet(t, "127.0.0.1", "127.0.0.1", mtu-27), "too long"},
		{"a byte too long of IPv6", packet(t, "::1", "::1", mtu-47), "too long"},
	}
	for _, name := range []string{"lo", "tun0"} {
		t.Run(name, func(t *testing.T) {
			n := kernelnet.New(t)
			if name == "tun0" {
				n.Tunnel(kernelnet.Tun, n.Host(), n.Router("r"), "10.78.1.0/24", "fd78:1::/64")
			} else {
				defer n.Host().Run("ip", "link", "set", "lo", "mtu", "65536")
			}
			n.Host().Run("ip", "link", "set", name, "mtu", "1400")
			live := openOn(t, LiveOptions{Interface: name, Filter: "udp port 9"})
			var want []int
			for _, tt := range tests {
				err := live.Inject(tt.data)
				switch {
				case tt.want == "" && err != nil:
					t.Errorf("%s: %v", tt.name, err)
				case tt.want == "":
					want = append(want, len(tt.data))
				case err == nil || !strings.HasPrefix(err.Error(), "capture: "+name+": ") || !strings.Contains(err.Error(), tt.want):
					t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
				}
			}
			var got []int
			for _, f := range take(t, live, len(want)) {
				p, err := frame.Decode(&f)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, len(p.IP))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("packets on the link (-want +got):\n%s", diff)
			}
			live.Close()
			if err := live.Inject(tests[5].data); !errors.Is(err, ErrClosed) {
				t.Errorf("after Close: %v", err)
			}
		})
	}
}

func TestLiveOnLoopbackClosedWhileInUse(t *testing.T) {
	newLab(t)
	data := packet(t, "127.0.0.1", "127.0.0.1", 8)
	for range 5 {
		live := openOn(t, LiveOptions{Interface: "lo", Filter: "udp", Buffer: 1 << 16})
		var wait sync.WaitGroup
		for range 2 {
			wait.Go(func() {
				var err error
				for err == nil || errors.Is(err, ErrBusy) {
					err = live.Inject(data)
				}
				if !errors.Is(err, ErrClosed) {
					t.Error(err)
				}
			})
		}
		frames := 0
		for _, err := range live.Frames(t.Context()) {
			if err != nil {
				t.Error(err)
			}
			if frames++; frames == 50 {
				wait.Go(func() { live.Close() })
			}
		}
		wait.Wait()
	}
}

// A Live goes on looking at its interface where that is, not at one of the same
// number or name where its user is.
func TestLiveInAnotherNamespace(t *testing.T) {
	n := kernelnet.New(t)
	office := n.Router("office")
	n.Link(office, n.Router("r"), "10.77.1.0/24")
	office.Publish("office")
	var live *Live
	if err := netns.Do("office", func() (err error) {
		live, err = OpenLive(LiveOptions{Interface: "eth0"})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	idle, ended := reading(t.Context(), live)
	<-idle
	select {
	case err := <-ended:
		t.Fatalf("ended while all was well: %v", err)
	case <-time.After(2 * linkInterval):
	}
	office.Run("ip", "link", "set", "eth0", "down")
	if err := await(t, ended); !errors.Is(err, ErrDown) {
		t.Errorf("set down: %v", err)
	}
}

// Frames that leave by a port of a bridge come from the bridge's address.
func TestLiveKnowsFramesByTheAddressGiven(t *testing.T) {
	l := newLab(t)
	tests := map[string]struct {
		mac  []byte
		want frame.Direction
	}{
		"the interface's own": {nil, frame.In},
		"another":             {nobody, frame.Out},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			live := l.open(t, LiveOptions{MAC: tt.mac})
			bridge := kernelnet.End{MAC: nobody, Addrs: l.host.Addrs}
			inject(t, live, udpFrame(&bridge, 9, "x"))
			if f := take(t, live, 1)[0]; f.Direction != tt.want {
				t.Errorf("direction %v, want %v", f.Direction, tt.want)
			}
		})
	}
}

// On a link without addresses the packet's own tell which way it goes.
func TestLiveTellsDirectionsOfPackets(t *testing.T) {
	tests := map[string]struct {
		src, dst string
		want     frame.Direction
	}{
		"sent":              {"10.78.1.1", "10.99.0.1", frame.Out},
		"received":          {"10.99.0.1", "10.78.1.1", frame.In},
		"forwarded":         {"10.99.0.1", "10.99.0.2", frame.Unknown},
		"sent, IPv6":        {"fd78:1::1", "fd99::1", frame.Out},
		"received, IPv6":    {"fd99::1", "fd78:1::1", frame.In},
		"forwarded, IPv6":   {"fd99::1", "fd99::2", frame.Unknown},
		"for another of us": {"10.99.0.1", "10.55.0.1", frame.In},
	}
	n := kernelnet.New(t)
	n.Host().Address("10.55.0.1")
	n.Tunnel(kernelnet.Tun, n.Host(), n.Router("r"), "10.78.1.0/24", "fd78:1::/64")
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			live := openOn(t, LiveOptions{Interface: "tun0", Filter: "udp port 9"})
			inject(t, live, packet(t, tt.src, tt.dst, 8))
			if f := take(t, live, 1)[0]; f.Direction != tt.want || f.Link != frame.Raw {
				t.Errorf("direction %v on link %v, want %v", f.Direction, f.Link, tt.want)
			}
		})
	}
}

// behindHeaders puts IPv6 extension headers of 8 bytes before an ICMPv6 message.
func behindHeaders(src, dst string, headers ...layers.IPProtocol) []byte {
	b := make([]byte, 40)
	b[0], b[7] = 0x60, 64
	from, to := netip.MustParseAddr(src).As16(), netip.MustParseAddr(dst).As16()
	copy(b[8:], from[:])
	copy(b[24:], to[:])
	next := 6 // where the number of the following header goes
	for _, h := range headers {
		b[next], next = byte(h), len(b)
		b = append(b, 0, 0, 1, 4, 0, 0, 0, 0) // PadN (RFC 8200, section 4.2), or nothing else
	}
	b[next] = byte(layers.IPProtocolICMPv6)
	b = append(b, 3, 0, 0, 0, 0, 0, 0, 0)
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)-40))
	return b
}

func TestFilterICMPSeesBehindExtensionHeaders(t *testing.T) {
	const src, dst = "fd99::1", "fd99::2"
	tests := map[string][]byte{
		"none":                behindHeaders(src, dst),
		"hop-by-hop options":  behindHeaders(src, dst, layers.IPProtocolIPv6HopByHop),
		"destination options": behindHeaders(src, dst, layers.IPProtocolIPv6Destination),
		"routing":             behindHeaders(src, dst, layers.IPProtocolIPv6Routing),
		"fragment":            behindHeaders(src, dst, layers.IPProtocolIPv6Fragment),
		"two":                 behindHeaders(src, dst, layers.IPProtocolIPv6HopByHop, layers.IPProtocolIPv6Destination),
	}
	ethernet := slices.Concat(nobody, nobody, []byte{0x86, 0xdd})
	links := []struct {
		name, device string
		header       []byte
	}{
		{"Ethernet", "eth0", ethernet},
		{"VLAN", "eth0", tagged(ethernet, 0x81000005)},
		{"tun", "tun1", nil},
	}
	for _, link := range links {
		t.Run(link.name, func(t *testing.T) {
			n := kernelnet.New(t)
			r := n.Router("r")
			n.Link(n.Host(), r)
			if link.device == "tun1" {
				n.Tunnel(kernelnet.Tun, n.Host(), r)
			}
			live := openOn(t, LiveOptions{Interface: link.device, Filter: FilterICMP})
			var want, got [][]byte
			for _, data := range tests {
				inject(t, live, slices.Concat(link.header, packet(t, src, dst, 8))) // not this
				want = append(want, slices.Concat(link.header, data))
				inject(t, live, want[len(want)-1])
			}
			for _, f := range take(t, live, len(want)) {
				got = append(got, f.Data)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
