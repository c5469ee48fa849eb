package session

import "github.com/google/gopacket/layers"

// tool is a program in one of its modes, by the looks of the probes that it
// sends. A field that is zero says nothing.
type tool struct {
	name     string
	protocol layers.IPProtocol // of ICMP the one of IPv4, for both

	// How they differ from each other: the ports, of which an echo has its
	// identifier as sport; the sequence number of TCP and ICMP echo; and the
	// IP ID of IPv4.
	sport, dport, sequence, id habit

	df               setting // of IPv4
	length4, length6 int     // of the IP packet, over IPv4 and over IPv6
	payload          uint64  // bytes 2 to 10 of the payload

	further func(*run) bool
}

// habit is how a field goes from probe to probe.
type habit uint8

const (
	same habit = iota + 1
	counts
	varies
)

// setting is what a flag is in all probes.
type setting uint8

const (
	off setting = iota + 1
	on
)

const (
	udp     = layers.IPProtocolUDP
	udpLite = layers.IPProtocolUDPLite
	tcp     = layers.IPProtocolTCP
	echo    = layers.IPProtocolICMPv4
)

// The payloads of Linux traceroute: bytes that count from 0x40 in UDP and UDP-Lite, and from
// 0x48 in ICMP echo.
const (
	lettersUDP  = 0x4243444546474849
	lettersEcho = 0x4a4b4c4d4e4f5051
)

// tools are the programs whose probes are known, those that are told most surely
// first. What they send was seen in testdata/captures; INDEX.md has it all in a
// table. What looks like none has no name: better than a wrong one.
var tools = []tool{
	{name: "scamper", protocol: udp, sport: same, id: counts, df: on, length6: 60, further: fromScamper},
	{name: "scamper", protocol: echo, sport: same, sequence: counts, id: counts, df: on, length6: 60, further: fromScamper},
	{name: "scamper", protocol: tcp, sport: same, dport: same, sequence: same, id: counts, df: on, length4: 40, length6: 60, further: fromScamper},
	{name: "nmap", protocol: udp, dport: same, df: off, length4: 28, length6: 48, further: goesDown},
	{name: "nmap", protocol: echo, sport: same, sequence: counts, df: off, length4: 28, length6: 48, further: goesDown},
	{name: "nmap", protocol: tcp, dport: same, df: off, length4: 44, length6: 64, further: goesDown},
	{name: "hping3", protocol: udp, sport: counts, dport: same, df: off, length4: 28, further: severalOverIPv4},
	{name: "hping3", protocol: echo, sport: same, df: off, length4: 28, further: countsSwapped},
	{name: "hping3", protocol: tcp, sport: counts, dport: same, df: off, length4: 40, further: severalOverIPv4},
	{name: "tracepath", protocol: udp, sport: same, dport: counts, df: on, further: to(44444, 44444+512)},
	{name: "caracal", protocol: udp, sport: same, dport: same, further: from(24000, 24000)},
	{name: "caracal", protocol: echo, sport: same, further: from(24000, 24000)},
	{name: "tcptraceroute", protocol: tcp, sport: same, dport: same, sequence: same, id: varies, df: off, length4: 40, further: severalOverIPv4},
	{name: "tracert", protocol: echo, sport: same, sequence: counts, df: off, length4: 92, further: overIPv4},
	{name: "traceroute", protocol: udp, payload: lettersUDP},
	{name: "traceroute", protocol: udpLite, dport: same, payload: lettersUDP},
	{name: "traceroute", protocol: echo, sport: same, sequence: counts, payload: lettersEcho},
	{name: "traceroute", protocol: tcp, sport: varies, dport: same, sequence: varies, df: off, length4: 60, length6: 80},
	{name: "mtr", protocol: udp, sport: same, dport: counts, df: off, further: inRounds},
	{name: "mtr", protocol: udp, sport: counts, dport: same, df: off, further: inRounds},
	{name: "mtr", protocol: echo, sport: same, sequence: counts, df: off, further: inRounds},
	{name: "mtr", protocol: tcp, sport: counts, dport: same, sequence: varies, df: on, length4: 60, length6: 80, further: inRounds},
	{name: "tracewire", protocol: udp, sport: same, dport: same, further: hasCookies},
	{name: "tracewire", protocol: udpLite, sport: same, dport: same, further: hasCookies},
	{name: "tracewire", protocol: echo, sport: same, further: hasCookies},
	{name: "traceroute", protocol: udp, sport: same, dport: counts, df: off, further: to(33434, 33435)}, // BSD's
}

