package tracewire_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture/capturetest"
	"github.com/tracewire/tracewire/matcher/path"
)

// secret is what others say while somebody traces who may not read it.
var secret = []byte("AUTH hunter2 hunter2 hunter2 hunter2")

// packetOf is an IPv4 packet whose payload ends with the secret.
func packetOf(src, dst netip.Addr, protocol layers.IPProtocol, header ...byte) []byte {
	b := slices.Concat(make([]byte, 20), header, secret)
	b[0], b[8], b[9] = 0x45, 64, byte(protocol)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	copy(b[12:], src.AsSlice())
	copy(b[16:], dst.AsSlice())
	return b
}

// portsOf is how a UDP or TCP header begins.
func portsOf(src, dst uint16, rest ...byte) []byte {
	return append(binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, src), dst), rest...)
}

// errorAbout is an ICMP error that quotes a packet whole.
func errorAbout(t *testing.T, to netip.Addr, datagram []byte) []byte {
	t.Helper()
	packet, err := capturetest.ICMPError{
		From: netip.MustParseAddr("203.0.113.9"), To: to, Type: layers.ICMPv4TypeTimeExceeded,
		Datagram: datagram, Length: capturetest.QuoteFull,
	}.Packet()
	if err != nil {
		t.Fatal(err)
	}
	return packet
}

// forged is a packet of the first probe's that the trace sends with a TTL, but for
// what it carries behind its transport header.
func forged(t *testing.T, l *lab, o *tracewire.Options, ttl uint8) []byte {
	t.Helper()
	w, err := l.dial(l.ctx, target, o)
	if err != nil {
		t.Fatal(err)
	}
	_, frames, err := tracewire.Frames(target, w, o)
	if err != nil {
		t.Fatal(err)
	}
	for crafted, err := range frames {
		if err != nil {
			t.Fatal(err)
		}
		if crafted.Probe.TTL == ttl {
			b := slices.Clone(crafted.Frame[14:])
			copy(b[28:], secret)
			return b
		}
	}
	t.Fatalf("no probe with TTL %d", ttl)
	return nil
}

// The frames of others that a trace's capture may show, in each protocol. A probe of
// the trace is to be in flight that the forged ones look like.
func othersFrames(t *testing.T, l *lab, o *tracewire.Options) map[string][]byte {
	const port = 50000 // the trace's
	here, there := l.conn.Host().Addr, netip.MustParseAddr("203.0.113.53")
	echo := func(typ byte) []byte { return append([]byte{typ, 0, 0, 0}, portsOf(port, 7)...) }
	udp := packetOf(here, there, layers.IPProtocolUDP, portsOf(5353, 53, 0, byte(8+len(secret)), 0, 0)...)
	cut := packetOf(there, here, layers.IPProtocolICMPv4, 11, 0, 0, 0, 0, 0, 0, 0)
	arp := append(slices.Concat(l.conn.Host().MAC, l.conn.Host().GatewayMAC, []byte{0x08, 0x06}), secret...)
	frames := map[string][]byte{
		"UDP to the port":          packetOf(there, here, layers.IPProtocolUDP, portsOf(53, port, 0, byte(8+len(secret)), 0, 0)...),
		"TCP to the port":          packetOf(there, here, layers.IPProtocolTCP, portsOf(6379, port, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 0, 0, 0, 0, 0, 0)...),
		"an echo reply":            packetOf(there, here, layers.IPProtocolICMPv4, echo(0)...),
		"another's ping":           packetOf(there, here, layers.IPProtocolICMPv4, echo(8)...),
		"an error about another's": errorAbout(t, here, udp),
		"an error with no quote":   cut,
	}
	if o.Protocol != layers.IPProtocolTCP { // which has no cookie: nobody else has the flow, either
		frames["an error about what looks ours"] = errorAbout(t, here, forged(t, l, o, 3))
	}
	for name, packet := range frames {
		frames[name] = l.conn.Inbound(packet)
	}
	frames["ARP"] = arp
	return frames
}

// A restricted trace finds the same and counts the same as any other, and so does
// the replay of what it recorded; but in that is nothing that others said.
func TestRestrictedTraceRecordsNothingThatOthersSay(t *testing.T) {
	for _, protocol := range []layers.IPProtocol{layers.IPProtocolUDP, layers.IPProtocolTCP, layers.IPProtocolICMPv4} {
		seen := map[bool]*path.Path{}
		for _, restricted := range []bool{false, true} {
			t.Run(protocol.String(), func(t *testing.T) {
				o := tracewire.Options{Protocol: protocol, Restricted: restricted, Seed: 1}
				begin := func(l *lab) {
					for _, data := range othersFrames(t, l, &o) {
						l.conn.Deliver(5e6, data) // all at once, after 5 ms
					}
				}
				var file *recorder
				traceRecorded(t, eight(), capturetest.Host{}, o, begin, func(l *lab, r *recorder, p *path.Path, err error) {
					if err != nil {
						t.Fatal(err)
					}
					file, seen[restricted] = r, p
				})
				if says := bytes.Contains(file.file.Bytes(), secret[:16]); says == restricted {
					t.Errorf("restricted %v: the recording has what others say: %v", restricted, says)
				}
			})
		}
		if d := cmp.Diff(addrs(seen[false]), addrs(seen[true])); d != "" {
			t.Errorf("%v: -any +restricted\n%s", protocol, d)
		}
		if d := cmp.Diff(seen[false].Counters, seen[true].Counters); d != "" {
			t.Errorf("%v: -any +restricted\n%s", protocol, d)
		}
	}
}

// Another program on this host may ping the target with the identifier of the trace,
// which its user chooses: the answers are the other's.
func TestRestrictedTraceTakesNoEchoReplyWithoutItsCookie(t *testing.T) {
	o := tracewire.Options{Protocol: layers.IPProtocolICMPv4, Restricted: true, Seed: 1, MaxTTL: 8}
	begin := func(l *lab) {
		reply := packetOf(target, l.conn.Host().Addr, layers.IPProtocolICMPv4, append([]byte{0, 0, 0, 0}, portsOf(50000, 7)...)...)
		l.conn.Deliver(5e6, l.conn.Inbound(reply))
	}
	traceRecorded(t, eight(), capturetest.Host{}, o, begin, func(l *lab, r *recorder, p *path.Path, err error) {
		if err != nil || p.Reached() || p.Counters.Foreign != 1 {
			t.Errorf("reached %v, counters %+v, error %v", p.Reached(), p.Counters, err)
		}
		if bytes.Contains(r.file.Bytes(), secret[:16]) {
			t.Error("the recording has what others say")
		}
	})
}

// Forged errors flood a restricted trace as any other, and its replay, though these
// are cut.
func TestRestrictedTraceIsFloodedAsAnyOther(t *testing.T) {
	for _, restricted := range []bool{false, true} {
		o := tracewire.Options{Restricted: restricted, Seed: 1, MaxTTL: 8}
		begin := func(l *lab) {
			for range 40 {
				l.conn.Deliver(5e6, l.conn.Inbound(errorAbout(t, l.conn.Host().Addr, forged(t, l, &o, 3))))
			}
		}
		traceRecorded(t, eight(), capturetest.Host{}, o, begin, func(l *lab, r *recorder, p *path.Path, err error) {
			if err != nil || !p.Flooded || p.Counters.Foreign != 40 {
				t.Errorf("restricted %v: flooded %v, %+v, %v", restricted, p.Flooded, p.Counters, err)
			}
		})
	}
}
