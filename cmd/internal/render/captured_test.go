package render_test

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// Who takes part in the IPv6 trace.
const (
	target6 = "2001:db8:7::7"
	r16     = "2001:db8:1::1"
	r26     = "2001:db8:2::1"
	r36     = "2001:db8:3::1"
)

// captured is p as a capture of somebody else's trace shows it.
func captured(p *path.Path, tool string, protocol layers.IPProtocol) *path.Path {
	p.Tool, p.Protocol, p.Clock.Captured = tool, protocol, true
	o := &p.Parameters
	*o = path.Parameters{
		FirstTTL: o.FirstTTL, Queries: o.Queries, Wait: path.Wait{Max: 5 * time.Second},
		SrcPort: o.SrcPort, DstPort: o.DstPort, ID: o.ID, Length: o.Length,
	}
	for i := range p.Probes {
		probe := &p.Probes[i]
		o.MaxTTL = max(o.MaxTTL, probe.TTL)
		probe.SentClock, probe.Called = path.Capture, time.Time{}
		if probe.Reply != nil {
			probe.Reply.Read = time.Time{}
		}
	}
	p.Target.Host = p.Target.Addr.String()
	p.Source.Interface = ""
	return p
}

// answered is a probe to which the target gave an answer that quotes nothing.
func answered(p path.Probe, kind matcher.Kind) path.Probe {
	r := p.Reply
	r.Kind, r.ICMPType, r.ICMPCode, r.Quoted = kind, 0, 0, matcher.Quote{}
	r.MatchedBy, r.Basis = matcher.ByFields, path.ByLowestTTL
	return p
}

// icmpv6 is a trace of echo requests over IPv6, of this program.
func icmpv6() *path.Path {
	of := func(p path.Probe, kind matcher.Kind, typ, code uint8) path.Probe {
		r := p.Reply
		r.Kind, r.ICMPType, r.ICMPCode, r.Quoted.ID = kind, typ, code, 0
		return p
	}
	big := of(exceeded(2, r26, 2*ms), matcher.PacketTooBig, 2, 0)
	big.Reply.MTU = 65575
	p := newPath(2,
		of(exceeded(1, r16, ms), matcher.TimeExceeded, 3, 0), big,
		of(exceeded(3, r36, 3*ms), matcher.Unreachable, 1, 1), answered(exceeded(4, target6, 4*ms), matcher.EchoReply),
		lost(1), of(exceeded(2, r26, 2*ms), matcher.ParameterProblem, 4, 1),
		of(exceeded(3, r36, 3*ms), matcher.TimeExceeded, 3, 0), answered(exceeded(4, target6, 5*ms), matcher.EchoReply),
	)
	p.Protocol, p.Target.Addr = layers.IPProtocolICMPv6, netip.MustParseAddr(target6)
	p.Source.Addr, p.Source.NextHop = netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("fe80::1")
	p.Parameters.ID, p.Parameters.SrcPort, p.Parameters.DstPort = 0, 0xabc, 0
	for i := range p.Probes {
		probe := &p.Probes[i]
		probe.ID, probe.SrcPort, probe.DstPort, probe.Sequence = 0, 0xabc, 0, uint32(i)
	}
	return p
}

// tcp is somebody else's TCP trace, in a capture: fewer probes went to some
// hops than to others, and none to one.
func tcp() *path.Path {
	p := newPath(3,
		exceeded(1, r1, ms), exceeded(2, r2, 2*ms), lost(3), answered(exceeded(5, target, 5*ms), matcher.SYNACK),
		exceeded(1, r1, ms), lost(2), answered(exceeded(5, target, 6*ms), matcher.RST),
		exceeded(1, r1, ms),
	)
	captured(p, "tcptraceroute", layers.IPProtocolTCP)
	for i := range p.Probes {
		p.Probes[i].Sequence = 0xfffffff0 + uint32(i)
	}
	return p
}

// replies is what is known of a trace from a capture that has replies only.
func replies() *path.Path {
	unknown := func(p path.Probe) path.Probe {
		p.TTL = 0
		p.Reply.HasRTT, p.Reply.Hop, p.Reply.Basis, p.Reply.MatchedBy = false, 0, 0, 0
		return p
	}
	p := newPath(0,
		unknown(exceeded(1, r1, ms)), unknown(exceeded(2, r3, ms)), unknown(exceeded(1, r1, ms)),
		unknown(unreachable(1, 1, r1, 13, ms)), unknown(unreachable(3, 3, target, 3, ms)), unknown(datagram(3, 3, ms)),
	)
	captured(p, "", layers.IPProtocolUDP)
	p.Parameters = path.Parameters{}
	p.Counters.Sent, p.Counters.Evicted = 0, 4
	p.Source.MAC, p.Source.NextHop, p.Source.NextHopMAC = nil, netip.Addr{}, nil
	for i := range p.Probes {
		probe := &p.Probes[i]
		probe.Round, probe.Sent, probe.SentClock = 1, time.Time{}, path.Capture
	}
	answer := &p.Probes[len(p.Probes)-1]
	answer.ID, answer.SrcPort, answer.DstPort = 0, 0, 0
	return p
}

