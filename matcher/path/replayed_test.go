package path_test

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tracewire/tracewire/capture/frame"
)

// replays are the replies that an earlier run drew, marked as forged: a time-exceeded or
// port-unreachable for each probe, quoting as much as is asked for, and the target's own
// answers where they show whose they are.
func (a *attack) replays(whole bool) (all [][]byte) {
	for n, probe := range a.sent {
		quote := probe
		if !whole {
			quote = probe[:a.header()+8]
		}
		ttl := n%(forgedHops+forgedAhead) + 1
		if ttl < forgedHops {
			all = append(all, a.message("exceeded", a.router(ttl), forgedMark, quote))
			continue
		}
		all = append(all, a.message("port", a.dst, forgedMark, quote))
		if a.protocol != "udp" {
			all = append(all, a.direct(probe))
		}
	}
	return all
}

// direct is the target's own answer to a probe of TCP or ICMP.
func (a *attack) direct(probe []byte) []byte {
	b := append([]byte(nil), probe[a.header():]...)
	if a.protocol == "tcp" {
		copy(b[2:], b[:2])
		binary.BigEndian.PutUint16(b, dstPort)
		binary.BigEndian.PutUint32(b[8:], binary.BigEndian.Uint32(b[4:])+1)
		b[13] = 0x12
	} else if b[0] = 0; a.is6 {
		b[0] = 129
	}
	return a.packet(a.dst, byte(a.layer()), forgedMark, b)
}

// Replies to an earlier run to the same target, seen then and sent again now, are not
// taken for this one's, with the same source port and with another.
func TestRepliesOfAnEarlierRun(t *testing.T) {
	for _, f := range []forgery{
		{protocol: "udp"}, {protocol: "icmp"}, {protocol: "tcp"}, {protocol: "udp", classic: true},
		{protocol: "udp", is6: true}, {protocol: "icmp", is6: true}, {protocol: "tcp", is6: true}, {protocol: "udp", is6: true, classic: true},
	} {
		for _, f.port = range []bool{false, true} {
			for _, f.whole = range []bool{false, true} {
				t.Run(f.String(), func(t *testing.T) {
					for f.seed = range uint64(20) {
						if n := replayed(t, f); n != 0 {
							t.Errorf("seed %d: %d replies of an earlier run are accepted", f.seed, n)
						}
					}
				})
			}
		}
	}
}

// replayed runs a trace, and then another in which the replies to the first come again,
// each three times, and returns how many the second accepts.
func replayed(t *testing.T, f forgery) int {
	t.Helper()
	earlier := newAttack(t, f)
	earlier.run(t, 0)
	f.seed += 1000
	now := newAttack(t, f)
	if f.port {
		now.sport = earlier.sport
	} else if now.sport == earlier.sport {
		now.sport++
	}
	all := earlier.replays(f.whole)
	random := rand.New(rand.NewPCG(f.seed, 13))
	now.between = func(at time.Time) {
		if random.IntN(int(forgedLength/time.Millisecond)) < 3*len(all) {
			now.observe(all[random.IntN(len(all))], at, frame.In)
		}
	}
	accepted := now.run(t, 0)
	if now.path.Counters.Foreign < forgedProbes {
		t.Errorf("seed %d: %d replies came again", f.seed, now.path.Counters.Foreign)
	}
	return accepted
}
