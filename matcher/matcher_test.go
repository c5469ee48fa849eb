package matcher_test

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher"
)

var (
	host   = netip.MustParseAddr("192.0.2.1")
	target = netip.MustParseAddr("198.51.100.7")
	router = netip.MustParseAddr("203.0.113.9")
	start  = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

// run is a table with probes in it, and their packets.
type run struct {
	t       testing.TB
	table   matcher.Run
	message matcher.Message
	builder *craft.Builder
	packets [][]byte
	keys    []craft.Key
}

func newRun(t testing.TB, probes int) *run {
	t.Helper()
	b, err := craft.NewBuilder(craft.Link{}, craft.Secret{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	r := &run{t: t, builder: b}
	for i := range probes {
		r.send(craft.Probe{
			Src: host, Dst: target, TTL: uint8(i%30 + 1), ID: uint16(i + 1),
			SrcPort: 40000, DstPort: 33434, Length: 60,
		})
	}
	return r
}

// send registers a probe at a millisecond of its own.
func (r *run) send(p craft.Probe) int {
	r.t.Helper()
	ip, key, err := r.builder.Frame(&p)
	if err != nil {
		r.t.Fatal(err)
	}
	n := len(r.packets)
	r.packets = append(r.packets, append([]byte(nil), ip...))
	r.keys = append(r.keys, key)
	if got := r.table.Sent(&key, p.TTL, start.Add(time.Duration(n)*time.Millisecond)); got != n {
		r.t.Fatalf("probe %d has number %d", n, got)
	}
	return n
}

// later is after every probe was sent.
func (r *run) later() time.Time { return start.Add(time.Hour) }

func (r *run) match(ip []byte, d frame.Direction) (matcher.Match, error) {
	return r.matchFrame(&frame.Frame{Time: r.later(), Link: frame.Raw, Data: ip, Length: len(ip), Direction: d})
}

func (r *run) matchFrame(f *frame.Frame) (matcher.Match, error) {
	if err := r.message.ReadOwn(f); err != nil {
		return matcher.Match{}, err
	}
	return r.table.Match(&r.message)
}

// decide is match of a quote that is decided by itself: nothing else comes, and all
// probes are given up.
func (r *run) decide(ip []byte) (matcher.Match, error) {
	m, err := r.match(ip, frame.In)
	if !errors.Is(err, matcher.ErrForeign) || !r.table.Hold(&r.message, true) {
		return m, err
	}
	for i := range r.packets {
		r.table.Expire(i)
	}
	if m, ok := r.table.Released(); ok {
		return m, nil
	}
	return matcher.Match{}, matcher.ErrForeign
}

// packet is an IPv4 packet of a protocol.
func packet(src, dst netip.Addr, protocol, ttl byte, payload []byte) []byte {
	b := make([]byte, 20, 20+len(payload))
	b[0], b[8], b[9] = 0x45, ttl, protocol
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(payload)))
	copy(b[12:], src.AsSlice())
	copy(b[16:], dst.AsSlice())
	return append(b, payload...)
}

// icmpError is an ICMP error to the host that quotes n bytes of a packet.
func icmpError(from netip.Addr, typ, code byte, quote []byte, n int) []byte {
	b := append([]byte{typ, code, 0, 0, 0, 0, 0, 0}, quote[:min(n, len(quote))]...)
	return packet(from, host, 1, 61, b)
}

// datagram is a UDP packet.
func datagram(src, dst netip.Addr, sport, dport uint16, payload []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, sport)
	b = binary.BigEndian.AppendUint16(b, dport)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
	b = binary.BigEndian.AppendUint16(b, 0x1234)
	return packet(src, dst, 17, 60, append(b, payload...))
}

func set16(b []byte, at int, v uint16) { binary.BigEndian.PutUint16(b[at:], v) }

const (
	atID       = 4
	atTTL      = 8
	atSrc      = 12
	atDst      = 16
	atSrcPort  = 20
	atDstPort  = 22
	atChecksum = 26
	atCookie   = 30
)