// Nobody knows what a program would have sent that its capture doesn't show.
func TestNoFieldStandsForAProbeThatWasNotSent(t *testing.T) {
	got := rendered(t, "text", namer(nil), events(tcp()))
	want := "traceroute to 198.51.100.7 (198.51.100.7), 5 hops max, 60 byte packets\n" +
		" 1  10.0.1.1  1.000 ms  1.000 ms  1.000 ms\n" +
		" 2  10.0.2.1  2.000 ms *\n" +
		" 3  *\n" +
		" 4  *\n" +
		" 5  198.51.100.7  5.000 ms  6.000 ms\n"
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestRepliesToUnknownProbes(t *testing.T) {
	p := replies()
	got, notes := renderedWithNotes(t, "text", namer(nil), events(p))
	want := "traceroute to 198.51.100.7 (198.51.100.7), hops not known, packet length not known\n" +
		" ?  10.0.1.1 * * * !X\n" +
		" ?  10.0.3.1 *\n" +
		" ?  198.51.100.7 * *\n"
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if notes != "" {
		t.Errorf("a note about hop 0: %q", notes)
	}
}

// A capture that began in the middle of a trace has both.
func TestUnknownProbesComeAfterTheHops(t *testing.T) {
	p := replies()
	strangers := p.Probes[:2]
	p = tcp()
	p.Probes = append(strangers, p.Probes...)
	got := rendered(t, "text", namer(nil), events(p))
	want := "traceroute to 198.51.100.7 (198.51.100.7), 5 hops max, 60 byte packets\n" +
		" 1  10.0.1.1  1.000 ms  1.000 ms  1.000 ms\n" +
		" 2  10.0.2.1  2.000 ms *\n" +
		" 3  *\n" +
		" 4  *\n" +
		" 5  198.51.100.7  5.000 ms  6.000 ms\n" +
		" ?  10.0.1.1 *\n" +
		" ?  10.0.3.1 *\n"
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	var entry struct{ Hops, Probes, Replies int }
	if err := json.Unmarshal([]byte(listed(t, "json", events(p))), &entry); err != nil {
		t.Fatal(err)
	}
	if entry.Hops != 5 || entry.Probes != 8 || entry.Replies != 8 {
		t.Errorf("%+v", entry)
	}
}

// What a capture doesn't tell is null, not 0.
func TestWhatACaptureDoesNotTell(t *testing.T) {
	type fields = map[string]any
	options := func(p *path.Path) fields {
		return object(t, rendered(t, "json", names, events(p)))["options"].(fields)
	}
	tests := map[string]struct {
		path *path.Path
		null string
	}{
		"ours, with UDP":   {newPath(1), "flow_label gateways identifier payload tcp"},
		"ours, with echo":  {icmpv6(), "dont_fragment dst_port gateways id payload src_port tcp"},
		"somebody else's":  {tcp(), "classic flow_label gateways identifier in_flight interval_ns payload seed seek_mtu tcp wait_here wait_near"},
		"nothing but this": {replies(), "classic dont_fragment dst_port first_ttl flow_label gateways id identifier in_flight interval_ns length max_ttl payload queries seed seek_mtu src_port tcp tos wait_here wait_near wait_ns"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var null []string
			for _, p := range places("", options(test.path), nil)[1:] {
				if p.value == nil {
					null = append(null, p.key())
				}
			}
			if got := strings.Join(null, " "); got != test.null {
				t.Errorf("%s, want %s", got, test.null)
			}
		})
	}
}

func TestProtocolsAreSpelt(t *testing.T) {
	tests := map[layers.IPProtocol]string{
		layers.IPProtocolUDP: "udp", layers.IPProtocolTCP: "tcp", layers.IPProtocolICMPv4: "icmp", layers.IPProtocolICMPv6: "icmpv6",
	}
	for protocol, want := range tests {
		p := newPath(1)
		p.Protocol = protocol
		if got := object(t, rendered(t, "json", names, events(p)))["protocol"]; got != want {
			t.Errorf("%v, want %v", got, want)
		}
	}
}

func TestClocksOfACapture(t *testing.T) {
	for name, p := range map[string]*path.Path{"probes": tcp(), "replies only": replies()} {
		clock := object(t, rendered(t, "json", names, events(p)))["clock"]
		want := map[string]any{"tx": "capture", "rx": "capture", "stepped": false}
		if d := cmp.Diff(any(want), clock); d != "" {
			t.Errorf("%s: -want +got\n%s", name, d)
		}
	}
}
