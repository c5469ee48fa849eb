package explain_test

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture/capturetest"
	"github.com/tracewire/tracewire/cmd/internal/explain"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// spoken is an overview of a path in a capture, with all space as one blank.
func spoken(t testing.TB, all frames, p *path.Path) string {
	t.Helper()
	evidence, err := explain.Gather(t.Context(), all, p)
	if err != nil {
		t.Fatal(err)
	}
	return said(t, &explain.Explanation{Evidence: evidence})
}

func said(t testing.TB, x *explain.Explanation) string {
	t.Helper()
	var b strings.Builder
	if err := x.Overview(&b); err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// silent is a trace of so many probes to the target's port 80, TTL by TTL and 1 ms
// apart, of which none was answered.
func silent(protocol layers.IPProtocol, probes int) *path.Path {
	p := &path.Path{
		Target: path.Target{Host: target, Addr: netip.MustParseAddr(target)}, Source: path.Source{Addr: us}, Protocol: protocol, Started: begun, Tool: "other",
		Parameters: path.Parameters{FirstTTL: 1, MaxTTL: uint8(probes), Queries: 1, Wait: path.Wait{Max: time.Second}},
	}
	for n := range probes {
		p.Probes = append(p.Probes, path.Probe{
			Number: n, TTL: uint8(n + 1), Status: path.Timeout, Sent: begun.Add(time.Duration(n) * ms), SrcPort: 50000, DstPort: 80, Frame: n + 1,
		})
	}
	return p
}

// syns are the frames of a silent trace over TCP.
func syns(probes int) (all frames) {
	for n := range probes {
		all = append(all, ipv4(us, netip.MustParseAddr(target), layers.IPProtocolTCP, uint8(n+1), segment(50000, 80, uint32(1000+n), 0, 2)))
	}
	return all
}

// An answer that fails a check may be meant for any probe that was waited for: each of
// them says so, and which others it may be.
func TestAnAnswerThatMayBeMeantForSeveralProbes(t *testing.T) {
	there := netip.MustParseAddr(target)
	all := append(syns(3), ipv4(there, us, layers.IPProtocolTCP, 60, segment(80, 50000, 7, 9000, 18)))
	all = append(all, syns(4)[3])
	p := silent(layers.IPProtocolTCP, 4)
	p.Probes[3].Sent, p.Probes[3].Frame = begun.Add(4*ms), 5
	got := spoken(t, all, p)
	const came = "frame 4 came from 198.51.100.7, syn-ack, but it acknowledges another sequence number; it may be meant for any of probes 0-2"
	for _, probe := range []string{"0", "1", "2"} {
		for _, want := range []string{"it left, and what may be its reply failed a check (probe " + probe + ")", came + " (probe " + probe + ")"} {
			if !strings.Contains(got, want) {
				t.Errorf("%s\nwant %s", got, want)
			}
		}
	}
	if want := "nothing came back within 1.000\u00a0s (probe 3)"; !strings.Contains(got, strings.Join(strings.Fields(want), " ")) && !strings.Contains(got, want) {
		t.Errorf("probe 3 was sent after it came:\n%s", got)
	}
}

// Of the probes that a reply may be meant for, those that have one are not.
func TestAnAnswerIsMeantForAProbeWithoutReply(t *testing.T) {
	all := append(syns(3), ipv4(netip.MustParseAddr(target), us, layers.IPProtocolTCP, 60, segment(80, 50000, 7, 9000, 18)))
	p := silent(layers.IPProtocolTCP, 3)
	for n := range 2 {
		p.Probes[n].Status = path.Replied
		p.Probes[n].Reply = &path.Reply{Hop: uint8(n + 1), Basis: path.BySentTTL}
		p.Probes[n].Reply.From, p.Probes[n].Reply.Kind = netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}), matcher.TimeExceeded
	}
	got := spoken(t, all, p)
	for _, want := range []string{
		"it left, and what came back failed a check (probe 2)",
		"later frame 4 came from 198.51.100.7, syn-ack, but it acknowledges another sequence number (probe 2)",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}

// Of very many probes that a reply may be meant for the first are named.
func TestAnAnswerThatMayBeMeantForVeryManyProbes(t *testing.T) {
	const probes = 230
	all := append(syns(probes), ipv4(netip.MustParseAddr(target), us, layers.IPProtocolTCP, 60, segment(80, 50000, 7, 9000, 18)))
	if got, want := spoken(t, all, silent(layers.IPProtocolTCP, probes)), "it may be meant for any of probes 0-99 and 130 more"; strings.Count(got, want) != probes {
		t.Errorf("%d times %s in %s", strings.Count(got, want), want, got)
	}
}

