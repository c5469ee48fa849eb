package path_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/capturetest"
	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher/path"
)

// Who takes part: the host, the target, and routers named by their usual hop.
const (
	host   = "192.0.2.1"
	target = "198.51.100.7"

	r1 = "10.0.1.1"
	r2 = "10.0.2.1"
	r3 = "10.0.3.1"
	r4 = "10.0.4.1"
	r5 = "10.0.5.1"
	r7 = "10.0.7.1"
	r8 = "10.0.8.1"
)

// The ports of the flow.
const (
	srcPort = 50000
	dstPort = 33434
)

const ms = time.Millisecond

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// equal is how paths and their parts are compared.
var equal = cmp.Options{cmpopts.EquateComparable(netip.Addr{})}

// lab is a trace, number 1. Its clock, which stamps the frames, moves only when
// the test says so.
type lab struct {
	testing.TB
	path    *path.Path
	capture path.Recorders
	held    bool // what was observed last
	hear    func(path.Event)
	now     time.Time
	link    frame.LinkType // Raw or Ethernet
	sent    [][]byte       // the IP packets of the probes, by number
	events  []path.Event

	builder *craft.Builder
}

// newLab starts a trace. A zero FirstTTL, MaxTTL or Wait is replaced by the
// default, and one query is made of each TTL if p doesn't say how many.
func newLab(t testing.TB, p path.Parameters) *lab { return newLabTo(t, p, func(path.Event) {}) }

