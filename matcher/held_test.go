package matcher_test

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher"
)

// told is what became of a quote.
type told struct {
	probe int
	by    matcher.Rule
}

// quote shows an ICMP error that quotes 28 bytes of a probe, changed, and returns what
// is told of it and of those that were held.
func (r *run) quote(probe int, change func(q []byte)) (all []told, held bool) {
	r.t.Helper()
	q := append([]byte(nil), r.packets[probe]...)
	if change != nil {
		change(q)
	}
	m, err := r.match(icmpError(router, 11, 0, q, 28), frame.In)
	switch {
	case err == nil:
		all = append(all, told{m.Probe, m.Reply.MatchedBy})
	case errors.Is(err, matcher.ErrForeign):
		held = r.table.Hold(&r.message, true)
	default:
		r.t.Fatal(err)
	}
	return append(all, r.released()...), held
}

func (r *run) released() (all []told) {
	for m, ok := r.table.Released(); ok; m, ok = r.table.Released() {
		all = append(all, told{m.Probe, m.Reply.MatchedBy})
	}
	return all
}

// shifted adds a constant to the checksum in ones' complement, and zeroes the ID.
func shifted(by uint32) func([]byte) {
	return func(q []byte) {
		sum := uint32(binary.BigEndian.Uint16(q[atChecksum:])) + by
		set16(q, atChecksum, uint16(sum&0xffff+sum>>16))
		set16(q, atID, 0)
	}
}

func same(t *testing.T, what string, got []told, want ...told) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %v, want %v", what, got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("%s: %v, want %v", what, got, want)
		}
	}
}

// On a constant flow three replies to different probes that agree on one constant
// confirm it, and those that were held are told in the order in which they came.
func TestATranslationIsLearntFromThreeReplies(t *testing.T) {
	r := newRun(t, 20)
	for _, probe := range []int{7, 7, 3} {
		if all, held := r.quote(probe, shifted(0xa4f6)); len(all) > 0 || !held {
			t.Fatalf("probe %d: %v, held %v", probe, all, held)
		}
	}
	all, held := r.quote(12, shifted(0xa4f6))
	if !held {
		t.Error("the third is not held")
	}
	by := matcher.ByTranslation
	same(t, "the third", all, told{7, by}, told{7, by}, told{3, by}, told{12, by})
	all, _ = r.quote(15, shifted(0xa4f6))
	same(t, "one more", all, told{15, by})
	if all, _ := r.quote(16, shifted(0xa4f7)); len(all) > 0 {
		t.Errorf("another constant: %v", all)
	}
	if r.table.Failed() != 1 {
		t.Errorf("%d failed", r.table.Failed())
	}
}

// Quotes that agree in two of three are learnt by what is done to the third.
func TestWhatIsDoneToOneFieldIsLearnt(t *testing.T) {
	for name, change := range map[string]func([]byte){
		"zero IDs": idOff, "swapped IDs": swapID, "another port": portOff, "another checksum": checksumOff,
		"new IDs": func(q []byte) { set16(q, atID, 40000+binary.BigEndian.Uint16(q[atID:])) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRun(t, 20)
			r.quote(5, change)
			r.quote(6, change)
			all, _ := r.quote(7, change)
			by := matcher.ByTranslation
			same(t, "the third", all, told{5, by}, told{6, by}, told{7, by})
		})
	}
	r := newRun(t, 20)
	r.quote(5, swapID)
	r.quote(6, idOff)
	if all, _ := r.quote(7, portOff); len(all) > 0 {
		t.Errorf("three that do not agree: %v", all)
	}
}

// Checksums that follow each other can be shifted in many ways: no assignment is the
// only one.
func TestATranslationMustHaveOneAssignment(t *testing.T) {
	var table matcher.Run
	key := craft.Key{Dst: target, SrcPort: 40000, DstPort: 33434, Protocol: layers.IPProtocolUDP}
	for i := range 20 {
		key.ID, key.Token = uint16(100+i), uint32(1000+i)
		table.Sent(&key, uint8(i+1), start)
	}
	r := newRun(t, 1)
	for i := range 8 {
		q := append([]byte(nil), r.packets[0]...)
		set16(q, atID, 0)
		set16(q, atChecksum, uint16(5000+i))
		f := frame.Frame{Time: r.later(), Link: frame.Raw, Data: icmpError(router, 11, 0, q, 28)}
		var m matcher.Message
		if err := m.ReadOwn(&f); err != nil {
			t.Fatal(err)
		}
		table.Hold(&m, true)
		if got, ok := table.Released(); ok {
			t.Fatalf("quote %d: %+v", i, got)
		}
	}
}

