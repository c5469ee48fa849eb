package session

import "github.com/google/gopacket/layers"

// tool is the program that the run's probes look like, or "". What the programs
// send was seen in the captures of testdata/captures.
func (r *run) tool() string {
	for _, known := range tools {
		if known.sends(r) {
			return known.name
		}
	}
	return ""
}

// tools are the known programs, those that are told most surely first.
var tools = []struct {
	name  string
	sends func(*run) bool
}{
	{"scamper", (*run).likeScamper},
	{"tracepath", (*run).likeTracepath},
	{"mtr", (*run).likeMTR},
	{"nmap", (*run).likeNmap},
	{"tcptraceroute", (*run).likeTCPTraceroute},
	{"tracert", (*run).likeTracert},
	{"hping3", (*run).likeHping},
	{"tracewire", (*run).likeTracewire},
	{"traceroute", (*run).likeTraceroute},
	{"caracal", (*run).likeCaracal},
}

func (r *run) isUDP() bool { return r.first.protocol == uint8(layers.IPProtocolUDP) }
func (r *run) isTCP() bool { return r.first.protocol == uint8(layers.IPProtocolTCP) }
func (r *run) isEcho() bool {
	return !r.isUDP() && !r.isTCP()
}
func (r *run) is6() bool { return r.first.is6 }

// payload is how long a packet with so many bytes of payload is.
func (r *run) packet(payload int) int {
	header := 20
	if r.is6() {
		header = 40
	}
	if r.isTCP() {
		return header + 20 + payload
	}
	return header + 8 + payload
}

// likeScamper: IPv4 IDs are numbers from 1, and DF is set; ports are its process
// and 33435.
func (r *run) likeScamper() bool {
	fromItsPort := r.first.sport&0x8000 != 0 && (r.isEcho() || r.first.dport == 33435 || r.first.dport == 80)
	if r.is6() {
		return fromItsPort && r.style.sport.jump == 0 && r.first.length == uint16(r.packet(10)) && !r.isTCP()
	}
	return r.style.df && r.first.id == 1 && (r.style.id.up > 0 || r.style.n == 1) && r.style.id.jump == 0 && fromItsPort
}

// likeTracepath: ports from 44444 on, and packets as long as the link takes.
func (r *run) likeTracepath() bool {
	return r.isUDP() && r.first.dport == 44444 && (r.style.df || r.is6()) && r.style.dport.up > 0
}

// likeMTR: what counts is a number from 33000 on, and each round has one probe
// for each TTL.
func (r *run) likeMTR() bool {
	const from = 33000
	switch {
	case r.isEcho():
		return r.first.token >= from && r.style.sequence.up > 0 && !r.climb.burst
	case r.isUDP():
		return r.first.dport >= from && r.style.dport.up > 0 && r.style.sport.isConstant() && !r.climb.burst && !r.style.df &&
			r.first.dport != 33434 && r.first.dport != 33435 || r.first.sport >= from && r.style.sport.counts() && r.style.dport.isConstant()
	}
	return r.first.sport >= from && r.style.sport.counts() && r.style.dport.isConstant()
}

// likeNmap: it goes down from a guess.
func (r *run) likeNmap() bool {
	if len(r.path.Probes) < 3 || int(r.first.length) > r.packet(4) {
		return false
	}
	down := 0
	for i, p := range r.path.Probes[1:] {
		if p.TTL != 0 && p.TTL == r.path.Probes[i].TTL-1 {
			down++
		}
	}
	return down >= 2 && r.path.Probes[1].TTL < r.first.ttl
}

// likeTCPTraceroute: all SYNs are the same but for the TTL and a random ID.
func (r *run) likeTCPTraceroute() bool {
	return r.isTCP() && r.style.sport.isConstant() && r.style.sequence.isConstant() && r.climb.burst && !r.style.df &&
		int(r.first.length) == r.packet(0) && r.style.id.jump > 0
}

// likeTracert: 64 bytes, and an identifier that is the same for all programs of
// a Windows host.
func (r *run) likeTracert() bool {
	return r.isEcho() && r.climb.burst && int(r.first.length) == r.packet(64) && r.style.sequence.up+r.style.sequence.jump > 0 &&
		(r.first.sport == 1 || r.first.sport&0xff == 0)
}

// likeHping: no payload, and source ports that count, one probe after the other.
func (r *run) likeHping() bool {
	if int(r.first.length) != r.packet(0) || r.is6() {
		return false
	}
	if r.isEcho() {
		return r.first.token&0xff == 0 && r.style.n > 1 && r.style.sport.isConstant()
	}
	return r.style.sport.counts() && r.style.dport.isConstant()
}

// likeTracewire: one flow, and a cookie in each probe.
func (r *run) likeTracewire() bool {
	return r.isUDP() && r.style.sport.isConstant() && r.style.dport.isConstant() && r.style.payload.n > 1 &&
		r.style.payload.same+r.style.payload.up == 0 && r.first.payload&1 == 1
}

// likeTraceroute: of each kind what Linux sends, or BSD's count of ports.
func (r *run) likeTraceroute() bool {
	switch {
	case r.isUDP():
		const letters = 0x4243444546474849 // its payload is @ABC…
		return r.first.payload == letters || r.style.dport.counts() && r.first.dport >= 33434 && r.first.dport < 33434+256
	case r.isEcho():
		return r.climb.burst && r.style.sequence.up > 0 && r.first.token <= 256
	}
	return r.climb.burst && r.style.sport.jump > 0 && r.style.dport.isConstant() && int(r.first.length) == r.packet(20)
}

// likeCaracal: a flow from 24000, of which the TTL is told by the length.
func (r *run) likeCaracal() bool { return !r.isTCP() && r.first.sport == 24000 }
