package findings_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/findings"
	"github.com/tracewire/tracewire/matcher/path"
)

// dice makes paths of chance: few values, so that they often agree.
type dice struct {
	*rand.Rand
	period     int // after so many hops routers come again
	slowFrom   int // behind this hop replies take long
	slowAt     int // and of this hop
	silentFrom int // behind this hop there are none
}

func roll(a, b uint64) dice {
	r := rand.New(rand.NewPCG(a, b))
	return dice{r, []int{3, 256}[r.IntN(2)], r.IntN(12), r.IntN(12), 5 + r.IntN(20)}
}

func (d dice) often() bool { return d.IntN(4) > 0 }

func (d dice) addr() netip.Addr {
	switch d.IntN(12) {
	case 0:
		return target
	case 1:
		return netip.Addr{}
	case 2:
		return netip.MustParseAddr("2001:db8::1")
	}
	return router(d.IntN(6))
}

func (d dice) ttl() uint8 {
	if d.IntN(30) == 0 {
		return uint8(d.IntN(256))
	}
	return uint8(d.IntN(14))
}

func (d dice) quote(p *path.Probe) matcher.Quote {
	q := matcher.Quote{Src: host, Dst: target, TTL: 1, ID: p.ID, Length: 60, SrcPort: p.SrcPort, DstPort: p.DstPort,
		Checksum: p.Checksum, HasChecksum: d.often()}
	for range d.IntN(3) {
		switch d.IntN(8) {
		case 0:
			q.TTL = d.ttl()
		case 1:
			q.TOS = uint8(d.IntN(256))
		case 2:
			q.ID = q.ID<<8 | q.ID>>8
		case 3:
			q.Length = d.IntN(1600)
		case 4:
			q.Src, q.Dst = d.addr(), d.addr()
		case 5:
			q.Checksum++
		case 6:
			q.SrcPort++
		case 7:
			q.DF = !q.DF
		}
	}
	return q
}

func (d dice) reply(p *path.Probe) *path.Reply {
	r := &path.Reply{Hop: p.TTL, Basis: path.BySentTTL, Late: !d.often()}
	r.From, r.Kind, r.Received = d.addr(), matcher.TimeExceeded, p.Sent.Add(ms)
	if d.often() {
		r.From = router(int(p.TTL) % d.period)
	}
	r.TTL = []uint8{64, 128, 255, 32, 0}[d.IntN(5)] - d.ttl()
	if !d.often() {
		r.Kind = matcher.Kind(1 + d.IntN(int(matcher.RST)))
		r.Hop, r.Basis = d.ttl(), path.Basis(1+d.IntN(int(path.ByLowestTTL)))
		r.ICMPCode = uint8(d.IntN(5))
	}
	if d.often() {
		r.RTT, r.HasRTT = time.Duration(1+d.IntN(9))*ms, true
		if int(p.TTL) > d.slowFrom || int(p.TTL) == d.slowAt {
			r.RTT += 80 * ms
		}
	}
	if r.Kind == matcher.PacketTooBig {
		r.MTU = 60
	}
	if r.IsQuoted() {
		r.Quoted = d.quote(p)
	}
	if d.IntN(6) == 0 {
		o := matcher.ExtensionObject{Class: 1, Type: 1, Malformed: !d.often()}
		for range d.IntN(3) {
			o.Labels = append(o.Labels, matcher.Label{Label: d.Uint32N(1 << 20), TTL: uint8(d.IntN(256))})
		}
		r.Extensions = &matcher.Extensions{Objects: []matcher.ExtensionObject{o}, Offset: 128, Verified: d.often()}
	}
	return r
}