// flood shows quotes of the flow that fail the checks until the run is flooded.
func (r *run) flood() (n int) {
	for n = 0; !r.table.Flooded(); n++ {
		i := n
		r.quote(0, func(q []byte) {
			set16(q, atID, 0x8000+uint16(i)*77)
			set16(q, atChecksum, uint16(i*i*977+13))
		})
		if n > 1000 {
			r.t.Fatal("not flooded by 1,000")
		}
	}
	return n
}

// In a flood of quotes that fail the checks only what agrees in all counts, and what
// was confirmed before.
func TestFlooded(t *testing.T) {
	r := newRun(t, 20)
	for _, probe := range []int{1, 2, 3} {
		r.quote(probe, shifted(0x0101))
	}
	r.quote(8, idOff)
	if n := r.flood(); n > 24 {
		t.Errorf("flooded by %d", n)
	}
	rejected := 0
	for _, _, ok := r.table.Rejected(); ok; _, _, ok = r.table.Rejected() {
		rejected++
	}
	if rejected < 20 {
		t.Errorf("%d of those that were held are rejected", rejected)
	}
	if all, held := r.quote(9, checksumOff); len(all) > 0 || held {
		t.Errorf("two of three: %v, held %v", all, held)
	}
	for i := range r.packets {
		r.table.Expire(i)
	}
	same(t, "given up", r.released())
	all, _ := r.quote(10, nil)
	same(t, "all", all, told{10, matcher.ByFields})
	all, _ = r.quote(11, shifted(0x0101))
	same(t, "confirmed before", all, told{11, matcher.ByTranslation})
	if _, err := r.match(datagram(target, host, 33434, 40000, []byte("hello")), frame.In); !errors.Is(err, matcher.ErrForeign) {
		t.Errorf("an answer with nothing of ours: %v", err)
	}
}

// A quote of IPv6 in a flood must show the cookie, or a sequence number of TCP.
func TestFloodedIPv6(t *testing.T) {
	for name, test := range map[string]struct {
		protocol layers.IPProtocol
		length   int
		err      error
	}{
		"UDP, short":  {layers.IPProtocolUDP, 48, matcher.ErrForeign},
		"ICMP, short": {layers.IPProtocolICMPv6, 48, matcher.ErrForeign},
		"TCP, short":  {layers.IPProtocolTCP, 48, nil},
		"UDP, whole":  {layers.IPProtocolUDP, 80, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRun(t, 0)
			for i := range 5 {
				r.send(craft.Probe{Src: host6, Dst: target6, Protocol: test.protocol, TTL: uint8(i + 1), ID: uint16(i), SrcPort: 40000, DstPort: 33434})
			}
			shown := func(q []byte, length int) error {
				_, err := r.match(error6(q[:min(length, len(q))]), frame.In)
				if errors.Is(err, matcher.ErrForeign) {
					r.table.Hold(&r.message, true)
				}
				return err
			}
			if err := shown(r.packets[1], test.length); err != nil {
				t.Fatalf("before the flood: %v", err)
			}
			for i := 0; !r.table.Flooded(); i++ {
				q := append([]byte(nil), r.packets[0][:48]...)
				for at := 44; at < 48; at++ {
					q[at] = byte(i * (at + 7))
				}
				set16(q, 40, 40000)
				set16(q, 42, 33434)
				if test.protocol == layers.IPProtocolICMPv6 {
					copy(q[40:], []byte{128, 0, 0, 0, 40000 >> 8, 40000 & 0xff, 0xff, byte(i)})
				}
				if shown(q, 48); i > 100 {
					t.Fatal("not flooded by 100")
				}
			}
			if err := shown(r.packets[2], test.length); !errors.Is(err, test.err) {
				t.Errorf("in a flood: %v", err)
			}
		})
	}
}

var (
	host6   = netip.MustParseAddr("2001:db8::1")
	target6 = netip.MustParseAddr("2001:db8:1::7")
	router6 = netip.MustParseAddr("2001:db8:2::9")
)

