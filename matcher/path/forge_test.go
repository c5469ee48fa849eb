package path_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher/path"
)

// An attacker who does not see the probes sends replies while a trace runs. Its
// packets have whatever can be known: addresses, the ports that probes go to, the
// range of the ports that they come from or the port itself, and all that probes
// have in common. What is left is chance.

// forgery is a kind of forged reply.
type forgery struct {
	is6      bool
	protocol string // "udp", "icmp" or "tcp"
	reply    string // "exceeded", "unreachable", "too big", "problem", or an answer: "answer", "rst", "empty"
	whole    bool   // the whole probe is quoted
	port     bool   // the source port is known
	classic  bool   // probes go to ports that count
	ordered  bool   // IDs follow the ports, as behind a translator
	seed     uint64
}

func (f forgery) String() string {
	family, quote, port := "IPv4", "short", "port unknown"
	if f.is6 {
		family = "IPv6"
	}
	if f.whole {
		quote = "whole"
	}
	if f.port {
		port = "port known"
	}
	text := fmt.Sprintf("%s %s %s, %s, %s", family, f.protocol, f.reply, quote, port)
	if f.classic {
		text += ", classic"
	}
	if f.ordered {
		text += ", IDs in order"
	}
	return text
}

// forgeries are all kinds.
func forgeries() (all []forgery) {
	for _, is6 := range []bool{false, true} {
		for _, protocol := range []string{"udp", "icmp", "tcp"} {
			for _, port := range []bool{false, true} {
				for _, whole := range []bool{false, true} {
					all = append(all, forgery{is6: is6, protocol: protocol, reply: "exceeded", whole: whole, port: port})
				}
				if port {
					for _, reply := range []string{"unreachable", "too big", "problem"} {
						all = append(all, forgery{is6: is6, protocol: protocol, reply: reply, port: port})
					}
				}
				answers := map[string][]string{"udp": {"answer"}, "icmp": {"answer", "empty"}, "tcp": {"answer", "rst"}}
				for _, reply := range answers[protocol] {
					all = append(all, forgery{is6: is6, protocol: protocol, reply: reply, port: port})
				}
			}
		}
	}
	for _, port := range []bool{false, true} {
		for _, ordered := range []bool{false, true} {
			all = append(all, forgery{protocol: "udp", reply: "exceeded", port: port, classic: true, ordered: ordered})
		}
	}
	return all
}

// The trace that is attacked: TTLs up to past the target, one after the other in
// three rounds, a probe a millisecond; one hop is silent, and waited for.
const (
	forgedHops    = 12
	forgedAhead   = 6
	forgedSilent  = 5
	forgedRounds  = 3
	forgedProbes  = forgedRounds * (forgedHops + forgedAhead)
	forgedLength  = 600 * time.Millisecond // how long forged replies come
	forgedPorts   = 65536 - 49152          // that probes may come from
	forgedRTT     = 2 * time.Millisecond   // a hop
	forgedMark    = 77                     // TTL of the forged replies
	forgedFlooded = 24                     // quotes that fail until the run is flooded
)

// attack is a trace under forged replies.
type attack struct {
	forgery
	random   *rand.Rand
	path     *path.Path
	capture  path.Recorders
	builder  *craft.Builder
	src, dst netip.Addr
	sport    uint16
	id       uint16
	sent     [][]byte
	replies  map[int][]int // by millisecond: probes that are answered then
	forged   []byte        // a frame, to be changed
	at       struct{ id, port, token, cookie, dport int }
	last     int                // the farthest hop that answers; 0 for all
	between  func(at time.Time) // what else comes in every millisecond, or nil
}

func newAttack(t testing.TB, f forgery) *attack {
	t.Helper()
	a := &attack{forgery: f, random: rand.New(rand.NewPCG(f.seed, 11)), replies: map[int][]int{}}
	b, err := craft.NewBuilder(craft.Link{}, craft.Secret{a.random.Uint64(), a.random.Uint64()})
	if err != nil {
		t.Fatal(err)
	}
	a.builder, a.src, a.dst = b, netip.MustParseAddr(host), netip.MustParseAddr(target)
	if f.is6 {
		a.src, a.dst = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8:1::7")
	}
	a.sport, a.id = uint16(49152+a.random.IntN(forgedPorts)), uint16(a.random.Uint32())
	a.path = &path.Path{
		Target: path.Target{Addr: a.dst}, Source: path.Source{Addr: a.src}, Protocol: a.layer(),
		Parameters: path.Parameters{FirstTTL: 1, MaxTTL: 30, Queries: forgedRounds, Wait: path.Wait{Max: time.Second}},
	}
	a.capture.Apply(&path.Entry{Kind: path.Start, Trace: 1, At: start, Path: a.path})
	return a
}

