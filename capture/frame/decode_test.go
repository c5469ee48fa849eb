package frame_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/capture/frame"
)

// Two probes, each with two bytes behind what its IP length says.
const (
	ip4 = "4500001cabcd00000111f5c20a4d01010a630001" + "8235829b00080000" + "0000"
	ip6 = "600000000008110120010db800000000000000000000000120010db8000000000000000000000002" +
		"8235829b00080000" + "0000"
	// ethernet is the addresses of an Ethernet header.
	ethernet = "020000000002020000000001"
)

var (
	dst = frame.MAC{2, 0, 0, 0, 0, 2}
	src = frame.MAC{2, 0, 0, 0, 0, 1}
)

// unhex reads hexadecimal digits with spaces between them.
func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// carriers are frames that carry IP: link is all that comes before the packet,
// want all of the result but the packet.
var carriers = []struct {
	name string
	t    frame.LinkType
	link string
	ip   string
	want frame.Packet
}{
	{"Ethernet IPv4", frame.Ethernet, ethernet + "0800", ip4, frame.Packet{Version: 4, Src: src, Dst: dst}},
	{"Ethernet IPv6", frame.Ethernet, ethernet + "86dd", ip6, frame.Packet{Version: 6, Src: src, Dst: dst}},
	{"802.1Q", frame.Ethernet, ethernet + "8100 6064 0800", ip4, tagged(4, frame.VLAN{TPID: 0x8100, TCI: 0x6064})},
	{"802.1ad", frame.Ethernet, ethernet + "88a8 0005 8100 0006 86dd", ip6,
		tagged(6, frame.VLAN{TPID: 0x88a8, TCI: 5}, frame.VLAN{TPID: 0x8100, TCI: 6})},
	{"QinQ of old", frame.Ethernet, ethernet + "9100 0005 8100 0006 0800", ip4,
		tagged(4, frame.VLAN{TPID: 0x9100, TCI: 5}, frame.VLAN{TPID: 0x8100, TCI: 6})},
	{"six VLAN tags, of which four are kept", frame.Ethernet,
		ethernet + "8100 0001 8100 0002 8100 0003 8100 0004 8100 0005 8100 0006 0800", ip4,
		tagged(4, frame.VLAN{TPID: 0x8100, TCI: 1}, frame.VLAN{TPID: 0x8100, TCI: 2},
			frame.VLAN{TPID: 0x8100, TCI: 3}, frame.VLAN{TPID: 0x8100, TCI: 4})},
	{"MPLS", frame.Ethernet, ethernet + "8847 18960101", ip4, frame.Packet{Version: 4, Src: src, Dst: dst}},
	{"MPLS, three labels", frame.Ethernet, ethernet + "8847 18960040 18961040 00002140", ip6,
		frame.Packet{Version: 6, Src: src, Dst: dst}},
	{"MPLS multicast", frame.Ethernet, ethernet + "8848 18960101", ip4, frame.Packet{Version: 4, Src: src, Dst: dst}},
	{"MPLS in a VLAN", frame.Ethernet, ethernet + "8100 0007 8847 18960101", ip4, tagged(4, frame.VLAN{TPID: 0x8100, TCI: 7})},
	{"SNAP", frame.Ethernet, ethernet + "0026 aaaa03 000000 0800", ip4, frame.Packet{Version: 4, Src: src, Dst: dst}},
	{"SNAP in a VLAN", frame.Ethernet, ethernet + "8100 0007 0026 aaaa03 000000 0800", ip4,
		tagged(4, frame.VLAN{TPID: 0x8100, TCI: 7})},
	{"PPPoE IPv4", frame.Ethernet, ethernet + "8864 1100 0001 001e 0021", ip4, frame.Packet{Version: 4, Src: src, Dst: dst}},
	{"PPPoE IPv6 in a VLAN", frame.Ethernet, ethernet + "8100 0007 8864 1100 0001 0032 0057", ip6,
		tagged(6, frame.VLAN{TPID: 0x8100, TCI: 7})},
	{"SLL received", frame.LinuxSLL, "0000 0001 0006 020000000001 0000 0800", ip4,
		frame.Packet{Version: 4, Src: src, Direction: frame.In}},
	{"SLL sent", frame.LinuxSLL, "0004 0001 0006 020000000001 0000 86dd", ip6,
		frame.Packet{Version: 6, Src: src, Direction: frame.Out}},
	{"SLL without address", frame.LinuxSLL, "0004 fffe 0000 0000000000000000 0800", ip4,
		frame.Packet{Version: 4, Direction: frame.Out}},
	{"SLL of a tunnel, with an address of 4 bytes", frame.LinuxSLL, "0000 0300 0004 0a4d010100000000 0800", ip4,
		frame.Packet{Version: 4, Direction: frame.In}},
	{"SLL, an address of 65535 bytes", frame.LinuxSLL, "0000 0001 ffff ffffffffffffffff 0800", ip4,
		frame.Packet{Version: 4, Direction: frame.In}},
	{"SLL, a VLAN tag put back by libpcap", frame.LinuxSLL, "0001 0001 0006 020000000001 0000 8100 0009 0800", ip4,
		frame.Packet{Version: 4, Src: src, Direction: frame.In, NumVLANs: 1, VLANs: [4]frame.VLAN{{TPID: 0x8100, TCI: 9}}}},
	{"SLL, 802.2 with SNAP", frame.LinuxSLL, "0000 0001 0006 020000000001 0000 0004 aaaa03 000000 0800", ip4,
		frame.Packet{Version: 4, Src: src, Direction: frame.In}},
	{"SLL2 received, promiscuously", frame.LinuxSLL2, "0800 0000 00000002 0001 03 06 020000000001 0000", ip4,
		frame.Packet{Version: 4, Src: src, Direction: frame.In}},
	{"SLL2 sent", frame.LinuxSLL2, "86dd 0000 00000002 0001 04 06 020000000001 0000", ip6,
		frame.Packet{Version: 6, Src: src, Direction: frame.Out}},
	{"SLL2 packet type 7", frame.LinuxSLL2, "0800 0000 00000002 0001 07 06 020000000001 0000", ip4,
		frame.Packet{Version: 4, Src: src}},
	{"raw IPv4", frame.Raw, "", ip4, frame.Packet{Version: 4}},
	{"raw IPv6", frame.Raw, "", ip6, frame.Packet{Version: 6}},
	{"raw as DLT 12", 12, "", ip6, frame.Packet{Version: 6}},
	{"raw as DLT 14", 14, "", ip4, frame.Packet{Version: 4}},
	{"LINKTYPE_IPV4", frame.IPv4, "", ip4, frame.Packet{Version: 4}},
	{"LINKTYPE_IPV6", frame.IPv6, "", ip6, frame.Packet{Version: 6}},
	{"NULL little-endian", frame.Null, "02000000", ip4, frame.Packet{Version: 4}},
	{"NULL big-endian", frame.Null, "00000002", ip4, frame.Packet{Version: 4}},
	{"NULL Linux", frame.Null, "0a000000", ip6, frame.Packet{Version: 6}},
	{"NULL OpenBSD", frame.Null, "00000018", ip6, frame.Packet{Version: 6}},
	{"NULL FreeBSD", frame.Null, "1c000000", ip6, frame.Packet{Version: 6}},
	{"NULL Darwin", frame.Null, "1e000000", ip6, frame.Packet{Version: 6}},
	{"LOOP IPv4", frame.Loop, "00000002", ip4, frame.Packet{Version: 4}},
	{"LOOP IPv6", frame.Loop, "00000018", ip6, frame.Packet{Version: 6}},
	{"PPP", frame.PPP, "0021", ip4, frame.Packet{Version: 4}},
	{"PPP like HDLC", frame.PPP, "ff03 0057", ip6, frame.Packet{Version: 6}},
	{"PPP compressed", frame.PPP, "21", ip4, frame.Packet{Version: 4}},
	{"PPP like HDLC, compressed", frame.PPP, "ff03 57", ip6, frame.Packet{Version: 6}},
	{"PPP MPLS", frame.PPP, "ff03 0281 18960101", ip4, frame.Packet{Version: 4}},
	{"PPP MPLS multicast, two labels", frame.PPP, "0283 18960001 18960101", ip6, frame.Packet{Version: 6}},
}