// error6 is a time-exceeded of ICMPv6.
func error6(quote []byte) []byte {
	b := make([]byte, 48, 48+len(quote))
	b[0], b[6], b[7] = 0x60, 58, 61
	set16(b, 4, uint16(8+len(quote)))
	copy(b[8:], router6.AsSlice())
	copy(b[24:], host6.AsSlice())
	b[40] = 3
	return append(b, quote...)
}

// What is held of a probe that was answered beyond doubt meanwhile is not its reply.
func TestAReplyBeyondDoubtRefutesWhatIsHeld(t *testing.T) {
	r := newRun(t, 5)
	r.quote(2, idOff)
	all, _ := r.quote(2, nil)
	same(t, "beyond doubt", all, told{2, matcher.ByFields})
	r.table.Expire(2)
	r.table.Settle()
	same(t, "what was held", r.released())
	if _, _, ok := r.table.Rejected(); !ok {
		t.Error("what was held is not rejected")
	}
}

// classic is a run whose probes go to ports that count.
func classic(t *testing.T, probes int) *run {
	r := newRun(t, 0)
	for i := range probes {
		r.send(craft.Probe{
			Src: host, Dst: target, TTL: uint8(i + 1), ID: uint16(i + 1), SrcPort: 40000, DstPort: 33434 + uint16(i), Length: 60,
		})
	}
	return r
}

// rewritten gives a quote an ID and a checksum that has nothing to do with the probe's.
func rewritten(id, checksum uint16) func([]byte) {
	return func(q []byte) { set16(q, atID, id); set16(q, atChecksum, checksum) }
}

// Ports that only one probe has tell it, when it is given up, where all replies from
// there on have the rest rewritten.
func TestPortsThatOnlyOneProbeHas(t *testing.T) {
	tests := map[string]struct {
		captured bool
		quotes   func(r *run)
		want     []told
	}{
		"IDs in order": {
			quotes: func(r *run) {
				r.quote(2, rewritten(900, 1))
				r.quote(3, rewritten(903, 77))
				r.quote(5, rewritten(904, 5))
			},
			want: []told{{2, matcher.ByPorts}, {3, matcher.ByPorts}, {5, matcher.ByPorts}},
		},
		"zero IDs": {
			quotes: func(r *run) { r.quote(2, rewritten(0, 1)); r.quote(3, rewritten(0, 77)); r.quote(5, rewritten(0, 5)) },
			want:   []told{{2, matcher.ByPorts}, {3, matcher.ByPorts}, {5, matcher.ByPorts}},
		},
		"IDs at random": {
			quotes: func(r *run) {
				r.quote(2, rewritten(905, 1))
				r.quote(3, rewritten(40000, 77))
				r.quote(5, rewritten(904, 5))
			},
			want: []told{{2, matcher.ByPorts}, {3, matcher.ByPorts}, {5, matcher.ByPorts}},
		},
		"only two": {
			quotes: func(r *run) { r.quote(2, rewritten(900, 1)); r.quote(3, rewritten(903, 77)) },
		},
		"two of one probe": {
			quotes: func(r *run) {
				r.quote(2, rewritten(900, 1))
				r.quote(3, rewritten(903, 77))
				r.quote(5, rewritten(904, 5))
				r.quote(5, rewritten(905, 9))
			},
		},
		"one farther away agrees in all": {
			quotes: func(r *run) {
				r.quote(2, rewritten(900, 1))
				r.quote(3, rewritten(903, 77))
				r.quote(5, rewritten(904, 5))
				r.quote(8, nil)
			},
		},
		"one in a capture": {
			captured: true,
			quotes:   func(r *run) { r.quote(2, rewritten(5, 1)) },
			want:     []told{{2, matcher.ByPorts}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := classic(t, 10)
			if test.captured {
				r.table.Captured()
			}
			test.quotes(r)
			for i := range r.packets {
				r.table.Expire(i)
			}
			same(t, "given up", r.released(), test.want...)
		})
	}
}

