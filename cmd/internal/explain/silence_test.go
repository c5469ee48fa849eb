package explain_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"iter"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/cmd/internal/explain"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// A time-exceeded of code 1 is no hop's reply, but it came.
func TestATimeExceededOfCodeOne(t *testing.T) {
	file, err := os.ReadFile("../../../testdata/field/te_code1.pcap")
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(strings.Fields(text(t, explained(t, file, nil))), " ")
	for _, want := range []string{
		"it left, and what came back tells of no hop (probe 1)",
		"came from 192.0.2.4: time exceeded of code 1 (fragment reassembly time exceeded): fragments of the probe went missing there",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
	if strings.Contains(got, "nothing came back") {
		t.Error(got)
	}
}

// A reply that quotes the ID of one probe, the checksum of another and the flow of all
// stands at hop ?, unless a cookie tells: of the probe that drew it nobody can say that
// nothing came back.
func TestAReplyThatIsNotPlacedCameBack(t *testing.T) {
	file, err := os.ReadFile("testdata/other-id.pcap")
	if err != nil {
		t.Fatal(err)
	}
	if got := said(t, explained(t, file, nil)); !strings.Contains(got, "3 10.1.0.3: 1 of 1 answered in time") {
		t.Error(got)
	}
	for at := range file {
		if bytes.HasPrefix(file[at:], []byte("JKLMNO")) { // behind each cookie
			clear(file[at-8 : at])
		}
	}
	got := said(t, explained(t, file, nil))
	if strings.Contains(got, "nothing came back") || !strings.Contains(got, ": a reply at hop ? may be (probe 2)") {
		t.Error(got)
	}
}

// frames is a capture of raw IP packets, a millisecond apart.
type frames [][]byte

func (all frames) Frames(context.Context) iter.Seq2[frame.Frame, error] {
	return func(yield func(frame.Frame, error) bool) {
		for i, data := range all {
			f := frame.Frame{Time: begun.Add(time.Duration(i) * time.Millisecond), Number: i + 1, Data: data, Length: len(data), Link: frame.Raw, Direction: frame.In}
			if i == 0 || netip.AddrFrom4([4]byte(data[12:16])) == us {
				f.Direction = frame.Out
			}
			if !yield(f, nil) {
				return
			}
		}
	}
}

var (
	begun = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	us    = netip.MustParseAddr("192.0.2.1")
)

// ipv4 is a packet.
func ipv4(from, to netip.Addr, protocol layers.IPProtocol, ttl uint8, payload []byte) []byte {
	b := make([]byte, 20, 20+len(payload))
	b[0], b[8], b[9] = 0x45, ttl, byte(protocol)
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(payload)))
	src, dst := from.As4(), to.As4()
	copy(b[12:], src[:])
	copy(b[16:], dst[:])
	return append(b, payload...)
}

// segment is a TCP header.
func segment(src, dst uint16, seq, ack uint32, flags byte) []byte {
	b := make([]byte, 20)
	binary.BigEndian.PutUint16(b, src)
	binary.BigEndian.PutUint16(b[2:], dst)
	binary.BigEndian.PutUint32(b[4:], seq)
	binary.BigEndian.PutUint32(b[8:], ack)
	b[12], b[13] = 5<<4, flags
	return b
}

// echo is an ICMP echo request, or its reply, with data.
func echo(typ byte, id, sequence uint16, data string) []byte {
	b := make([]byte, 8, 8+len(data))
	b[0] = typ
	binary.BigEndian.PutUint16(b[4:], id)
	binary.BigEndian.PutUint16(b[6:], sequence)
	return append(b, data...)
}

// An answer of the target that fails a check came back: which check it fails is said.
func TestAnswersThatFailACheck(t *testing.T) {
	const syn, synAck, rst = 2, 18, 20
	there := netip.MustParseAddr(target)
	udp := func(src, dst uint16) []byte {
		b := make([]byte, 16)
		binary.BigEndian.PutUint16(b, src)
		binary.BigEndian.PutUint16(b[2:], dst)
		binary.BigEndian.PutUint16(b[4:], 16)
		return b
	}
	for name, test := range map[string]struct {
		protocol     layers.IPProtocol
		probe, reply []byte
		want         string
	}{
		"a SYN-ACK to something else": {layers.IPProtocolTCP, segment(50000, 80, 1000, 0, syn), segment(80, 50000, 7, 2000, synAck),
			"syn-ack, but it acknowledges another sequence number"},
		"a RST to something else": {layers.IPProtocolTCP, segment(50000, 80, 1000, 0, syn), segment(80, 50000, 0, 2000, rst),
			"rst, but it acknowledges another sequence number"},
		"an echo reply to something else": {layers.IPProtocolICMPv4, echo(8, 50000, 1, "01234567"), echo(0, 50000, 2, "01234567"),
			"echo-reply, but it returns another sequence number"},
		"a datagram": {layers.IPProtocolUDP, udp(50000, 80), udp(80, 50000), "udp, but nothing in it says which probe it answers"},
		"of another flow": {layers.IPProtocolTCP, segment(50000, 80, 1000, 0, syn), segment(81, 50000, 7, 1001, synAck),
			"it left, and nothing came back"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &path.Path{
				Target: path.Target{Host: target, Addr: there}, Source: path.Source{Addr: us}, Protocol: test.protocol, Started: begun, Tool: "other",
				Parameters: path.Parameters{FirstTTL: 1, MaxTTL: 1, Queries: 1, Wait: path.Wait{Max: time.Second}},
				Probes:     []path.Probe{{TTL: 1, Status: path.Timeout, Sent: begun, SrcPort: 50000, DstPort: 80, Frame: 1}},
			}
			evidence, err := explain.Gather(t.Context(), frames{
				ipv4(us, there, test.protocol, 1, test.probe), ipv4(there, us, test.protocol, 60, test.reply),
			}, p)
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := (&explain.Explanation{Evidence: evidence}).Overview(&b); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(strings.Fields(b.String()), " "); !strings.Contains(got, test.want) {
				t.Errorf("%s\nwant %s", got, test.want)
			}
		})
	}
}