func TestWhoseQuoteIsIt(t *testing.T) {
	const long, short = 1000, 28
	tests := map[string]struct {
		length int
		change func(q []byte)
		rule   matcher.Rule
		err    error
	}{
		"whole quote":                          {length: long, rule: matcher.ByCookie},
		"whole quote up to the cookie":         {length: atCookie + 8, rule: matcher.ByCookie},
		"a cookie cut short is none":           {length: atCookie + 7, rule: matcher.ByFields},
		"8 bytes":                              {length: short, rule: matcher.ByFields},
		"TTL and TOS never matter":             {length: short, change: func(q []byte) { q[atTTL], q[1] = 0, 0xff }, rule: matcher.ByFields},
		"all rewritten but the cookie":         {length: long, change: rewriteAll, rule: matcher.ByCookie},
		"wrong cookie":                         {length: long, change: func(q []byte) { q[atCookie]++ }, err: matcher.ErrForeign},
		"short, ID swapped":                    {length: short, change: swapID, rule: matcher.ByTwo},
		"short, ID swapped and port rewritten": {length: short, change: both(swapID, portOff), rule: matcher.ByTwo},
		"short, ID zeroed":                     {length: short, change: idOff, rule: matcher.ByTwo},
		"short, port rewritten":                {length: short, change: portOff, rule: matcher.ByTwo},
		"short, checksum rewritten":            {length: short, change: checksumOff, rule: matcher.ByTwo},
		"short, only the port right":           {length: short, change: both(idOff, checksumOff), err: matcher.ErrForeign},
		"short, only the ID right":             {length: short, change: both(portOff, checksumOff), err: matcher.ErrForeign},
		"short, only the checksum right":       {length: short, change: both(portOff, idOff), err: matcher.ErrForeign},
		"short, another destination":           {length: short, change: func(q []byte) { q[atDst+3]++ }, err: matcher.ErrForeign},
		"short, another destination port":      {length: short, change: func(q []byte) { set16(q, atDstPort, 53) }, err: matcher.ErrForeign},
		"another protocol":                     {length: short, change: func(q []byte) { q[9] = 6 }, err: matcher.ErrForeign},
		"a protocol nobody traces with":        {length: short, change: func(q []byte) { q[9] = 47 }, err: matcher.ErrForeign},
		"a later fragment":                     {length: short, change: func(q []byte) { q[7] = 1 }, err: matcher.ErrForeign},
		"7 bytes: ports and ID":                {length: short - 1, rule: matcher.ByTwo},
		"3 bytes":                              {length: 23, err: matcher.ErrForeign},
		"no whole IP header":                   {length: 19, err: matcher.ErrMalformed},
		"nothing":                              {length: 0, err: matcher.ErrMalformed},
		"header length of 4":                   {length: long, change: func(q []byte) { q[0] = 0x41 }, err: matcher.ErrMalformed},
		"header longer than the quote":         {length: 30, change: func(q []byte) { q[0] = 0x4f }, err: matcher.ErrMalformed},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRun(t, 30)
			const probe = 16
			q := append([]byte(nil), r.packets[probe]...)
			if test.change != nil {
				test.change(q)
			}
			m, err := r.decide(icmpError(router, 11, 0, q, test.length))
			if !errors.Is(err, test.err) || (err == nil) != (test.err == nil) {
				t.Fatalf("error %v, want %v", err, test.err)
			}
			if err == nil && (m.Probe != probe || m.Reply.MatchedBy != test.rule) {
				t.Errorf("probe %d by %v, want %d by %v", m.Probe, m.Reply.MatchedBy, probe, test.rule)
			}
		})
	}
}

func both(f, g func([]byte)) func([]byte) { return func(q []byte) { f(q); g(q) } }
func swapID(q []byte)                     { q[atID], q[atID+1] = q[atID+1], q[atID] }
func idOff(q []byte)                      { set16(q, atID, 0) }
func portOff(q []byte)                    { set16(q, atSrcPort, 1) }
func checksumOff(q []byte)                { set16(q, atChecksum, ^binary.BigEndian.Uint16(q[atChecksum:])) }

func rewriteAll(q []byte) {
	idOff(q)
	portOff(q)
	checksumOff(q)
	q[atDst], q[atSrc] = 10, 10
	set16(q, atDstPort, 8)
}

