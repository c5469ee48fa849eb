package path_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

const (
	r3b = "10.0.3.2"
	r6  = "10.0.6.1"
	r9  = "10.0.9.1"
)

// tried is a path that the probes to these hops found.
func tried(hops ...[]path.Probe) *path.Path {
	p := &path.Path{
		Target:     path.Target{Host: "target.example", Addr: netip.MustParseAddr(target)},
		Source:     path.Source{Addr: netip.MustParseAddr(host), NextHop: netip.MustParseAddr(r1)},
		Protocol:   layers.IPProtocolUDP,
		Parameters: path.Parameters{FirstTTL: 1, MaxTTL: 30, Queries: 3, Length: 60, TOS: 0xb8, DstPort: dstPort},
		Started:    start, Ended: start.Add(time.Second),
		Probes: slices.Concat(hops...),
	}
	for i := range p.Probes {
		probe := &p.Probes[i]
		probe.Number, probe.ID = i, 0x1200+uint16(i)
		if r := probe.Reply; r != nil {
			r.Quoted.ID += probe.ID
		}
	}
	return p
}

// through is the path along hops, each written as the addresses of those who
// answer its three probes, the last again for the rest; * is silence, and nothing
// a hop that was not probed.
func through(hops ...string) *path.Path {
	var all [][]path.Probe
	for i, hop := range hops {
		all = append(all, probes(uint8(i+1), 3, hop))
	}
	return tried(all...)
}

// probes are n probes to a hop.
func probes(ttl uint8, n int, hop string) (all []path.Probe) {
	who := strings.Fields(hop)
	for i := range n {
		if len(who) == 0 {
			break
		}
		all = append(all, asked(ttl, who[min(i, len(who)-1)]))
	}
	return all
}

func asked(ttl uint8, who string) path.Probe {
	if who == "*" {
		return silent(ttl)
	}
	kind := matcher.TimeExceeded
	if who == target {
		kind = matcher.Unreachable
	}
	p := answered(ttl, ttl, kind, who)
	p.Reply.TTL = 65 - ttl
	p.Reply.Quoted = matcher.Quote{TTL: 1, TOS: 0xb8, Length: 60, Checksum: 0xbeef, HasChecksum: true}
	if who == target {
		p.Reply.ICMPType, p.Reply.ICMPCode = 3, 3
	} else {
		p.Reply.ICMPType = 11
	}
	return p
}

// with is a path whose replies were changed from a hop to another.
func with(p *path.Path, from, to uint8, change func(*path.Probe)) *path.Path {
	for i := range p.Probes {
		if r := p.Probes[i].Reply; r != nil && r.Hop >= from && r.Hop <= to {
			change(&p.Probes[i])
		}
	}
	return p
}

// timed is a path with these round trips, in milliseconds, of each probe; 0 is
// not known.
func timed(p *path.Path, ms ...float64) *path.Path {
	for i := range p.Probes {
		if r := p.Probes[i].Reply; r != nil && ms[i] != 0 {
			r.RTT, r.HasRTT = time.Duration(ms[i]*1e6), true
		}
	}
	return p
}

// slowed is the path of five hops with three round trips each: 1, 2, 3 … 50 ms
// and some noise, and an extra for each hop.
func slowed(extra ...float64) *path.Path {
	var all []float64
	for i, base := range []float64{1, 2, 5, 20, 50} {
		e := base
		if i < len(extra) {
			e += extra[i]
		}
		all = append(all, e, e+70, e+0.3)
	}
	return timed(through(r1, r2, r3, r4, target), all...)
}

// single is a path of one probe a hop.
func single(ms ...float64) *path.Path {
	return timed(tried(probes(1, 1, r1), probes(2, 1, r2), probes(3, 1, r3), probes(4, 1, target)), ms...)
}

func edited(p *path.Path, edit func(*path.Path)) *path.Path {
	edit(p)
	return p
}