// A direct answer must show whose it is, where the protocol makes it.
func TestAnswersThatShowTheWrongThing(t *testing.T) {
	probe := craft.Probe{Src: host, Dst: target, TTL: 9, ID: 7, SrcPort: 40000, DstPort: 80}
	tcp := func(flags byte, ack func(seq uint32) uint32) func(r *run) []byte {
		return func(r *run) []byte {
			b := make([]byte, 20)
			set16(b, 0, 80)
			set16(b, 2, 40000)
			binary.BigEndian.PutUint32(b[8:], ack(r.keys[0].Token))
			b[12], b[13] = 5<<4, flags
			return packet(target, host, 6, 60, b)
		}
	}
	echo := func(change func([]byte) []byte) func(r *run) []byte {
		return func(r *run) []byte {
			b := append([]byte(nil), r.packets[0][20:]...)
			b[0] = 0
			return packet(target, host, 1, 60, change(b))
		}
	}
	plus := func(n uint32) func(uint32) uint32 { return func(seq uint32) uint32 { return seq + n } }
	const synACK, rstACK, ack = 0x12, 0x14, 0x10
	tests := map[string]struct {
		protocol layers.IPProtocol
		data     int
		answer   func(r *run) []byte
		cut      bool
		err      error
	}{
		"a SYN-ACK of the sequence number plus one":  {protocol: layers.IPProtocolTCP, answer: tcp(synACK, plus(1))},
		"a SYN-ACK of the sequence number":           {protocol: layers.IPProtocolTCP, answer: tcp(synACK, plus(0)), err: matcher.ErrForeign},
		"a RST of two more":                          {protocol: layers.IPProtocolTCP, answer: tcp(rstACK, plus(2)), err: matcher.ErrForeign},
		"a RST that acknowledges the data":           {protocol: layers.IPProtocolTCP, data: 30, answer: tcp(rstACK, plus(31))},
		"a SYN-ACK that does not":                    {protocol: layers.IPProtocolTCP, data: 30, answer: tcp(synACK, plus(1))},
		"a RST that acknowledges less than the data": {protocol: layers.IPProtocolTCP, data: 30, answer: tcp(rstACK, plus(30)), err: matcher.ErrForeign},
		"an ACK":                                     {protocol: layers.IPProtocolTCP, answer: tcp(ack, plus(1)), err: matcher.ErrUnrelated},
		"the echo":                                   {protocol: layers.IPProtocolICMPv4, answer: echo(func(b []byte) []byte { return b })},
		"an echo with another cookie":                {protocol: layers.IPProtocolICMPv4, answer: echo(func(b []byte) []byte { b[12]++; return b }), err: matcher.ErrForeign},
		"an echo with another sequence number":       {protocol: layers.IPProtocolICMPv4, answer: echo(func(b []byte) []byte { b[7]++; return b }), err: matcher.ErrForeign},
		"an echo without data":                       {protocol: layers.IPProtocolICMPv4, answer: echo(func(b []byte) []byte { return b[:8] }), err: matcher.ErrForeign},
		"an echo whose data the capture has cut off": {protocol: layers.IPProtocolICMPv4, answer: echo(func(b []byte) []byte { return b[:8] }), cut: true},
		"an echo cut off, with another sequence too": {protocol: layers.IPProtocolICMPv4, answer: echo(func(b []byte) []byte { b[7]++; return b[:8] }), cut: true, err: matcher.ErrForeign},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRun(t, 0)
			p := probe
			p.Protocol = test.protocol
			if test.protocol == layers.IPProtocolTCP {
				p.TCP.Flags = craft.FlagSYN
				p.Length = 40 + test.data
			}
			r.send(p)
			ip := test.answer(r)
			f := frame.Frame{Time: r.later(), Link: frame.Raw, Data: ip, Length: len(ip), Direction: frame.In}
			if test.cut {
				f.Length += 40
			}
			if m, err := r.matchFrame(&f); !errors.Is(err, test.err) || err == nil && m.Reply.MatchedBy > matcher.ByFields {
				t.Errorf("%+v, %v", m, err)
			}
		})
	}
}

// The answer to a DNS query has its ID; one with another is to somebody else's.
func TestAnswerToAQueryThatNobodyAsked(t *testing.T) {
	const query = "\x00\x00\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01"
	r := newRun(t, 0)
	r.send(craft.Probe{Src: host, Dst: target, TTL: 9, ID: 7, SrcPort: 40000, DstPort: 53, Payload: query})
	answer := func(id uint16) []byte {
		b := []byte(query)
		set16(b, 0, id)
		b[2] |= 0x80
		return datagram(target, host, 53, 40000, b)
	}
	if _, err := r.match(answer(r.keys[0].Query+1), frame.In); !errors.Is(err, matcher.ErrForeign) {
		t.Errorf("another ID: %v", err)
	}
	if m, err := r.match(answer(r.keys[0].Query), frame.In); err != nil || m.Reply.IsUnverified() {
		t.Errorf("its ID: %+v, %v", m, err)
	}
}