func (a *attack) layer() layers.IPProtocol {
	switch {
	case a.protocol == "udp":
		return layers.IPProtocolUDP
	case a.protocol == "tcp":
		return layers.IPProtocolTCP
	case a.is6:
		return layers.IPProtocolICMPv6
	}
	return layers.IPProtocolICMPv4
}

// header is how long the IP header is.
func (a *attack) header() int {
	if a.is6 {
		return 40
	}
	return 20
}

// send sends the next probe.
func (a *attack) send(t testing.TB, at time.Time) {
	t.Helper()
	n := len(a.sent)
	ttl := uint8(1 + n%(forgedHops+forgedAhead))
	p := craft.Probe{Src: a.src, Dst: a.dst, Protocol: a.layer(), TTL: ttl, ID: a.id + uint16(n), SrcPort: a.sport, DstPort: dstPort}
	if a.classic {
		p.DstPort += uint16(n)
	}
	if a.protocol == "tcp" {
		p.TCP.Flags = craft.FlagSYN
	}
	packet, key, err := a.builder.Frame(&p)
	if err != nil {
		t.Fatal(err)
	}
	a.sent = append(a.sent, append([]byte(nil), packet...))
	sent := path.Probe{TTL: ttl, Round: 1 + n/(forgedHops+forgedAhead), Called: at}
	a.capture.Apply(&path.Entry{Kind: path.Sent, Trace: 1, Probe: sent, Key: key})
	a.observe(a.sent[n], at, frame.Out)
	if ttl != forgedSilent && (a.last == 0 || int(ttl) <= a.last) {
		due := n + int(min(ttl, forgedHops))*int(forgedRTT/time.Millisecond)
		a.replies[due] = append(a.replies[due], n)
	}
}

func (a *attack) observe(ip []byte, at time.Time, d frame.Direction) bool {
	a.capture.Apply(&path.Entry{Kind: path.Frame, Frame: &frame.Frame{Time: at, Link: frame.Raw, Data: ip, Length: len(ip), Direction: d}})
	return a.capture.IsOurs()
}

// message is an ICMP error of a kind about a probe.
func (a *attack) message(reply string, from netip.Addr, ttl uint8, quote []byte) []byte {
	types := map[string][2][2]byte{
		"exceeded": {{11, 0}, {3, 0}}, "unreachable": {{3, 13}, {1, 1}}, "port": {{3, 3}, {1, 4}}, "too big": {{3, 4}, {2, 0}}, "problem": {{12, 0}, {4, 0}},
	}
	protocol, typ := byte(1), types[reply][0]
	if a.is6 {
		protocol, typ = 58, types[reply][1]
	}
	return a.packet(from, protocol, ttl, append([]byte{typ[0], typ[1], 0, 0, 0, 0, 5, 0}, quote...))
}

// packet is an IP packet to the host.
func (a *attack) packet(from netip.Addr, protocol, ttl byte, payload []byte) []byte {
	b := make([]byte, a.header(), a.header()+len(payload))
	if a.is6 {
		b[0], b[6], b[7] = 0x60, protocol, ttl
		binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
		copy(b[8:], from.AsSlice())
		copy(b[24:], a.src.AsSlice())
	} else {
		b[0], b[8], b[9] = 0x45, ttl, protocol
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)+len(payload)))
		copy(b[12:], from.AsSlice())
		copy(b[16:], a.src.AsSlice())
	}
	return append(b, payload...)
}

// router is the address of a hop, or that of the attacker, which is 0.
func (a *attack) router(hop int) netip.Addr {
	if a.is6 {
		return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(100 + hop)})
	}
	return netip.AddrFrom4([4]byte{10, 0, byte(hop), 1})
}

// answer answers a probe as the network does.
func (a *attack) answer(n int, at time.Time) {
	ttl := n%(forgedHops+forgedAhead) + 1
	quote := a.sent[n][:min(len(a.sent[n]), a.header()+8)]
	if a.is6 {
		quote = a.sent[n]
	}
	if ttl < forgedHops {
		a.observe(a.message("exceeded", a.router(ttl), 60, quote), at, frame.In)
		return
	}
	a.observe(a.message("port", a.dst, 50, quote), at, frame.In)
}