func TestDiff(t *testing.T) {
	full := func() *path.Path { return through(r1, r2, r3, r4, target) }
	quote := func(from, to uint8, change func(*path.Reply)) *path.Path {
		return with(full(), from, to, func(p *path.Probe) { change(p.Reply) })
	}
	lossy := func(answers int) *path.Path {
		return tried(probes(1, 20, r1), probes(2, answers, r2), probes(2, 20-answers, "*"), probes(3, 20, target))
	}
	tests := map[string]struct {
		a, b *path.Path
		o    *path.DiffOptions
		want string
	}{
		"nothing changed":       {a: full(), b: full()},
		"nothing was ever sent": {a: nil, b: &path.Path{}},
		"nothing was sent":      {a: full(), b: nil, want: "the target is not reached: nothing was sent, was reached"},
		"nothing was sent to where nobody answers": {
			a: through("*"), b: nil,
			want: "the target is not reached: nothing was sent, was not reached: nobody answers",
		},
		"another target, protocol, source and sort of probe": {
			a: full(), b: edited(full(), func(p *path.Path) {
				p.Target.Addr, p.Protocol = netip.MustParseAddr(r4), layers.IPProtocolTCP
				p.Source = path.Source{Addr: netip.MustParseAddr(r8), NextHop: netip.MustParseAddr(r7)}
				p.Parameters.Length, p.Parameters.DF = 1500, true
				p.Probes = p.Probes[:3]
			}),
			want: `the target is 10.0.4.1, was 198.51.100.7
the source is 10.0.8.1, was 192.0.2.1
the next hop from the source is 10.0.7.1, was 10.0.1.1
the protocol is tcp, was udp
a probe is 1500 bytes, TOS 0xb8, destination port 33434, don't fragment, was 60 bytes, TOS 0xb8, destination port 33434
the target is not reached: the last answer is from hop 1, 10.0.1.1, was reached
hop 1: quoted length 60, was as sent`,
		},
		"an echo, which has no ports": {
			a: full(), b: edited(full(), func(p *path.Path) { p.Protocol, p.Parameters.DstPort = layers.IPProtocolICMPv4, 0 }),
			want: `the protocol is icmp, was udp
a probe is 60 bytes, TOS 0xb8, was 60 bytes, TOS 0xb8, destination port 33434`,
		},
		"a host's other name": {a: full(), b: edited(full(), func(p *path.Path) { p.Target.Host = target })},
		"a router replaced": {
			a: full(), b: through(r1, r2, r9, r4, target),
			want: "hop 3: 10.0.9.1 in the place of 10.0.3.1",
		},
		"a router inserted": {
			a: full(), b: through(r1, r9, r2, r3, r4, target),
			want: "the target is at hop 6, was 5\nhop 2: new on the path: 10.0.9.1",
		},
		"a silent router inserted": {
			a: full(), b: through(r1, "*", r2, r3, r4, target),
			want: "the target is at hop 6, was 5\nhop 2: new on the path: *",
		},
		"two routers gone": {
			a: full(), b: through(r1, r4, target),
			want: "the target is at hop 3, was 5\nformer hops 2 to 3: gone from the path: 10.0.2.1, 10.0.3.1",
		},
		"inserted before a silent hop": {
			a: through(r1, "*", r3, target), b: through(r1, r9, "*", r3, target),
			want: "the target is at hop 5, was 4\nhop 2: new on the path: 10.0.9.1",
		},
		"one replaced by two": {
			a: through(r1, r2, r3, target), b: through(r1, r7, r8, r3, target),
			want: "the target is at hop 5, was 4\nhop 2: 10.0.7.1 in the place of 10.0.2.1\nhop 3: new on the path: 10.0.8.1",
		},
		"a detour of as many hops": {
			a: full(), b: through(r1, r7, r8, r9, target),
			want: "hop 2: 10.0.7.1 in the place of 10.0.2.1\nhop 3: 10.0.8.1 in the place of 10.0.3.1\nhop 4: 10.0.9.1 in the place of 10.0.4.1",
		},
		"one gone and another come elsewhere": {
			a: through(r1, r2, r3, r4, r5, target), b: through(r1, r3, r4, r5, r9, target),
			want: "former hop 2: gone from the path: 10.0.2.1\nhop 5: new on the path: 10.0.9.1",
		},
		"a router moved": {
			a: through(r1, r2, r3, r4, r5, target), b: through(r1, r3, r4, r5, r2, target),
			want: "hop 5 (before: hop 2): moved here: 10.0.2.1",
		},
		"two routers moved": {
			a: through(r7, r8, r1, r2, r3, r4, r5, target), b: through(r1, r2, r3, r4, r5, r8, r7, target),
			want: "hop 6 (before: hop 2): moved here: 10.0.8.1\nhop 7 (before: hop 1): moved here: 10.0.7.1",
		},
		"a router that answered for two hops": {
			a: through(r1, r1, r2, target), b: through(r1, r2, target),
			want: "the target is at hop 3, was 4\nformer hop 2: gone from the path: 10.0.1.1",
		},
		"another branch of a balanced hop was drawn": {
			a: through(r1, r3+" "+r3b, target), b: through(r1, r3, target),
			want: "hop 2: no longer answered by 10.0.3.2, but by others as before (may be chance)",
		},
		"so much of a branch was seen that it must have been cut": {
			a: tried(probes(1, 5, r1), probes(1, 5, r2), probes(2, 10, target)), b: tried(probes(1, 10, r1), probes(2, 10, target)),
			want: "hop 1: no longer answered by 10.0.2.1, but by others as before",
		},
		"a hop balanced over others as well": {
			a: through(r1, r3, target), b: through(r1, r3b+" "+r3, target),
			want: "hop 2: also answered by 10.0.3.2 (may be chance)",
		},
		"a balanced hop, in another order": {
			a: through(r1, r3+" "+r3b, target), b: through(r1, r3b+" "+r3+" "+r3b, target),
		},
		"a hop falls silent": {
			a: full(), b: through(r1, r2, "*", r4, target),
			want: "hop 3: silent, was 10.0.3.1",
		},
		"a hop that seldom answered falls silent": {
			a: through(r1, r2+" *", target), b: through(r1, "*", target),
			want: "hop 2: silent, was 10.0.2.1 (may be chance)",
		},
		"a silent hop answers": {
			a: through(r1, "*", r3, target), b: through(r1, r2, r3, target),
			want: "hop 2: answered by 10.0.2.1, was silent",
		},
		"hops fall silent beside one that always was": {
			a: through(r1, r2, "*", r4, target), b: through(r1, "*", "*", "*", target),
			want: "hops 2 to 4: silent, was 10.0.2.1, 10.0.4.1",
		},
		"all is silent from a hop on": {
			a: full(), b: through(r1, r2, "*", "*", "*", "*", "*"),
			want: "the target is not reached: the last answer is from hop 2, 10.0.2.1, was reached\nfrom hop 3 on: silent, was 10.0.3.1, 10.0.4.1, 198.51.100.7",
		},
		"all is silent behind a new router": {
			a: full(), b: through(r1, r9, r2, "*", "*", "*"),
			want: "the target is not reached: the last answer is from hop 3, 10.0.2.1, was reached\nhop 2: new on the path: 10.0.9.1\n" +
				"from hop 4 on (before: from hop 3 on): silent, was 10.0.3.1, 10.0.4.1, 198.51.100.7",
		},
		"all is silent": {
			a: full(), b: through("*", "*", "*", "*", "*"),
			want: "the target is not reached: nobody answers, was reached\nfrom hop 1 on: silent, was 10.0.1.1, 10.0.2.1, 10.0.3.1, 10.0.4.1, 198.51.100.7",
		},
		"a trace that didn't go so far": {
			a: full(), b: edited(through(r1, r2), func(p *path.Path) { p.Parameters.MaxTTL = 2 }),
			want: "the target is not reached: the last answer is from hop 2, 10.0.2.1 (the trace goes to hop 2 only), was reached",
		},
		"a trace that was interrupted": {
			a: full(), b: edited(tried(probes(1, 3, r1), []path.Probe{{TTL: 2}, {TTL: 3}}), func(p *path.Path) { p.Interrupted = true }),
			want: "the target is not reached: the last answer is from hop 1, 10.0.1.1 (the trace was interrupted), was reached",
		},
		"a trace that began farther away": {
			a: full(), b: edited(through("", "", r3, r4, target), func(p *path.Path) { p.Parameters.FirstTTL = 3 }),
		},
		"as far as a TTL can count": {
			a:    edited(tried(probes(254, 3, r1), probes(255, 3, target)), func(p *path.Path) { p.Parameters.FirstTTL, p.Parameters.MaxTTL = 254, 255 }),
			b:    edited(tried(probes(254, 3, r9), probes(255, 3, r1)), func(p *path.Path) { p.Parameters.FirstTTL, p.Parameters.MaxTTL = 254, 255 }),
			want: "the target is not reached: the last answer is from hop 255, 10.0.1.1, was reached\nhop 254: new on the path: 10.0.9.1",
		},
		"a router refuses": {
			a: full(), b: with(through(r1, r2), 2, 2, func(p *path.Probe) {
				p.Reply.Kind, p.Reply.ICMPType, p.Reply.ICMPCode = matcher.Unreachable, 3, 13
			}),
			want: "the target is not reached: the last answer is from hop 2, 10.0.2.1, was reached\nhop 2: the reply is unreachable (type 3 code 13), was time-exceeded",
		},
		"another MTU": {
			a: with(through(r1), 1, 1, func(p *path.Probe) {
				p.Reply.Kind, p.Reply.ICMPType, p.Reply.ICMPCode, p.Reply.MTU = matcher.Unreachable, 3, 4, 1400
			}),
			b: with(through(r1), 1, 1, func(p *path.Probe) {
				p.Reply.Kind, p.Reply.ICMPType, p.Reply.ICMPCode, p.Reply.MTU = matcher.Unreachable, 3, 4, 1280
			}),
			want: "hop 1: the reply is unreachable (type 3 code 4, MTU 1280), was unreachable (type 3 code 4, MTU 1400)",
		},
		"the way back is longer": {
			a: full(), b: quote(3, 5, func(r *path.Reply) { r.TTL -= 2 }),
			want: "from hop 3 on: replies arrive with TTL 60, was 62",
		},
		"the way back is longer at some hops": {
			a: full(), b: quote(2, 3, func(r *path.Reply) { r.TTL-- }),
			want: "hops 2 to 3: replies arrive with TTL 62, was 63",
		},
		"the way back stayed though the way there is longer": {
			a: full(), b: with(through(r1, r9, r2, r3, r4, target), 2, 6, func(p *path.Probe) { p.Reply.TTL++ }),
			want: "the target is at hop 6, was 5\nhop 2: new on the path: 10.0.9.1",
		},
		"TOS is bleached, seen by those who answer": {
			a: through(r1, r2, r3, "*", target), b: with(through(r1, r2, r3, "*", target), 3, 5, func(p *path.Probe) { p.Reply.Quoted.TOS = 0 }),
			want: "from hop 3 on: quoted TOS 0x00, was as sent",
		},
		"a label's TTL is copied": {
			a: full(), b: quote(3, 3, func(r *path.Reply) { r.Quoted.TTL = 2 }),
			want: "hop 3: quoted TTL 2, was 1",
		},
		"the quoted TTL at the target follows from its hop": {a: full(), b: quote(5, 5, func(r *path.Reply) { r.Quoted.TTL = 2 })},
		"IDs are swapped": {
			a: full(), b: quote(2, 2, func(r *path.Reply) { r.Quoted.ID = r.Quoted.ID<<8 | r.Quoted.ID>>8 }),
			want: "hop 2: quoted ID byte-swapped, was as sent",
		},
		"IDs are zero": {
			a: full(), b: quote(2, 2, func(r *path.Reply) { r.Quoted.ID = 0 }),
			want: "hop 2: quoted ID zero, was as sent",
		},
		"IDs are rewritten": {
			a: full(), b: quote(4, 5, func(r *path.Reply) { r.Quoted.ID += 7 }),
			want: "from hop 4 on: quoted ID rewritten, was as sent",
		},
		"an ID that is rewritten now and then": {
			a: full(), b: edited(full(), func(p *path.Path) { p.Probes[7].Reply.Quoted.ID = 1 }),
			want: "hop 3: quoted ID as sent or rewritten, was as sent (may be chance)",
		},
		"other IDs": {
			a: full(), b: edited(full(), func(p *path.Path) {
				for i := range p.Probes {
					p.Probes[i].ID += 500
					p.Probes[i].Reply.Quoted.ID += 500
				}
			}),
		},
		"another length": {
			a: full(), b: quote(2, 3, func(r *path.Reply) { r.Quoted.Length = 40 }),
			want: "hops 2 to 3: quoted length 40, was as sent",
		},
		"shorter quotes": {
			a: full(), b: quote(2, 2, func(r *path.Reply) { r.Quoted.HasChecksum, r.Quoted.Checksum = false, 0 }),
			want: "hop 2: quoted checksum not shown, was shown",
		},
		"a checksum is cleared": {
			a: full(), b: quote(2, 2, func(r *path.Reply) { r.Quoted.Checksum = 0 }),
			want: "hop 2: quoted checksum zero, was shown",
		},
		"another router quotes otherwise": {
			a: full(), b: with(through(r1, r2, r9, r4, target), 3, 3, func(p *path.Probe) {
				p.Reply.TTL, p.Reply.Quoted.TTL, p.Reply.Quoted.HasChecksum = 200, 2, false
			}),
			want: "hop 3: 10.0.9.1 in the place of 10.0.3.1",
		},
		"a datagram quotes nothing": {
			a: full(), b: with(full(), 5, 5, func(p *path.Probe) { p.Reply.Kind, p.Reply.Quoted = matcher.UDP, matcher.Quote{} }),
			want: "hop 5: the reply is udp, was unreachable (type 3 code 3)",
		},
		"some loss among few":      {a: full(), b: through(r1, r2, r3+" *", r4, target)},
		"some loss among many":     {a: lossy(20), b: lossy(17)},
		"heavy loss of one router": {a: lossy(20), b: lossy(8), want: "hop 2: probes answered: 8 of 20, was 20 of 20 (may be chance)"},
		"heavy loss from a hop on": {
			a: lossy(20), b: tried(probes(1, 20, r1), probes(2, 9, r2), probes(2, 11, "*"), probes(3, 8, target), probes(3, 12, "*")),
			want: "from hop 2 on: probes answered: 9 of 20, was 20 of 20",
		},
		"probes not needed at the target are no loss": {
			a: lossy(20), b: edited(lossy(20), func(p *path.Path) { p.Probes = append(p.Probes, slices.Repeat([]path.Probe{{TTL: 9}}, 50)...) }),
		},

		"round trips within the bounds": {a: slowed(), b: slowed(9, 9, 9, 9, 9)},
		"slower from a hop on": {
			a: slowed(), b: slowed(0, 0, 25, 25.2, 24.7),
			want: "from hop 3 on: round trip 30.000 ms, was 5.000 ms (+25.000 ms)",
		},
		"slower by less than a quarter at the end": {
			a: slowed(), b: slowed(0, 12, 12, 12, 12),
			want: "from hop 2 on: round trip 14.000 ms, was 2.000 ms (+12.000 ms)",
		},
		"slower twice": {
			a: slowed(), b: slowed(0, 20, 20, 120, 120),
			want: "hops 2 to 3: round trip 22.000 ms, was 2.000 ms (+20.000 ms)\nfrom hop 4 on: round trip 140.000 ms, was 20.000 ms (+120.000 ms)",
		},
		"a router that is slow to answer": {
			a: slowed(), b: slowed(0, 40),
			want: "hop 2: round trip 42.000 ms, was 2.000 ms (+40.000 ms)",
		},
		"a slow router before a longer link": {
			a: slowed(), b: slowed(0, 80, 20, 20, 20),
			want: "hop 2: round trip 82.000 ms, was 2.000 ms (+80.000 ms)\nfrom hop 3 on: round trip 25.000 ms, was 5.000 ms (+20.000 ms)",
		},
		"slower and a router inserted": {
			a: timed(through(r1, target), 1, 1, 1, 20, 20, 20), b: timed(through(r1, r9, target), 1, 1, 1, 15, 15, 15, 40, 40, 40),
			want: "the target is at hop 3, was 2\nhop 2: new on the path: 10.0.9.1\nhop 3 (before: hop 2): round trip 40.000 ms, was 20.000 ms (+20.000 ms)",
		},
		"slower, by other bounds":   {a: slowed(), b: slowed(0, 0, 25, 25, 25), o: &path.DiffOptions{RTT: 30 * ms}},
		"slower, by another factor": {a: slowed(), b: slowed(0, 0, 0, 25, 25), o: &path.DiffOptions{RTTFactor: 3}},
		"slower, and nobody asks":   {a: slowed(), b: slowed(0, 0, 25, 25, 25), o: &path.DiffOptions{RTT: -1}},
		"a factor that bounds naught": {
			a: slowed(), b: slowed(0, 0, 0, 0, 10), o: &path.DiffOptions{RTTFactor: 1},
			want: "hop 5: round trip 60.000 ms, was 50.000 ms (+10.000 ms)",
		},
		"one slow reply":             {a: single(1, 2, 3, 20), b: single(1, 40, 3, 20)},
		"one slow reply of the last": {a: single(1, 2, 3, 20), b: single(1, 2, 3, 60)},
		"two that confirm each other": {
			a: single(1, 2, 3, 20), b: single(1, 2, 33, 50),
			want: "from hop 3 on: round trip 33.000 ms, was 3.000 ms (+30.000 ms)",
		},
		"one fast reply where all were slow": {
			a: timed(through(r1, target), 1, 1, 1, 60, 61, 62), b: timed(tried(probes(1, 1, r1), probes(2, 1, target)), 1, 30),
			want: "hop 2: round trip 30.000 ms, was 60.000 ms (-30.000 ms)",
		},
		"a late reply is not a slow path": {
			a: slowed(), b: with(slowed(0, 0, 0, 0, 5000), 5, 5, func(p *path.Probe) { p.Status = path.Late }),
		},
		"the clock was set": {
			a: slowed(), b: edited(slowed(0, 0, 90, 90, 90), func(p *path.Path) { p.Clock.Stepped = true }),
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(test.want, path.Diff(test.a, test.b, test.o).String()); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
			mirrored(t, test.a, test.b, test.o)
			for _, p := range []*path.Path{test.a, test.b} {
				if found := path.Diff(p, p, test.o); len(found) > 0 {
					t.Errorf("a path differs from itself:\n%v", found)
				}
			}
		})
	}
}