// tool is the program that the run's probes look like, or "".
func (r *run) tool() string {
	for i := range tools {
		if tools[i].sends(r) {
			return tools[i].name
		}
	}
	return ""
}

// sends reports whether the tool sends what the run has.
func (t *tool) sends(r *run) bool {
	s, y := &r.first, &r.style
	protocol, length := layers.IPProtocol(s.protocol), t.length4
	if s.isEcho() {
		protocol = echo
	}
	if s.is6 {
		length = t.length6
	}
	return t.protocol == protocol &&
		t.sport.fits(&y.sport) && t.dport.fits(&y.dport) && t.sequence.fits(&y.sequence) &&
		(s.is6 || t.id.fits(&y.id) && t.df.fits(s.df)) &&
		(length == 0 || length == int(s.length)) &&
		(t.payload == 0 || t.payload == s.payload) &&
		(t.further == nil || t.further(r))
}

// fits reports whether a field of one value or more goes as the habit is. What
// counts may skip some, and start anew.
func (h habit) fits(s *series) bool {
	switch h {
	case same:
		return s.up+s.jump == 0
	case counts:
		return s.n == 1 || s.counts()
	case varies:
		return s.n == 1 || s.jump > s.up
	}
	return true
}

func (s setting) fits(flag bool) bool { return s == 0 || (s == on) == flag }

func overIPv4(r *run) bool { return !r.first.is6 }

// severalOverIPv4: one probe shows no habit, and these programs are told by little
// else. A router's is as short.
func severalOverIPv4(r *run) bool { return !r.first.is6 && r.style.n > 1 }

// from and to tell by the source port, or the destination port, of the first
// probe.
func from(lowest, highest uint16) func(*run) bool {
	return func(r *run) bool { return r.first.sport >= lowest && r.first.sport <= highest }
}

func to(lowest, highest uint16) func(*run) bool {
	return func(r *run) bool { return r.first.dport >= lowest && r.first.dport <= highest }
}

// fromScamper: its port has the highest bit set. IPv4 IDs are numbers from 1;
// over IPv6 its echo requests count from 0, and other probes go to port 33435.
func fromScamper(r *run) bool {
	s := &r.first
	switch {
	case s.sport&0x8000 == 0:
		return false
	case !s.is6:
		return s.id == 1
	case s.isEcho():
		return s.token == 0
	}
	return s.dport == 33435 && s.payload == 0
}

// inRounds: mtr counts from 33000 on, and asks each hop once in a round.
func inRounds(r *run) bool {
	const first = 33000
	s := &r.first
	counted := uint32(s.dport)
	switch {
	case s.isEcho():
		counted = s.token
	case r.style.sport.counts():
		counted = uint32(s.sport)
	}
	return counted >= first && !r.climb.burst && s.payload == 0 && r.style.n > 1
}

// goesDown: nmap goes from a guess down to the first hop, then on from the guess.
func goesDown(r *run) bool {
	probes := r.path.Probes
	for i := 1; i < len(probes); i++ {
		if probes[i].TTL == probes[0].TTL-2 && probes[i-1].TTL == probes[0].TTL-1 {
			return true
		}
	}
	return false
}

// countsSwapped: hping3 has the bytes of the sequence number swapped.
func countsSwapped(r *run) bool {
	return !r.first.is6 && r.style.n > 1 && r.first.token&0xff == 0 && r.style.sequence.last&0xff == 0 && r.style.sequence.jump > 0
}

// hasCookies: each probe of ours carries bytes of its own, the last of which is
// not zero.
func hasCookies(r *run) bool {
	p := &r.style.payload
	return p.n > 1 && p.same+p.up == 0 && r.first.payload&0xff != 0
}
