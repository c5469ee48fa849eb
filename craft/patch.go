package craft

import "encoding/binary"

// identify notes in key what tells p from the other probes of its shape.
func (t *template) identify(p *Probe, key *Key) {
	one, other := t.secret.hash(p)
	key.SrcPort = p.SrcPort
	if !p.Dst.Is6() {
		key.ID = p.ID
	}
	switch t.token {
	case Checksum:
		key.DstPort = p.DstPort
		key.Token = uint32(plainChecksum(other))
	case Sequence:
		key.DstPort = p.DstPort
		key.Token = uint32(other)
	default:
		key.Token = uint32(t.constant.sequence + p.ID)
	}
	if t.cookie {
		key.Cookie, key.HasCookie = one|1, true // no zero byte ends a cookie
	}
}

// patchIP writes the TTL, and the ID or the flow label.
func (t *template) patchIP(p *Probe) {
	if p.Dst.Is6() {
		binary.BigEndian.PutUint32(t.ip, binary.BigEndian.Uint32(t.ip)&^maxFlowLabel|p.FlowLabel)
		t.ip[7] = p.TTL
		return
	}
	binary.BigEndian.PutUint16(t.ip[4:], p.ID)
	t.ip[8] = p.TTL
	binary.BigEndian.PutUint16(t.ip[10:], ^fold(t.ipSum+uint64(p.ID)+uint64(p.TTL)<<8))
}

// patch writes the identity, and makes the checksum right.
func (t *template) patch(key *Key, flow uint16) {
	h := t.transport
	sum := t.sum + uint64(key.SrcPort) + uint64(key.DstPort)
	switch t.token {
	case Checksum:
		putPorts(h, key)
		sum += t.putCookie(key)
		sent := unlikeRTP(sum, uint16(key.Token))
		key.Token = uint32(sent)
		t.tune(key, sum, sent)
	case Sequence:
		putPorts(h, key)
		t.patchTCP(key, sum)
	default:
		binary.BigEndian.PutUint16(h[4:], key.SrcPort)
		binary.BigEndian.PutUint16(h[6:], uint16(key.Token))
		sum += uint64(key.Token) + t.putCookie(key)
		t.tune(key, sum, t.constant.checksumOf(flow))
	}
}

func putPorts(h []byte, key *Key) {
	binary.BigEndian.PutUint16(h, key.SrcPort)
	binary.BigEndian.PutUint16(h[2:], key.DstPort)
}

// patchTCP writes the sequence number, and the same as acknowledgement number
// where there is one: a RST in answer has its sequence number from there (RFC
// 9293, section 3.5.2).
func (t *template) patchTCP(key *Key, sum uint64) {
	h, token := t.transport, uint64(key.Token)
	binary.BigEndian.PutUint32(h[4:], key.Token)
	sum += words(token)
	if t.acks {
		binary.BigEndian.PutUint32(h[8:], key.Token)
		sum += words(token)
	}
	binary.BigEndian.PutUint16(h[t.checksum:], ^fold(sum))
}

// putCookie writes the cookie, if there is one, and returns what it adds to the
// sum. All headers that a payload follows have the same length.
func (t *template) putCookie(key *Key) uint64 {
	if !t.cookie {
		return 0
	}
	binary.BigEndian.PutUint64(t.transport[udpHeader+tuneLength:], key.Cookie)
	return words(key.Cookie)
}

// tune writes the checksum that is wanted, and the word of the payload that makes
// it right where all else comes to sum.
func (t *template) tune(key *Key, sum uint64, checksum uint16) {
	word := tuned(sum, checksum)
	binary.BigEndian.PutUint16(t.transport[udpHeader:], word)
	binary.BigEndian.PutUint16(t.transport[t.checksum:], checksum)
	if t.query && key.DstPort == dnsPort {
		key.Query = word
	}
}

// tuned is the word that makes a checksum of a sum.
func tuned(sum uint64, checksum uint16) uint16 {
	return fold(uint64(^checksum) + uint64(^fold(sum)))
}

// unlikeRTP is a checksum, or one beside it whose word of the payload doesn't begin
// with the bits that RTP and RTCP begin with (RFC 3550, section 5.1): Wireshark
// takes what begins so for RTCP, on any port, and then calls it malformed.
func unlikeRTP(sum uint64, checksum uint16) uint16 {
	const version, two, low = 0xc000, 0x8000, 0x4000
	if tuned(sum, checksum)&version != two {
		return checksum
	}
	if beside := checksum ^ low; isPlain(beside) {
		return beside
	}
	return checksum ^ low ^ 1
}