// These words are in people's scripts.
func TestSpellingOfChanges(t *testing.T) {
	want := strings.Fields(`target source next-hop protocol probe reached length
		hop-added hop-removed hop-moved hop-replaced responder-new responder-gone hop-silent hop-answers
		reply rtt loss reply-ttl quoted-ttl quoted-tos quoted-id quoted-length quoted-checksum`)
	var got []string
	for k := path.ChangedTarget; k <= path.ChangedQuotedChecksum; k++ {
		got = append(got, k.String())
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestCertainChanges(t *testing.T) {
	all := path.Changes{{Kind: path.HopSilent, Doubtful: true}, {Kind: path.HopAdded}, {Kind: path.ResponderNew, Doubtful: true}}
	if d := cmp.Diff(path.Changes{{Kind: path.HopAdded}}, all.Certain()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if len(all) != 3 || all[0].Kind != path.HopSilent {
		t.Errorf("the changes themselves were changed: %v", all)
	}
}

// The longest paths there are, with nothing in common.
func BenchmarkDiff(b *testing.B) {
	long := func(net byte) *path.Path {
		var hops []string
		for i := range 255 {
			hops = append(hops, netip.AddrFrom4([4]byte{10, net, byte(i), 1}).String())
		}
		return through(hops...)
	}
	x, y := long(1), long(2)
	b.ReportAllocs()
	for b.Loop() {
		path.Diff(x, y, nil)
	}
}