// prepare makes the forged frame, with what changes from one to the next left to fill.
func (a *attack) prepare() {
	probe := append([]byte(nil), a.sent[0]...)
	h := a.header()
	payload := append([]byte(nil), probe[h:]...)
	switch a.reply {
	case "answer", "rst", "empty":
		a.prepareAnswer(payload)
		return
	}
	if !a.whole {
		probe = probe[:h+8]
	}
	a.forged = a.message(a.reply, a.router(0), forgedMark, probe)
	quote := h + 8
	a.at.id, a.at.port, a.at.dport, a.at.token = quote+4, quote+h, quote+h+2, quote+h+6
	switch {
	case a.protocol == "icmp":
		a.at.port = quote + h + 4
	case a.protocol == "tcp":
		a.at.token = quote + h + 4
	}
	if a.whole && a.protocol != "tcp" {
		a.at.cookie = quote + h + 10
	}
	if a.is6 {
		a.at.id = 0
	}
	if !a.classic {
		a.at.dport = 0
	}
}

// prepareAnswer makes a forged answer of the target, from the probe's transport
// packet.
func (a *attack) prepareAnswer(b []byte) {
	h := a.header()
	switch a.protocol {
	case "icmp":
		b[0] = 0
		if a.is6 {
			b[0] = 129
		}
		if a.reply == "empty" {
			b = b[:8]
		} else {
			a.at.cookie = h + 10
		}
		a.at.port, a.at.token = h+4, h+6
	case "tcp":
		copy(b[2:], b[:2])
		binary.BigEndian.PutUint16(b, dstPort)
		b[13] = 0x12
		if a.reply == "rst" {
			b[13] = 0x14
		}
		a.at.port, a.at.token = h+2, h+8
	default:
		binary.BigEndian.PutUint16(b, dstPort)
		a.at.port, a.at.cookie = h+2, h+10
	}
	a.forged = a.packet(a.dst, byte(a.layer()), forgedMark, b)
}

// forge sends one forged reply.
func (a *attack) forge(at time.Time) {
	b, chance := a.forged, a.random.Uint64()
	port := a.sport
	if !a.port {
		port = uint16(49152 + chance>>48%forgedPorts)
	}
	binary.BigEndian.PutUint16(b[a.at.port:], port)
	if a.at.id > 0 {
		binary.BigEndian.PutUint16(b[a.at.id:], uint16(chance>>32))
	}
	if a.at.dport > 0 {
		n := uint16(chance % forgedProbes)
		binary.BigEndian.PutUint16(b[a.at.dport:], dstPort+n)
		if a.ordered {
			binary.BigEndian.PutUint16(b[a.at.id:], 0x1234+n)
		}
	}
	switch {
	case a.at.token == 0:
	case a.protocol == "tcp":
		binary.BigEndian.PutUint32(b[a.at.token:], uint32(a.random.Uint64()))
	default:
		binary.BigEndian.PutUint16(b[a.at.token:], uint16(chance>>16))
	}
	if a.at.cookie > 0 {
		binary.BigEndian.PutUint64(b[a.at.cookie:], a.random.Uint64()|1)
	}
	a.observe(b, at, frame.In)
}

// run traces under so many forged replies, spread over the time, and returns how many
// were accepted.
func (a *attack) run(t testing.TB, tries int) (accepted int) {
	t.Helper()
	length := int(forgedLength / time.Millisecond)
	for n := range length {
		at := start.Add(time.Duration(n) * time.Millisecond)
		if n < forgedProbes {
			a.send(t, at)
		}
		if n == 0 {
			a.prepare()
		}
		for _, probe := range a.replies[n] {
			a.answer(probe, at)
		}
		for range (n+1)*tries/length - n*tries/length {
			a.forge(at)
		}
		if a.between != nil {
			a.between(at)
		}
	}
	end := start.Add(10 * time.Second)
	a.capture.Apply(&path.Entry{Kind: path.Watermark, At: end})
	a.capture.Apply(&path.Entry{Kind: path.End, Trace: 1, At: end})
	a.isFound(t)
	p := a.path
	for i := range p.Probes {
		if r := p.Probes[i].Reply; r != nil && r.TTL == forgedMark {
			accepted++
		}
		for _, r := range p.Probes[i].Extra {
			if r.TTL == forgedMark {
				accepted++
			}
		}
	}
	return accepted
}

