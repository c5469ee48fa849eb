package craft

import (
	"cmp"
	crand "crypto/rand"
	"encoding/binary"
	"iter"
	"math/rand/v2"
)

// MaxSeed is the largest seed of a Series: the largest integer that every
// reader of JSON can hold.
const MaxSeed = 1<<53 - 1

// The IP packets that every link must carry, in bytes.
const (
	MinMTU4 = 68   // IPv4: RFC 791, section 3.2
	MinMTU6 = 1280 // IPv6: RFC 8200, section 5
)

// Series says what each probe of a trace looks like: which ID, ports, cookie,
// sequence number and length the probe (flow, TTL, round) has. Nothing else draws
// from a seed, and the same Series always has the same probes, whatever order the
// replies let them go in. A Series can be read by several goroutines.
type Series struct {
	Seed uint64 // from 1 to MaxSeed

	// Probe is what the probes have in common. Its SrcPort is that of flow 0 and
	// its DstPort that of the first probe; its TTL, ID and Epoch are not looked at.
	Probe Probe

	FirstTTL, MaxTTL uint8

	// ID is the IP ID of flow 0's first probe. 0 stands for the one that follows
	// from the Seed; FirstID returns it.
	ID uint16

	// Classic says that the destination port counts up from probe to probe, as
	// the ID does.
	Classic bool
}

// The streams of a seed. What is drawn from one does not move the others.
const (
	identityStream = iota + 1
	portStream
)

// RandomSeed returns a seed that nobody can guess.
func RandomSeed() uint64 {
	var b [8]byte
	crand.Read(b[:]) // never fails
	return 1 + binary.BigEndian.Uint64(b[:])%MaxSeed
}

// SourcePorts yields the source ports to try for flow 0: the given one alone, or if
// that is 0, up to 100 that follow from a seed, in the range that systems leave to
// programs (RFC 6335, section 6).
func SourcePorts(seed uint64, given uint16) iter.Seq[uint16] {
	return func(yield func(uint16) bool) {
		if given != 0 {
			yield(given)
			return
		}
		random := rand.New(rand.NewPCG(seed, portStream))
		for range 100 {
			if !yield(uint16(dynamicPorts + random.IntN(allPorts-dynamicPorts))) {
				return
			}
		}
	}
}

// FirstSourcePort returns the first of the SourcePorts.
func FirstSourcePort(seed uint64, given uint16) (first uint16) {
	for first = range SourcePorts(seed, given) {
		break
	}
	return first
}

// The dynamic ports begin here, and all ports end here (RFC 6335, section 6).
const (
	dynamicPorts = 49152
	allPorts     = 65536
)

// identity draws the secret, and the ID of a first probe.
func (s *Series) identity() (Secret, uint16) {
	random := rand.New(rand.NewPCG(s.Seed, identityStream))
	secret := Secret{random.Uint64(), random.Uint64()}
	return secret, uint16(1 + random.IntN(maxID))
}

// Builder returns a Builder of the frames of s on a link.
func (s *Series) Builder(link Link) (*Builder, error) {
	secret, _ := s.identity()
	return NewBuilder(link, secret)
}

// FirstID returns the IP ID of flow 0's first probe.
func (s *Series) FirstID() uint16 {
	_, id := s.identity()
	return cmp.Or(s.ID, id)
}

// Number makes of the Series of a run's first trace that of the trace with a
// number, from 1: the seed is number-1 further, and an ID that is given goes on
// where the IDs of the trace before end, each of which has so many rounds.
func (s *Series) Number(number, rounds int) {
	before := uint64(number - 1)
	s.Seed = 1 + (s.Seed-1+before)%MaxSeed
	if s.ID != 0 {
		s.ID = uint16(1 + (uint64(s.ID)-1+before*uint64(rounds*s.perRound()))%maxID)
	}
}

// At returns the probe with a TTL in a round, counted from 1, of a flow. Its Length
// is that of all others. s.ID must not be 0.
//
// Flow 0 is what the fields of s say. Another flow has a source port of its own,
// SourcePort, over IPv6 a flow label and as ICMP echo a checksum, so that routers
// may send it another way.
//
// The IDs of a flow count round by round, and are never 0, which a host may take
// for "choose one". Where all 65,535 were used, the Epoch of the probes changes:
// no two probes of a Series have the same cookie.
func (s *Series) At(flow uint16, ttl uint8, round int) Probe {
	n := (round-1)*s.perRound() + int(ttl) - int(s.FirstTTL)
	p := s.Probe
	p.TTL, p.Epoch, p.Flow = ttl, uint32(n/maxID), flow
	p.ID = uint16(1 + (int(s.ID)-1+n+int(flow)*betweenFlows)%maxID)
	p.SrcPort = s.SourcePort(flow)
	if s.Classic {
		p.DstPort += uint16(n)
	}
	if flow != 0 && p.Dst.Is6() {
		p.FlowLabel = (p.FlowLabel + uint32(flow)) & maxFlowLabel
	}
	return p
}

// maxID is the largest IP ID, and as many IDs are used.
const maxID = 65535

// betweenFlows is how far apart the first IDs of two flows are that follow each
// other: in the golden ratio, so that few IDs are used in several flows at a time.
const betweenFlows = 40503

// perRound is how many probes of a flow are in a round.
func (s *Series) perRound() int { return int(s.MaxTTL) - int(s.FirstTTL) + 1 }

// SourcePort returns the port that a flow's probes come from, or the identifier of
// ICMP echoes. Flows that follow each other have ports that do; the last port is
// followed by the first dynamic one.
func (s *Series) SourcePort(flow uint16) uint16 {
	port := int(s.Probe.SrcPort) + int(flow)
	if port >= allPorts {
		port = dynamicPorts + (port-allPorts)%(allPorts-dynamicPorts)
	}
	return uint16(port)
}

// FlowOf returns the flow whose probes come from a port, if it is one of so many flows.
func (s *Series) FlowOf(port uint16) uint16 {
	if port >= s.Probe.SrcPort {
		return port - s.Probe.SrcPort
	}
	return uint16(allPorts - int(s.Probe.SrcPort) + int(port) - dynamicPorts)
}

// Shortest returns the least length of s's probes that is worth trying to find an
// MTU: what every link carries, or what the probe needs if that is more.
func (s *Series) Shortest() int {
	if s.Probe.Dst.Is6() {
		return max(MinMTU6, s.Probe.MinLength())
	}
	return max(MinMTU4, s.Probe.MinLength())
}
