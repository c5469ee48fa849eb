package findings

import (
	"fmt"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher"
)

// Address translation is found by what it leaves in quotes. Most translators
// restore the addresses and ports in the errors that they pass back, some the
// checksum too; what is found is never more than what was not restored.

// addressRule finds a source or destination address in quotes that is not the
// probe's: a translator on the way that does not restore it.
func addressRule(v *view) []Finding {
	src, dst := v.path.Source.Addr, v.path.Target.Addr
	look := func(a answer) (key addressChange, shown bool) {
		q := &a.reply.Quoted
		if !a.reply.IsQuoted() {
			return key, false
		}
		if src.IsValid() && q.Src != src {
			key.src = readdressed{true, src, q.Src}
		}
		if q.Dst != dst {
			key.dst = readdressed{true, dst, q.Dst}
		}
		return key, true
	}
	return translated(stretches(v, 1, look), Certain)
}

// portRule finds ports, or an echo identifier, in quotes that are not the
// probe's, in the same way.
func portRule(v *view) []Finding {
	isID := isICMP(v.path.Protocol)
	look := func(a answer) (portChange, bool) {
		q := &a.reply.Quoted
		switch {
		case !a.reply.IsQuoted():
			return portChange{}, false
		case q.SrcPort != a.probe.SrcPort && v.flow:
			return portChange{what: sourcePortTo, isID: isID, sent: a.probe.SrcPort, quoted: q.SrcPort}, true
		case q.SrcPort != a.probe.SrcPort:
			return portChange{what: sourcePort, isID: isID}, true
		case q.DstPort != a.probe.DstPort:
			return portChange{what: destinationPort}, true
		}
		return portChange{}, true
	}
	return translated(stretches(v, 1, look), Certain)
}

// checksumRule finds transport checksums in quotes that differ from the probe's
// by the same amount from some hop on: what the checksum covers was another
// there, though the quote shows it restored. That is how address translation is
// seen which doesn't repair the checksum (Detal et al., "Revealing middlebox
// interference with tracebox", 2013); something that changes the payload would
// look the same.
//
// The sum of the pseudo-header alone, sent or quoted, is left over from checksum
// offload. A checksum that routers behind show as sent was quoted wrongly by
// one router, and a single reply with a wrong one is not enough.
func checksumRule(v *view, r *record) []Finding {
	look := func(a answer) (checksumChange, bool) {
		q, sent := &a.reply.Quoted, a.probe.Checksum
		switch {
		case !a.reply.IsQuoted() || !q.HasChecksum || !a.probe.HasChecksum || q.Checksum == 0 || sent == 0:
			return checksumChange{}, false
		case q.Checksum == sent:
			return checksumChange{}, true
		case v.isPseudo(sent, a) || v.isPseudo(q.Checksum, a):
			return checksumChange{}, false
		case !v.flow && a.reply.Translation.Token != matcher.TokenShifted:
			return checksumChange{differs: true}, true
		}
		return checksumChange{differs: true, isAlike: true, by: onesDifference(q.Checksum, sent)}, true
	}
	var found []Finding
	for _, t := range turns(stretches(v, 1, look), false) {
		if !t.key.differs || t.cause == byRouter || len(t.sights) < 2 || r.overlaps(t.from, t.to, keyAddress, keyPort) {
			continue
		}
		f := Finding{Kind: NAT, HopFrom: t.from, HopTo: t.to, Evidence: t.evidence(), Confidence: Likely}
		f.Detail = fmt.Sprintf(saysChecksum, t.to, t.key)
		if t.cause == byLast {
			f.Confidence = Possible
			f.Detail = fmt.Sprintf(saysLastChecksum, t.to, t.key)
		}
		found = append(found, f)
	}
	return found
}

// translated are the findings of addresses or ports. What a single router in the
// middle of the path shows is less sure: it may quote wrongly.
func translated[K shown](all []stretch[K], sure Confidence) (found []Finding) {
	var asSent K
	for _, t := range turns(all, true) {
		if t.key == asSent {
			continue // translated back: the beginning tells it
		}
		f := Finding{Kind: NAT, HopFrom: t.from, HopTo: t.to, Evidence: t.evidence(), Confidence: sure}
		f.Detail = fmt.Sprintf(saysTranslated, t.to, t.key)
		if t.cause == byEither || t.cause == byLast {
			f.Confidence = Likely
			f.Detail = fmt.Sprintf(saysAloneTranslated, t.to, t.key)
		}
		found = append(found, f)
	}
	return found
}

func isICMP(protocol layers.IPProtocol) bool {
	return craft.ProtocolOf(protocol).Carries(craft.EchoSequence)
}

// isPseudo reports whether a checksum is the sum of the probe's pseudo-header
// alone (RFC 768; RFC 8200, section 8.1), which the adapter would have
// completed.
func (v *view) isPseudo(sum uint16, a answer) bool {
	protocol := v.path.Protocol
	if protocol != layers.IPProtocolUDP && protocol != layers.IPProtocolTCP {
		return false
	}
	header := 20
	if v.path.Target.Addr.Is6() {
		header = 40
	}
	src, dst := v.path.Source.Addr.AsSlice(), v.path.Target.Addr.AsSlice()
	for _, length := range [...]int{v.path.Parameters.Length, a.reply.Quoted.Length} {
		total := uint32(protocol) + uint32(max(length-header, 0))
		for _, b := range [...][]byte{src, dst} {
			for i := 0; i+1 < len(b); i += 2 {
				total += uint32(b[i])<<8 | uint32(b[i+1])
			}
		}
		for total > 0xffff {
			total = total>>16 + total&0xffff
		}
		if uint16(total) == sum {
			return true
		}
	}
	return false
}

// onesDifference is a - b in ones' complement: what must be added to b's sum to
// make a's.
func onesDifference(a, b uint16) uint16 {
	d := uint32(a) + uint32(^b)
	return uint16(d>>16 + d&0xffff)
}