// isFound checks that the hops that answer are found, whatever else comes.
func (a *attack) isFound(t testing.TB) {
	t.Helper()
	if a.last > 0 {
		return // the rest is silent
	}
	p := a.path
	for ttl := uint8(1); ttl < forgedHops; ttl++ {
		from := map[netip.Addr]bool{}
		for _, probe := range p.Probes {
			if r := probe.Reply; r != nil && r.Hop == ttl && r.TTL != forgedMark {
				from[r.From] = true
			}
		}
		if len(from) == 0 != (ttl == forgedSilent) || ttl != forgedSilent && !from[a.router(int(ttl))] {
			t.Errorf("%v, seed %d: hop %d is %v", a.forgery, a.seed, ttl, from)
		}
	}
	if p.End() != forgedHops {
		t.Errorf("%v, seed %d: the path ends at %d", a.forgery, a.seed, p.End())
	}
}

// expected is how many forged replies a run accepts on average. Package matcher says
// why.
func (f forgery) expected(tries int) float64 {
	const sent, waited = forgedProbes * 0.95, forgedRounds + 2 // on average: probes sent, and those nobody has answered yet
	ours := float64(tries)                                     // that have the source port
	if !f.port {
		ours /= forgedPorts
	}
	unflooded := math.Min(ours, forgedFlooded)
	quotes := f.reply != "answer" && f.reply != "rst" && f.reply != "empty"
	switch {
	case f.protocol == "udp" && !quotes:
		return math.Min(ours, forgedRounds+forgedFlooded) // nothing shows that they are forged
	case f.reply == "empty", f.whole && f.protocol != "tcp", !quotes && f.protocol == "icmp":
		return 0 // the cookie is asked for
	case f.protocol == "tcp" && (f.is6 || !quotes):
		return ours * sent / (1 << 32)
	case f.protocol == "tcp":
		return ours * sent / (1 << 48)
	case f.is6:
		return unflooded * sent / (1 << 16)
	}
	expected := ours * sent / (1 << 32)
	if ours <= forgedFlooded {
		expected += ours * 2 * waited / (1 << 16) // two of three, by themselves
	}
	return expected + math.Pow(unflooded, 3)/6*math.Pow(16, 3)/(1<<32) // three that agree on a constant
}

// isCounted reports whether a kind is one of which none may be accepted but by
// chance: all but the datagrams that nothing tells from the target's.
func (f forgery) isCounted() bool { return f.protocol != "udp" || f.reply != "answer" }

// Of many forged replies, hardly any is taken for a hop's; none where the cookie was
// visible; and none for an answer of the target over TCP or ICMP.
func TestForgedReplies(t *testing.T) {
	const tries, seeds = 100_000, 2
	for _, f := range forgeries() {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			accepted := 0
			for seed := range uint64(seeds) {
				f.seed = seed
				accepted += newAttack(t, f).run(t, tries)
			}
			t.Logf("accepted %d, expected %.5f", accepted, seeds*f.expected(tries))
			if accepted > 0 && f.isCounted() {
				t.Errorf("%d of %d forged replies were accepted", accepted, seeds*tries)
			}
		})
	}
}

// Where ports tell probes apart, none of the hops behind the last that answers is made up
// by somebody who guesses the source port, few as the right guesses are, nor by a flood
// of who knows it.
func TestForgedRepliesBehindTheLastHop(t *testing.T) {
	for _, f := range []forgery{{protocol: "udp"}, {protocol: "udp", ordered: true}, {protocol: "udp", is6: true}} {
		f.reply, f.classic = "exceeded", true
		for _, known := range []bool{false, true} {
			for _, tries := range []int{100_000, 300_000} {
				f := f
				f.port = known
				t.Run(fmt.Sprintf("%v, %d", f, tries), func(t *testing.T) {
					t.Parallel()
					accepted := 0
					for f.seed = range uint64(3) {
						a := newAttack(t, f)
						a.last = 4
						accepted += a.run(t, tries)
					}
					if accepted > 0 {
						t.Errorf("%d accepted", accepted)
					}
				})
			}
		}
	}
}

// BenchmarkForgedReplies counts the forged replies that are accepted in 20 runs of a
// million, beside what chance makes expect.
func BenchmarkForgedReplies(b *testing.B) {
	const tries, seeds = 1_000_000, 20
	for _, f := range forgeries() {
		b.Run(f.String(), func(b *testing.B) {
			for b.Loop() {
				accepted := 0
				for seed := range uint64(seeds) {
					f.seed = 1000 + seed
					accepted += newAttack(b, f).run(b, tries)
				}
				b.ReportMetric(float64(accepted), "accepted")
				b.ReportMetric(seeds*f.expected(tries), "expected")
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/tries/seeds, "ns/reply")
			}
		})
	}
}