// Whoever answers queries with all IDs floods the run. The one that fits is unverified
// then.
func TestAnswersWithAllQueryIDsAreUnverified(t *testing.T) {
	const query = "\x00\x00\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01"
	r := newRun(t, 0)
	r.send(craft.Probe{Src: host, Dst: target, TTL: 9, ID: 7, SrcPort: 40000, DstPort: 53, Payload: query})
	accepted := 0
	for n := range 1 << 16 {
		b := []byte(query)
		set16(b, 0, r.keys[0].Query+1+uint16(n)) // its own comes last
		b[2] |= 0x80
		m, err := r.match(datagram(target, host, 53, 40000, b), frame.In)
		if err != nil {
			continue
		}
		if accepted++; !m.Reply.IsUnverified() {
			t.Errorf("answer %d: %+v", n, m)
		}
	}
	if accepted != 1 || !r.table.Flooded() {
		t.Errorf("%d accepted, flooded %v", accepted, r.table.Flooded())
	}
}

// Where a router answered for a TTL, the target is farther away than any probe with it.
func TestProbesAtTheTTLOfARouterDoNotReachTheTarget(t *testing.T) {
	r := newRun(t, 0)
	for i, ttl := range []uint8{3, 3, 4} {
		r.send(craft.Probe{Src: host, Dst: target, TTL: ttl, ID: uint16(i + 1), SrcPort: 40000, DstPort: 33434})
	}
	r.quote(0, nil)
	m, err := r.match(datagram(target, host, 33434, 40000, nil), frame.In)
	if err != nil || m.Probe != 2 || m.Reply.MatchedBy != matcher.Alone {
		t.Errorf("%+v, %v", m, err)
	}
}

// A late answer that may repeat one that came in time has no round trip.
func TestALateAnswerMayBeADuplicate(t *testing.T) {
	r := newRun(t, 2)
	answer := datagram(target, host, 33434, 40000, r.packets[0][28:])
	if m, err := r.match(answer, frame.In); err != nil || m.Probe != 0 || m.Reply.MatchedBy != matcher.ByCookie {
		t.Fatalf("%+v, %v", m, err)
	}
	r.table.Expire(1)
	if m, err := r.match(datagram(target, host, 33434, 40000, nil), frame.In); err != nil || m.Reply.MatchedBy != matcher.Ambiguous {
		t.Errorf("%+v, %v", m, err)
	}
}

// A router that answered a probe which was sent later says nothing of an answer before.
func TestARouterThatAnsweredLaterSaysNothing(t *testing.T) {
	r := newRun(t, 0)
	for i, ttl := range []uint8{2, 9} {
		r.send(craft.Probe{Src: host, Dst: target, TTL: ttl, ID: uint16(i + 1), SrcPort: 40000, DstPort: 33434})
	}
	r.quote(1, nil)
	ip := datagram(target, host, 33434, 40000, nil)
	m, err := r.matchFrame(&frame.Frame{Time: start.Add(time.Microsecond), Link: frame.Raw, Data: ip, Length: len(ip), Direction: frame.In})
	if err != nil || m.Probe != 0 || m.Reply.MatchedBy != matcher.Alone {
		t.Errorf("%+v, %v", m, err)
	}
}

// No error comes from a group, and no probe ends before its Token.
func TestWhatIsNeitherErrorNorProbe(t *testing.T) {
	r := newRun(t, 1)
	group := icmpError(netip.MustParseAddr("224.0.0.1"), 11, 0, r.packets[0], 100)
	if _, err := r.match(group, frame.In); !errors.Is(err, matcher.ErrMalformed) {
		t.Errorf("from a group: %v", err)
	}
	if _, err := r.match(r.packets[0][:26], frame.Out); !errors.Is(err, matcher.ErrUnrelated) || r.message.IsProbe {
		t.Errorf("a packet that is cut short: %v, a probe: %v", err, r.message.IsProbe)
	}
}
