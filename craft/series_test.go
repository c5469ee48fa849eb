package craft_test

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/craft"
)

// series is that of a trace of 30 TTLs.
func series(p craft.Probe) craft.Series {
	return craft.Series{Seed: 7, FirstTTL: 1, MaxTTL: 30, ID: 65000, Probe: p}
}

// keyed returns a Builder for s.
func keyed(t testing.TB, s *craft.Series) *craft.Builder {
	t.Helper()
	b, err := s.Builder(link)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What a seed gives is part of the format of recordings and of --seed: these values
// never change.
func TestSeriesOfASeedNeverChanges(t *testing.T) {
	s := series(probe())
	s.ID = 0
	if id := s.FirstID(); id != 0x0a79 {
		t.Errorf("the first ID is %d", id)
	}
	s.ID = s.FirstID()
	p := s.At(0, 5, 2)
	_, key := frameOf(t, keyed(t, &s), p)
	want := craft.Key{
		Dst: p.Dst, Protocol: layers.IPProtocolUDP, SrcPort: 40000, DstPort: 33434,
		ID: 0x0a9b, Token: 0x74c7, Cookie: 0xdfb66a90c93ecd7d, HasCookie: true,
	}
	if key != want {
		t.Errorf("key %+v, want %+v", key, want)
	}
	var ports []uint16
	for port := range craft.SourcePorts(7, 0) {
		ports = append(ports, port)
	}
	if d := cmp.Diff([]uint16{50532, 58439, 64483}, ports[:3]); d != "" || len(ports) != 100 {
		t.Errorf("%d ports: %s", len(ports), d)
	}
}

func TestGivenSourcePortIsTheOnlyOne(t *testing.T) {
	var ports []uint16
	for port := range craft.SourcePorts(7, 53) {
		ports = append(ports, port)
	}
	if d := cmp.Diff([]uint16{53}, ports); d != "" || craft.FirstSourcePort(7, 53) != 53 {
		t.Error(d)
	}
	if first := craft.FirstSourcePort(7, 0); first < 49152 {
		t.Errorf("the first port is %d, which is not dynamic", first)
	}
}

func TestRandomSeedsAreInRange(t *testing.T) {
	seen := map[uint64]bool{}
	for range 1000 {
		seed := craft.RandomSeed()
		if seed == 0 || seed > craft.MaxSeed || seen[seed] {
			t.Fatalf("seed %d", seed)
		}
		seen[seed] = true
	}
}

func TestSeriesCountsRoundByRound(t *testing.T) {
	s := series(probe())
	s.FirstTTL, s.Classic = 3, true
	tests := []struct {
		ttl      uint8
		round    int
		id, port uint16
		epoch    uint32
	}{
		{3, 1, 65000, 33434, 0},
		{30, 1, 65027, 33461, 0},
		{3, 2, 65028, 33462, 0},
		{30, 19, 65531, 33965, 0},
		{6, 20, 65535, 33969, 0},
		{7, 20, 1, 33970, 0}, // 0 is left out
		{17, 2341, 64999, 33432, 0},
		{18, 2341, 65000, 33433, 1}, // all 65,535 were used
	}
	for _, test := range tests {
		p := s.At(0, test.ttl, test.round)
		if p.ID != test.id || p.DstPort != test.port || p.Epoch != test.epoch || p.TTL != test.ttl || p.SrcPort != 40000 {
			t.Errorf("TTL %d, round %d: ID %d, port %d, epoch %d; want %d, %d, %d", test.ttl, test.round, p.ID, p.DstPort, p.Epoch, test.id, test.port, test.epoch)
		}
	}
	s.Classic = false
	if p := s.At(0, 30, 19); p.DstPort != 33434 {
		t.Errorf("the port is %d, though ports don't count", p.DstPort)
	}
}

// Each trace of a run has a seed of its own, and given IDs of its own.
func TestSeriesOfTheNextTrace(t *testing.T) {
	s := series(probe())
	s.Number(1, 3)
	if s.Seed != 7 || s.ID != 65000 {
		t.Errorf("the first trace has seed %d and ID %d", s.Seed, s.ID)
	}
	s.Number(8, 3)
	if s.Seed != 14 || s.ID != 65000+7*90-65535 {
		t.Errorf("the eighth trace has seed %d and ID %d", s.Seed, s.ID)
	}
	s.Seed, s.ID = craft.MaxSeed, 0
	s.Number(2, 3)
	if s.Seed != 1 || s.ID != 0 {
		t.Errorf("after the last seed: %d, ID %d", s.Seed, s.ID)
	}
}

// An endless trace uses its IDs again, but never a cookie: whatever was sent before
// tells nothing about the probes that are outstanding.
func TestCookiesOfAnEndlessTraceNeverRepeat(t *testing.T) {
	s := series(probe())
	b := keyed(t, &s)
	seen := map[uint64]bool{}
	ids := map[[2]uint16]int{}
	for round := 1; round <= 10_000; round++ {
		for _, ttl := range []uint8{1, 16, 30} {
			p := s.At(0, ttl, round)
			_, key, err := b.Frame(&p)
			if err != nil {
				t.Fatal(err)
			}
			if seen[key.Cookie] {
				t.Fatalf("round %d, TTL %d: cookie %#x again", round, ttl, key.Cookie)
			}
			seen[key.Cookie] = true
			ids[[2]uint16{p.ID, uint16(ttl)}]++
		}
	}
	for _, n := range ids {
		if n > 1 {
			return
		}
	}
	t.Error("no probe has the TTL and the ID of another: the test shows nothing")
}

// What is constant in a flow stays so across epochs.
func TestEpochKeepsTheFlow(t *testing.T) {
	for _, f := range families {
		p := f.probe
		b := newBuilder(t, linkOf(f.link))
		data, first := frameOf(t, b, p)
		p.Epoch = 1
		other, key := frameOf(t, b, p)
		if p.Protocol == layers.IPProtocolICMPv4 || p.Protocol == layers.IPProtocolICMPv6 {
			at := transportAt(p)
			if d := cmp.Diff(data[at:at+8], other[at:at+8]); d != "" {
				t.Errorf("%s: the header moves: %s", f.name, d)
			}
		} else if key.Token == first.Token {
			t.Errorf("%s: token %#x in both epochs", f.name, key.Token)
		}
		if key.SrcPort != first.SrcPort || key.DstPort != first.DstPort || key.HasCookie && key.Cookie == first.Cookie {
			t.Errorf("%s: %+v after %+v", f.name, key, first)
		}
		if read, err := craft.KeyOf(other[len(other)-p.Length:]); f.link.Src == nil && p.Length != 0 && (err != nil || read != key) {
			t.Errorf("%s: read as %+v, %v", f.name, read, err)
		}
	}
}

// flowFields is what routers hash.
type flowFields struct {
	src, dst uint16 // ports, or the ICMP checksum
	label    uint32
}

func hashed(p craft.Probe, data []byte) (f flowFields) {
	at := transportAt(p)
	f.src, f.dst = binary.BigEndian.Uint16(data[at:]), binary.BigEndian.Uint16(data[at+2:])
	if p.Dst.Is6() {
		f.label = binary.BigEndian.Uint32(data[14:]) & 0xfffff
	}
	return f
}

func TestFlowsDifferInWhatRoutersHash(t *testing.T) {
	for name, p := range map[string]craft.Probe{
		"UDP": probe(), "TCP": with(probe(), over(layers.IPProtocolTCP), shortest), "ICMP": with(probe(), over(layers.IPProtocolICMPv4)),
		"UDP over IPv6": probe6(0), "ICMPv6": probe6(layers.IPProtocolICMPv6),
	} {
		t.Run(name, func(t *testing.T) {
			s := series(p)
			b := keyed(t, &s)
			seen, ids := map[flowFields]bool{}, map[uint16]bool{}
			for flow := range uint16(200) {
				var last flowFields
				for round := range 3 {
					probe := s.At(flow, 9, 1+round)
					data, key := frameOf(t, b, probe)
					now := hashed(p, data)
					if round > 0 && now != last {
						t.Fatalf("flow %d: %+v, then %+v", flow, last, now)
					}
					last = now
					if ids[probe.ID] {
						t.Errorf("flow %d, round %d: ID %d again", flow, round, probe.ID)
					}
					ids[probe.ID] = true
					packet, err := craft.ParsePacket(data[14:])
					if err != nil {
						t.Fatal(err)
					}
					if read, err := packet.Key(); err != nil || read != key {
						t.Fatalf("flow %d is read as %+v, not %+v: %v", flow, read, key, err)
					}
				}
				if seen[last] {
					t.Errorf("flow %d is one of the others", flow)
				}
				seen[last] = true
			}
		})
	}
}

func TestFlowZeroIsWhatTheProbeSays(t *testing.T) {
	p := probe6(0)
	p.FlowLabel = 0xfffff
	s := series(p)
	want := p
	want.TTL, want.ID = 1, 65000
	if got := s.At(0, 1, 1); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if next := s.At(1, 1, 1); next.FlowLabel != 0 || next.SrcPort != p.SrcPort+1 {
		t.Errorf("flow 1 has label %#x and port %d", next.FlowLabel, next.SrcPort)
	}
}

// Flows go on with the first dynamic port after the last of all.
func TestSourcePortsOfFlowsWrap(t *testing.T) {
	s := series(probe())
	s.Probe.SrcPort = 65534
	for flow, want := range map[uint16]uint16{0: 65534, 1: 65535, 2: 49152, 3: 49153, 16383: 65533, 65535: 65533} {
		if got := s.SourcePort(flow); got != want {
			t.Errorf("flow %d comes from %d, want %d", flow, got, want)
		}
	}
}

func TestShortestProbeThatFindsAnMTU(t *testing.T) {
	long := probe()
	long.Payload = string(make([]byte, 100))
	for want, p := range map[int]craft.Probe{68: probe(), 128: long, 1280: probe6(0)} {
		if s := series(p); s.Shortest() != want {
			t.Errorf("%d bytes, want %d", s.Shortest(), want)
		}
	}
}

func BenchmarkSeries(b *testing.B) {
	s := series(probe())
	builder, round := keyed(b, &s), 0
	b.ReportAllocs()
	for b.Loop() {
		round++
		p := s.At(uint16(round), 9, round)
		if _, _, err := builder.Frame(&p); err != nil {
			b.Fatal(err)
		}
	}
}