// Of a flood of answers that fail a check the first few are said, and how many more came.
func TestAFloodOfAnswersThatFailACheck(t *testing.T) {
	there := netip.MustParseAddr(target)
	p := &path.Path{
		Target: path.Target{Host: target, Addr: there}, Source: path.Source{Addr: us}, Protocol: layers.IPProtocolTCP, Started: begun, Tool: "other",
		Parameters: path.Parameters{FirstTTL: 1, MaxTTL: 1, Queries: 1, Wait: path.Wait{Max: time.Second}},
		Probes:     []path.Probe{{TTL: 1, Status: path.Timeout, Sent: begun, SrcPort: 50000, DstPort: 80, Frame: 1}},
	}
	all := frames{ipv4(us, there, layers.IPProtocolTCP, 1, segment(50000, 80, 1000, 0, 2))}
	for i := range uint32(500) {
		all = append(all, ipv4(there, us, layers.IPProtocolTCP, 60, segment(80, 50000, 7, 2000+i, 18)))
		all = append(all, ipv4(us, there, layers.IPProtocolTCP, 64, segment(50000, 80, 2000+i, 0, 4))) // by the system
	}
	evidence, err := explain.Gather(t.Context(), all, p)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := (&explain.Explanation{Evidence: evidence}).Overview(&b); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(strings.Fields(b.String()), " ")
	if n := strings.Count(got, "but it acknowledges another sequence number"); n != 5 || !strings.Contains(got, "495 more like these came") {
		t.Errorf("%d are said: %s", n, got)
	}
}

// A probe that was answered from another hop than it was sent to leaves a star at that
// hop, which says so.
func TestAnsweredFromAnotherHop(t *testing.T) {
	router := netip.MustParseAddr("10.0.1.1")
	refused := path.Probe{TTL: 3, Number: 1, Status: path.Replied, Reply: &path.Reply{
		Reply: matcher.Reply{From: router, Kind: matcher.Unreachable, ICMPType: 3, ICMPCode: 13}, Hop: 1, Basis: path.BySameAddress,
	}}
	p := &path.Path{
		Target: path.Target{Host: target, Addr: netip.MustParseAddr(target)}, Source: path.Source{Addr: us}, Protocol: layers.IPProtocolUDP,
		Parameters: path.Parameters{FirstTTL: 1, MaxTTL: 4, Queries: 1, Wait: path.Wait{Max: time.Second}},
		Probes: []path.Probe{
			{TTL: 1, Status: path.Timeout}, refused, {TTL: 4, Number: 2, Status: path.Replied, Reply: &path.Reply{
				Reply: matcher.Reply{From: netip.MustParseAddr("10.0.4.1"), Kind: matcher.TimeExceeded}, Hop: 4, Basis: path.BySentTTL,
			}},
		},
	}
	evidence, err := explain.Gather(t.Context(), nothing{}, p)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := (&explain.Explanation{Evidence: evidence}).Overview(&b); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(strings.Fields(b.String()), " ")
	want := "3 no reply from here sent to this hop, but answered at hop 1: 10.0.1.1, ICMP type 3 (destination unreachable), code 13 (administratively prohibited) (probe 1)"
	if !strings.Contains(got, want) {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// Of an object that is malformed from its beginning on nothing is said but its bytes.
func TestANodeOfWhichNothingCanBeRead(t *testing.T) {
	p := &path.Path{
		Target: path.Target{Host: target, Addr: netip.MustParseAddr(target)}, Source: path.Source{Addr: us}, Protocol: layers.IPProtocolUDP,
		Parameters: path.Parameters{FirstTTL: 1, MaxTTL: 1, Queries: 1, Wait: path.Wait{Max: time.Second}},
		Probes: []path.Probe{{TTL: 1, Status: path.Replied, Reply: &path.Reply{Hop: 1, Basis: path.BySentTTL, Reply: matcher.Reply{
			From: netip.MustParseAddr("10.0.1.1"), Kind: matcher.TimeExceeded,
			Extensions: &matcher.Extensions{Objects: []matcher.ExtensionObject{{Class: 5, Type: 2, Length: 8, Node: &matcher.NodeInfo{}, Payload: make([]byte, 4), Malformed: true}}},
		}}}},
	}
	evidence, err := explain.Gather(t.Context(), nothing{}, p)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := (&explain.Explanation{Evidence: evidence}).Overview(&b); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); strings.Contains(got, "calls itself") || !strings.Contains(got, "malformed object of class 5, type 2") {
		t.Error(got)
	}
}