// quoting28 is a time-exceeded that quotes 28 bytes of a datagram to the target.
func quoting28(id, sport, dport, checksum uint16) []byte {
	quote := ipv4(us, netip.MustParseAddr(target), layers.IPProtocolUDP, 1, make([]byte, 8))
	for at, v := range map[int]uint16{4: id, 20: sport, 22: dport, 24: 8, 26: checksum} {
		binary.BigEndian.PutUint16(quote[at:], v)
	}
	return ipv4(netip.MustParseAddr("10.0.1.1"), us, layers.IPProtocolICMPv4, 60, append([]byte{11, 0, 0, 0, 0, 0, 0, 0}, quote...))
}

// A reply of which everything is wrong came all the same.
func TestAReplyOfWhichEverythingIsWrong(t *testing.T) {
	probe := func(ttl uint8, id uint16) []byte {
		b := ipv4(us, netip.MustParseAddr(target), layers.IPProtocolUDP, ttl, make([]byte, 8))
		for at, v := range map[int]uint16{4: id, 20: 50000, 22: 80, 24: 8, 26: 0x1234} {
			binary.BigEndian.PutUint16(b[at:], v)
		}
		return b
	}
	for _, status := range []path.Status{path.Abandoned, path.Timeout} {
		p := silent(layers.IPProtocolUDP, 1)
		p.Probes[0].Status = status
		got := spoken(t, frames{probe(1, 77), quoting28(78, 4711, 80, 0x4321)}, p)
		for _, want := range []string{
			"it left, and what came back meanwhile failed every check (probe 0)",
			"later frame 2 came from 10.0.1.1, time-exceeded, but it quotes another source port, ID and checksum; it may be about another program's packet (probe 0)",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("%v: %s\nwant %s", status, got, want)
			}
		}
		if strings.Contains(got, "before a reply came") || strings.Contains(got, "nothing came back") {
			t.Errorf("%v: %s", status, got)
		}
	}
	// What another program sent is known where it was captured, and a packet to another
	// port of the target is another's.
	for name, all := range map[string]frames{
		"another's":      {probe(1, 77), func() []byte { b := probe(1, 78); binary.BigEndian.PutUint16(b[20:], 4711); return b }(), quoting28(78, 4711, 80, 0x1234)},
		"another port's": {probe(1, 77), quoting28(78, 4711, 81, 0x4321)},
	} {
		if got := spoken(t, all, silent(layers.IPProtocolUDP, 1)); !strings.Contains(got, "it left, and nothing came back") {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// A reply is no answer to a probe that was sent, if all that is known of its probe is
// the reply.
func TestRepliesWithoutProbesAreCountedApart(t *testing.T) {
	got := said(t, explained(t, shipped(t, "tcpdump_icmp-rfc5837"), nil))
	for _, want := range []string{"0 probes sent, 0 answered, 0 late; 1 reply to a probe that was not captured", "? 10.4.0.2: 1 reply to a probe that was not captured"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
	if got := said(t, explained(t, field(t, "mpls_orphan_no_e.pcap"), nil)); !strings.Contains(got, "0 probes sent, 0 answered, 0 late; 2 replies to probes that were not captured") {
		t.Error(got)
	}
}

// The overview names the constant by which the path shifts checksums.
func TestOverviewNamesTheConstant(t *testing.T) {
	file := scenario{o: tracewire.Options{Queries: 1}, change: func(c *capturetest.Chain) {
		for n := range c.Routers {
			c.Routers[n].Quote.Length = capturetest.QuoteRFC792
			quoting(n, func(m []byte) {
				sum := uint32(binary.BigEndian.Uint16(m[quotedChecksum:])) + 0xa4f6
				binary.BigEndian.PutUint16(m[quotedChecksum:], uint16(sum&0xffff+sum>>16))
				binary.BigEndian.PutUint16(m[8+4:], 0) // the ID
			})(c)
		}
	}}.recorded(t)
	if got, want := said(t, explained(t, file, nil)), "UDP checksum: changed, shifted by the constant 0xa4f6 (probe"; strings.Count(got, want) != 4 {
		t.Errorf("%s\nwant %s at four hops", got, want)
	}
}