func TestReplySaysWhatTheErrorSays(t *testing.T) {
	r := newRun(t, 3)
	q := append([]byte(nil), r.packets[1]...)
	q[atTTL], q[1] = 7, 0x48
	m, err := r.match(icmpError(router, 3, 13, q, 28), frame.In)
	if err != nil {
		t.Fatal(err)
	}
	want := matcher.Reply{
		From: router, Received: r.later(), Kind: matcher.Unreachable, ICMPType: 3, ICMPCode: 13, TTL: 61,
		MatchedBy: matcher.ByFields,
		Quoted: matcher.Quote{
			Src: host, Dst: target, TTL: 7, TOS: 0x48, ID: 2, Length: 60, SrcPort: 40000, DstPort: 33434,
			Checksum: uint16(r.keys[1].Token), HasChecksum: true,
		},
	}
	if d := cmp.Diff(&want, m.Reply, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Error(d)
	}
}

func TestICMPKinds(t *testing.T) {
	tests := map[string]struct {
		typ, code byte
		kind      matcher.Kind
		err       error
	}{
		"time exceeded in transit":    {11, 0, matcher.TimeExceeded, nil},
		"reassembly time exceeded":    {11, 1, 0, matcher.ErrUnrelated},
		"port unreachable":            {3, 3, matcher.Unreachable, nil},
		"an unreachable code to come": {3, 200, matcher.Unreachable, nil},
		"parameter problem":           {12, 0, matcher.ParameterProblem, nil},
		"redirect":                    {5, 1, 0, matcher.ErrUnrelated},
		"source quench":               {4, 0, 0, matcher.ErrUnrelated},
		"echo request":                {8, 0, 0, matcher.ErrUnrelated},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRun(t, 1)
			m, err := r.match(icmpError(router, test.typ, test.code, r.packets[0], 100), frame.In)
			if !errors.Is(err, test.err) || err == nil && m.Reply.Kind != test.kind {
				t.Errorf("%+v, %v", m.Reply, err)
			}
		})
	}
}