// path is one that no network made, but that a capture may come to.
func (d dice) path() *path.Path {
	p := &path.Path{
		Target: path.Target{Addr: target}, Source: path.Source{Addr: host}, Started: start, Ended: start.Add(time.Duration(d.IntN(9)) * time.Second),
		Protocol:   []layers.IPProtocol{layers.IPProtocolUDP, layers.IPProtocolTCP, layers.IPProtocolICMPv4, layers.IPProtocolICMPv6}[d.IntN(4)],
		Parameters: path.Parameters{FirstTTL: d.ttl(), MaxTTL: 255, TOS: uint8(d.IntN(2) * 0xb8), Length: 60 * d.IntN(3), DF: !d.often(), MTU: !d.often()},
		Clock:      path.Clock{Captured: !d.often()}, Interrupted: !d.often(),
	}
	if !d.often() {
		p.Source, p.Target = path.Source{}, path.Target{Addr: d.addr()}
	}
	if d.IntN(8) == 0 {
		p.Gaps = []frame.Gap{{From: start, To: start.Add(time.Second)}}
	}
	oneFlow := d.often()
	for n := range d.IntN(60) {
		probe := path.Probe{
			Number: n, TTL: d.ttl(), Round: 1 + d.IntN(3), ID: uint16(d.IntN(1 << 16)), SrcPort: 50000, DstPort: 33434,
			Checksum: uint16(d.IntN(3)), HasChecksum: d.often(), Sent: start.Add(time.Duration(d.IntN(3000)) * ms),
			Status: []path.Status{path.Outstanding, path.Timeout, path.Unsent, path.Abandoned}[d.IntN(4)], Length: []int{0, 60, 60, 90}[d.IntN(4)],
		}
		if !oneFlow {
			probe.DstPort += uint16(n)
		}
		if d.often() && int(probe.TTL) <= d.silentFrom {
			probe.Reply, probe.Status = d.reply(&probe), path.Replied
			if !d.often() {
				probe.Extra = append(probe.Extra, *d.reply(&probe))
			}
		}
		p.Probes = append(p.Probes, probe)
	}
	return p
}

// check checks what is true of all findings, and returns them.
func check(t *testing.T, p *path.Path) []findings.Finding {
	t.Helper()
	all := findings.Of(p)
	for i := range all {
		checkOne(t, p, &all[i])
	}
	if !reflect.DeepEqual(all, findings.Of(p)) {
		t.Error("the same path has other findings")
	}
	return all
}

func checkOne(t *testing.T, p *path.Path, f *findings.Finding) {
	t.Helper()
	if f.Kind.String() == "" || f.Confidence.String() == "" || f.Detail == "" || len(f.Evidence) == 0 {
		t.Errorf("incomplete: %+v", f)
	}
	for i, n := range f.Evidence {
		if n < 0 || n >= len(p.Probes) || i > 0 && n <= f.Evidence[i-1] {
			t.Errorf("evidence %v of %d probes: %v", f.Evidence, len(p.Probes), f.String())
			break
		}
	}
	farthest := uint8(0)
	for _, probe := range p.Probes {
		farthest = max(farthest, probe.TTL)
		if probe.Reply != nil {
			farthest = max(farthest, probe.Reply.Hop)
		}
	}
	if f.HopFrom > f.HopTo || f.HopTo > farthest {
		t.Errorf("hops %d to %d of %d: %v", f.HopFrom, f.HopTo, farthest, f.String())
	}
}

// Whatever is in a path, findings refer to what is there, and there is one of
// each kind for some.
func TestFindingsOfChance(t *testing.T) {
	kinds := map[string]int{}
	for seed := range uint64(4000) {
		for _, f := range check(t, roll(seed, 0).path()) {
			kinds[f.Kind.String()]++
		}
		if t.Failed() {
			t.Fatal(fmt.Sprint("seed ", seed))
		}
	}
	for k := findings.DSCPRewrite; k <= findings.Balanced; k++ {
		if kinds[k.String()] == 0 {
			t.Errorf("no %v came up: %v", k, kinds)
		}
	}
}

func FuzzFindings(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, a, b uint64) {
		check(t, roll(a, b).path())
	})
}

// An endless trace has thousands of probes at each hop.
func BenchmarkOf(b *testing.B) {
	p := clean(1000).Path
	b.ReportAllocs()
	for b.Loop() {
		if all := findings.Of(p); len(all) > 0 {
			b.Fatal(all)
		}
	}
}