// newLabTo is newLab with what hears of each event.
func newLabTo(t testing.TB, p path.Parameters, hear func(path.Event)) *lab {
	t.Helper()
	b, err := craft.NewBuilder(craft.Link{}, craft.Secret{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{TB: t, now: start, link: frame.Raw, builder: b, hear: hear}
	if p.FirstTTL == 0 {
		p.FirstTTL = 1
	}
	if p.MaxTTL == 0 {
		p.MaxTTL = 30
	}
	if p.Queries == 0 {
		p.Queries = 1
	}
	if p.Wait == (path.Wait{}) {
		p.Wait.Max = 5 * time.Second
	}
	l.path = &path.Path{
		Target:   path.Target{Host: "target.example", Addr: netip.MustParseAddr(target)},
		Source:   path.Source{Addr: netip.MustParseAddr(host)},
		Protocol: layers.IPProtocolUDP, Parameters: p,
	}
	l.apply(path.Entry{Kind: path.Start, Trace: 1, At: start, Path: l.path})
	return l
}

// apply applies an entry.
func (l *lab) apply(e path.Entry) path.Entry {
	l.held = false
	for _, caused := range l.capture.Apply(&e) {
		l.held = l.held || caused.Held
		for _, event := range caused.Events {
			l.events = append(l.events, event)
			l.hear(event)
		}
	}
	return e
}

// failed says that the system refused to send a probe.
func (l *lab) failed(n int) { l.apply(path.Entry{Kind: path.Failed, Trace: 1, Number: n}) }

// pass lets time pass.
func (l *lab) pass(d time.Duration) { l.now = l.now.Add(d) }

// send sends a probe of which no copy is captured yet, and returns its number.
func (l *lab) send(ttl uint8) int {
	l.Helper()
	n := len(l.sent)
	id := uint16(n + 1)
	f, key, err := l.builder.Frame(&craft.Probe{
		Src: netip.MustParseAddr(host), Dst: netip.MustParseAddr(target), TTL: ttl, ID: id,
		SrcPort: srcPort, DstPort: dstPort, Length: 60,
	})
	if err != nil {
		l.Fatal(err)
	}
	l.sent = append(l.sent, append([]byte(nil), f...))
	sent := path.Probe{TTL: ttl, Round: 1, ID: id, SrcPort: srcPort, DstPort: dstPort, Called: l.now}
	if got := l.apply(path.Entry{Kind: path.Sent, Trace: 1, Probe: sent, Key: key}).Probe.Number; got != n {
		l.Fatalf("probe %d got the number %d", n, got)
	}
	return n
}

// copied shows the captured copy of a probe.
func (l *lab) copied(n int) { l.observe(l.sent[n], frame.Out) }

// probe sends a probe and shows its captured copy at the same moment.
func (l *lab) probe(ttl uint8) int {
	l.Helper()
	n := l.send(ttl)
	l.copied(n)
	return n
}

// observe shows an IP packet to the trace, in memory that doesn't last.
func (l *lab) observe(ip []byte, d frame.Direction) {
	f := frame.Frame{Time: l.now, Link: l.link, Direction: d}
	if l.link == frame.Ethernet {
		f.Data = append(f.Data, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0)
	}
	f.Data = append(f.Data, ip...)
	f.Length = len(f.Data)
	l.apply(path.Entry{Kind: path.Frame, Frame: &f})
	for i := range f.Data {
		f.Data[i] = 0xdb
	}
}

// watermark says that nothing stamped before now will follow.
func (l *lab) watermark() { l.apply(path.Entry{Kind: path.Watermark, At: l.now}) }

// step sets the stamping clock and says so.
func (l *lab) step(d time.Duration) {
	l.pass(d)
	l.apply(path.Entry{Kind: path.Watermark, At: l.now, Step: d})
}

// finish ends the trace and returns what it found.
func (l *lab) finish() *path.Path {
	l.apply(path.Entry{Kind: path.End, Trace: 1, At: l.now})
	return l.path
}

// reply is what somebody sends back for a probe.
type reply struct {
	ttl       uint8 // of the probe, as sent
	from      string
	typ, code uint8 // ICMP's; of type 0, a UDP datagram
	quoted    uint8 // the TTL that the ICMP error quotes
	payload   []byte
}

// exceeded is a time-exceeded, of a router that the probe reached with TTL 1.
func exceeded(ttl uint8, from string) reply {
	return reply{ttl: ttl, from: from, typ: layers.ICMPv4TypeTimeExceeded, quoted: 1}
}

// refused is a router's "administratively prohibited".
func refused(ttl, quoted uint8, from string) reply {
	return reply{
		ttl: ttl, from: from, quoted: quoted,
		typ: layers.ICMPv4TypeDestinationUnreachable, code: layers.ICMPv4CodeCommAdminProhibited,
	}
}

// closed is the target's "port unreachable".
func closed(ttl, quoted uint8) reply {
	return reply{
		ttl: ttl, from: target, quoted: quoted,
		typ: layers.ICMPv4TypeDestinationUnreachable, code: layers.ICMPv4CodePort,
	}
}

// echoed is the target's own answer, with the probe's payload in it.
func echoed(ttl uint8) reply { return reply{ttl: ttl, from: target} }

// blank is the target's own answer; nothing in it tells which probe it is to.
func blank() reply { return reply{from: target, payload: []byte{}} }

// answer shows r as a reply to a probe.
func (l *lab) answer(n int, r reply) {
	l.Helper()
	var p interface{ Packet() ([]byte, error) }
	from := netip.MustParseAddr(r.from)
	switch {
	case r.typ != 0:
		p = capturetest.ICMPError{
			From: from, To: netip.MustParseAddr(host), Type: r.typ, Code: r.code,
			Datagram: capturetest.WithTTL(l.sent[n], r.quoted),
		}
	default:
		payload := r.payload
		if payload == nil {
			payload = l.sent[n][28:]
		}
		p = capturetest.UDP{
			From: netip.AddrPortFrom(from, dstPort), To: netip.AddrPortFrom(netip.MustParseAddr(host), srcPort),
			Payload: payload,
		}
	}
	ip, err := p.Packet()
	if err != nil {
		l.Fatal(err)
	}
	l.observe(ip, frame.In)
}

// told writes the events since the start in short: what, and of which TTL.
func (l *lab) told() []string {
	var all []string
	for _, e := range l.events {
		switch e.Kind {
		case path.Started, path.Ended:
			all = append(all, e.Kind.String())
		case path.Decided:
			all = append(all, fmt.Sprintf("hop %d", e.Hop.TTL))
		default:
			all = append(all, fmt.Sprintf("%v %d", e.Kind, e.Probe.TTL))
		}
	}
	return all
}