func TestStatedLengthTooSmallForTheQuote(t *testing.T) {
	r := newRun(t, 1)
	b := icmpError(router, 11, 0, r.packets[0], 100)
	set16(b, 2, 40)
	if m, err := r.match(b, frame.In); err != nil || m.Reply.MatchedBy != matcher.ByCookie {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestOwnOutgoingErrorIsNoReply(t *testing.T) {
	r := newRun(t, 1)
	if _, err := r.match(icmpError(host, 3, 3, r.packets[0], 100), frame.Out); !errors.Is(err, matcher.ErrUnrelated) {
		t.Error(err)
	}
}

func TestReplyBeforeItsProbeIsForeign(t *testing.T) {
	r := newRun(t, 1)
	b := icmpError(router, 11, 0, r.packets[0], 100)
	f := frame.Frame{Time: start.Add(-time.Nanosecond), Link: frame.Raw, Data: b}
	if _, err := r.matchFrame(&f); !errors.Is(err, matcher.ErrForeign) {
		t.Error(err)
	}
	r.table.Shift(-time.Second)
	if _, err := r.matchFrame(&f); err != nil {
		t.Errorf("after the clock was set back: %v", err)
	}
}

func TestCapturedCopy(t *testing.T) {
	r := newRun(t, 5)
	m, err := r.match(r.packets[3], frame.Out)
	if err != nil || !m.Copy || m.Probe != 3 {
		t.Fatalf("%+v, %v", m, err)
	}
	onPath := append([]byte(nil), r.packets[3]...)
	onPath[atTTL]--
	if _, err := r.match(onPath, frame.Out); !errors.Is(err, matcher.ErrUnrelated) {
		t.Errorf("a second copy: %v", err)
	}
	changed := append([]byte(nil), r.packets[2]...)
	changed[atCookie]++
	if _, err := r.match(changed, frame.Out); !errors.Is(err, matcher.ErrUnrelated) {
		t.Errorf("not our probe: %v", err)
	}
}

// Probes of other tools share all that identifies them. A reply is to the
// earliest that has none.
func TestProbesAlikeAreToldByOrder(t *testing.T) {
	r := newRun(t, 0)
	same := craft.Probe{Src: host, Dst: target, TTL: 1, ID: 9, SrcPort: 4, DstPort: 5, Length: 60}
	for range 3 {
		r.send(same)
	}
	for want := range 3 {
		m, err := r.match(icmpError(router, 11, 0, r.packets[0], 100), frame.In)
		if err != nil || m.Probe != want || m.Reply.MatchedBy != matcher.ByOrder {
			t.Fatalf("reply %d: %+v, %v", want, m, err)
		}
	}
	if m, err := r.match(icmpError(router, 11, 0, r.packets[0], 100), frame.In); err != nil || m.Probe != 2 {
		t.Errorf("duplicate of the last: %+v, %v", m, err)
	}
}

func TestShortQuoteThatFitsTwoProbesIsForeign(t *testing.T) {
	r := newRun(t, 2)
	q := append([]byte(nil), r.packets[0]...)
	set16(q, atChecksum, uint16(r.keys[1].Token)) // port and ID of one, checksum of the other
	if m, err := r.match(icmpError(router, 11, 0, q, 28), frame.In); !errors.Is(err, matcher.ErrForeign) {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestAnswersOfTheDestination(t *testing.T) {
	answer := func(payload []byte) []byte { return datagram(target, host, 33434, 40000, payload) }
	tests := map[string]struct {
		before func(r *run)
		answer func(r *run) []byte
		probe  int
		rule   matcher.Rule
		err    error
	}{
		"an echoed cookie": {
			answer: func(r *run) []byte { return answer(r.packets[1][28:]) },
			probe:  1, rule: matcher.ByCookie,
		},
		"no identity, several outstanding: the farthest, in doubt": {
			answer: func(*run) []byte { return answer([]byte("hello")) },
			probe:  3, rule: matcher.Ambiguous,
		},
		"no identity, routers answered all but one": {
			before: func(r *run) {
				for i := range 3 {
					r.match(icmpError(router, 11, 0, r.packets[i], 100), frame.In)
				}
			},
			answer: func(*run) []byte { return answer([]byte("hello there, everybody")) },
			probe:  3, rule: matcher.Alone,
		},
		"a nearer probe is outstanding but a farther one met a router": {
			before: func(r *run) { r.match(icmpError(router, 11, 0, r.packets[2], 100), frame.In) },
			answer: func(*run) []byte { return answer(nil) },
			probe:  3, rule: matcher.Alone,
		},
		"the others expired": {
			before: func(r *run) { r.table.Expire(0); r.table.Expire(1); r.table.Expire(3) },
			answer: func(*run) []byte { return answer(nil) },
			probe:  2, rule: matcher.Alone,
		},
		"late, and nothing else it could be": {
			before: func(r *run) {
				r.match(icmpError(router, 11, 0, r.packets[2], 100), frame.In)
				r.table.Expire(3)
			},
			answer: func(*run) []byte { return answer(nil) },
			probe:  3, rule: matcher.Alone,
		},
		"from another address": {
			answer: func(*run) []byte { return datagram(router, host, 33434, 40000, nil) },
			err:    matcher.ErrUnrelated,
		},
		"from another port": {
			answer: func(*run) []byte { return datagram(target, host, 53, 40000, nil) },
			err:    matcher.ErrUnrelated,
		},
		"to another port": {
			answer: func(*run) []byte { return datagram(target, host, 33434, 40001, nil) },
			err:    matcher.ErrUnrelated,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRun(t, 4)
			if test.before != nil {
				test.before(r)
			}
			m, err := r.match(test.answer(r), frame.In)
			if !errors.Is(err, test.err) || m.Probe != test.probe || err == nil && m.Reply.MatchedBy != test.rule {
				t.Errorf("%+v, %v", m, err)
			}
		})
	}
}

func TestMatchAllocatesNothing(t *testing.T) {
	r := newRun(t, 90)
	f := frame.Frame{Time: r.later(), Link: frame.Raw, Data: icmpError(router, 11, 0, r.packets[40], 100)}
	if n := testing.AllocsPerRun(1000, func() { r.matchFrame(&f) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkMatch(b *testing.B) {
	for name, length := range map[string]int{"whole": 60, "8 bytes": 28} {
		b.Run(name, func(b *testing.B) {
			r := newRun(b, 90)
			ethernet := append(make([]byte, 12), 0x08, 0)
			ethernet = append(ethernet, icmpError(router, 11, 0, r.packets[40], length)...)
			f := frame.Frame{Time: r.later(), Link: frame.Ethernet, Data: ethernet}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.matchFrame(&f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