// tagged is an Ethernet packet of an IP version, with VLAN tags.
func tagged(version uint8, tags ...frame.VLAN) frame.Packet {
	p := frame.Packet{Version: version, Src: src, Dst: dst, NumVLANs: len(tags)}
	copy(p.VLANs[:], tags)
	return p
}

func TestDecodeFindsTheIPPacket(t *testing.T) {
	for _, c := range carriers {
		t.Run(c.name, func(t *testing.T) {
			want := c.want
			want.IP = unhex(c.ip)
			got, err := frame.Decode(&frame.Frame{Link: c.t, Data: unhex(c.link + c.ip)})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecodeOfAFrameCutAnywhere(t *testing.T) {
	for _, c := range carriers {
		t.Run(c.name, func(t *testing.T) {
			whole, link := unhex(c.link+c.ip), len(unhex(c.link))
			header := map[uint8]int{4: 20, 6: 40}[c.want.Version]
			for n := range whole {
				got, err := frame.Decode(&frame.Frame{Link: c.t, Data: whole[:n]})
				if n >= link+header {
					if err != nil || !bytes.Equal(got.IP, whole[link:n]) {
						t.Errorf("cut at %d: %x, %v, want what is left of the packet", n, got.IP, err)
					}
					continue
				}
				if !errors.Is(err, frame.ErrTruncated) && !errors.Is(err, frame.ErrNotIP) {
					t.Errorf("cut at %d: error %v", n, err)
				}
				if diff := cmp.Diff(frame.Packet{}, got); diff != "" {
					t.Errorf("cut at %d: a packet beside the error: %s", n, diff)
				}
			}
		})
	}
}

func TestDecodeSaysWhyThereIsNoPacket(t *testing.T) {
	for _, c := range []struct {
		name string
		t    frame.LinkType
		data string
		want error
	}{
		{"ARP", frame.Ethernet, ethernet + "0806 0001080006040001", frame.ErrNotIP},
		{"LLDP", frame.Ethernet, "0180c200000e 020000000001 88cc 0207", frame.ErrNotIP},
		{"PPPoE discovery", frame.Ethernet, ethernet + "8863 1109 0000 0000", frame.ErrNotIP},
		{"spanning tree over LLC", frame.Ethernet, "0180c2000000 020000000001 0026 424203 0000", frame.ErrNotIP},
		{"LLC, 3 bytes", frame.Ethernet, ethernet + "0003 0000e3", frame.ErrNotIP},
		{"Novell over 802.3", frame.Ethernet, ethernet + "0026 ffff 0026", frame.ErrNotIP},
		{"SNAP of Cisco", frame.Ethernet, "01000ccccccc 020000000001 0026 aaaa03 00000c 2000", frame.ErrNotIP},
		{"SNAP with a length", frame.Ethernet, ethernet + "0026 aaaa03 000000 0026 aaaa03 000000 0800" + ip4, frame.ErrNotIP},
		{"PPP LCP", frame.PPP, "ff03 c021 01010004", frame.ErrNotIP},
		{"PPPoE LCP", frame.Ethernet, ethernet + "8864 1100 0001 0006 c021 09000008", frame.ErrNotIP},
		{"SLL netlink", frame.LinuxSLL, "0004 0338 0000 0000000000000000 0000 24000000", frame.ErrNotIP},
		{"SLL, a protocol that is no length", frame.LinuxSLL,
			"0000 0001 0006 020000000001 0000 0026 aaaa03 000000 0800" + ip4, frame.ErrNotIP},
		{"NULL IPX", frame.Null, "17000000 ffff", frame.ErrNotIP},
		{"NULL, a family above 16 bits", frame.Null, "02000100" + ip4, frame.ErrNotIP},
		{"MPLS pseudowire", frame.Ethernet, ethernet + "8847 18960101 00000000", frame.ErrNotIP},

		{"nothing", frame.Ethernet, "", frame.ErrTruncated},
		{"MPLS without a bottom", frame.Ethernet, ethernet + "8847 18960001 18960001", frame.ErrTruncated},

		{"Ethernet says 4, IP 6", frame.Ethernet, ethernet + "0800" + ip6, frame.ErrMalformed},
		{"Ethernet says 6, IP 4", frame.Ethernet, ethernet + "86dd" + ip4, frame.ErrMalformed},
		{"LINKTYPE_IPV4 with 6", frame.IPv4, ip6, frame.ErrMalformed},
		{"LINKTYPE_IPV6 with 4", frame.IPv6, ip4, frame.ErrMalformed},
		{"NULL says 4, IP 6", frame.Null, "02000000" + ip6, frame.ErrMalformed},
		{"PPP says 6, IP 4", frame.PPP, "0057" + ip4, frame.ErrMalformed},
		{"raw, version 5", frame.Raw, "55" + ip4, frame.ErrMalformed},
		{"PPP protocol with an even last byte", frame.PPP, "ff03 0020" + ip4, frame.ErrMalformed},
		{"PPPoE, version 2", frame.Ethernet, ethernet + "8864 2100 0001 001e 0021" + ip4, frame.ErrMalformed},
		{"PPPoE, a code in a session", frame.Ethernet, ethernet + "8864 11a7 0001 001e 0021" + ip4, frame.ErrMalformed},

		{"802.11", 105, "08000000" + ip4, frame.ErrLinkType},
		{"SLL2 as a uint8", 20, ip4, frame.ErrLinkType},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := frame.Decode(&frame.Frame{Link: c.t, Data: unhex(c.data)})
			if !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if diff := cmp.Diff(frame.Packet{}, got); diff != "" {
				t.Errorf("a packet beside the error: %s", diff)
			}
		})
	}
}

func TestDecodeNamesTheUnknownLinkType(t *testing.T) {
	_, err := frame.Decode(&frame.Frame{Link: 65000, Data: unhex(ip4)})
	if want := "frame: unknown link type 65000"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestDecodeKeepsTheDirectionOfTheFrame(t *testing.T) {
	f := frame.Frame{Link: frame.LinuxSLL, Direction: frame.In,
		Data: unhex("0004 0001 0006 020000000001 0000 0800" + ip4)}
	if p, err := frame.Decode(&f); err != nil || p.Direction != frame.In {
		t.Errorf("direction %v, error %v, want %v of the frame", p.Direction, err, frame.In)
	}
}

func TestDecodeGivesNoRoomBehindTheFrame(t *testing.T) {
	data := unhex(ethernet + "0800" + ip4 + "ffff")
	p, err := frame.Decode(&frame.Frame{Link: frame.Ethernet, Data: data[:len(data)-2]})
	if err != nil || cap(p.IP) != len(p.IP) {
		t.Errorf("%d bytes with room for %d, error %v", len(p.IP), cap(p.IP), err)
	}
}

func TestDecodeOfAWatermark(t *testing.T) {
	if _, err := frame.Decode(&frame.Frame{Link: frame.Ethernet}); !errors.Is(err, frame.ErrTruncated) {
		t.Errorf("error %v, want %v", err, frame.ErrTruncated)
	}
}

func TestEndComesAfterEveryStamp(t *testing.T) {
	end := frame.End()
	last := time.Unix(1<<32-1, 999_999_999) // the last of a pcap file
	if !end.IsWatermark() || !end.Time.After(last.Add(24*time.Hour)) || end.Time.UnixNano() < last.UnixNano() {
		t.Errorf("End is %v, %d ns", end.Time, end.Time.UnixNano())
	}
}

func TestNotationOfAddressesAndTags(t *testing.T) {
	if got, want := (frame.MAC{0, 0x11, 0x22, 0xaa, 0xbb, 0xcc}).String(), "00:11:22:aa:bb:cc"; got != want {
		t.Errorf("MAC %s, want %s", got, want)
	}
	if got := (frame.VLAN{TPID: 0x8100, TCI: 0x6064}).ID(); got != 100 {
		t.Errorf("VLAN %d, want 100", got)
	}
}

func TestDecodeDoesNotAllocate(t *testing.T) {
	for _, c := range carriers {
		f := frame.Frame{Link: c.t, Data: unhex(c.link + c.ip)}
		cut := frame.Frame{Link: c.t, Data: f.Data[:min(len(f.Data), 11)]}
		got := testing.AllocsPerRun(100, func() {
			_, _ = frame.Decode(&f)
			_, _ = frame.Decode(&cut)
		})
		if got != 0 {
			t.Errorf("%s: %v allocations", c.name, got)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, name := range []string{"Ethernet IPv4", "Ethernet IPv6", "802.1ad", "SLL2 sent", "PPP MPLS", "raw IPv4"} {
		for _, c := range carriers {
			if c.name != name {
				continue
			}
			b.Run(strings.ReplaceAll(name, " ", "-"), func(b *testing.B) {
				f := frame.Frame{Link: c.t, Data: unhex(c.link + c.ip)}
				b.ReportAllocs()
				for b.Loop() {
					if _, err := frame.Decode(&f); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
