package findings

import (
	"fmt"
	"math/bits"
	"strings"

	"github.com/tracewire/tracewire/matcher"
)

// known reports whether what the Parameters say of a field is known of every
// probe: of a capture's trace, whether the nearest router that quotes agrees.
func (v *view) known(equal func(*matcher.Quote) bool) bool {
	if !v.path.Clock.Captured {
		return true
	}
	for hop := range v.hops {
		quoted := 0
		for _, a := range v.at[hop] {
			if !a.reply.IsQuoted() {
				continue
			}
			if quoted++; !equal(&a.reply.Quoted) {
				return false
			}
		}
		if quoted > 0 {
			return true
		}
	}
	return false
}

// dscpRule finds where the DSCP (RFC 2474) changes, by the traffic class that
// routers quote. A router that remarks quotes what it received, so that the next
// one is the first to show it. A DSCP that only one router in the middle of
// the path quotes may have been set and reset, or be that router's own.
func dscpRule(v *view) []Finding {
	sent := v.path.Parameters.TOS >> 2
	if !v.known(func(q *matcher.Quote) bool { return q.TOS>>2 == sent }) {
		return nil
	}
	name := func(value uint8) string { return fmt.Sprintf("DSCP %d", value) }
	return remarked(v, DSCPRewrite, sent, name, func(tos uint8) uint8 { return tos >> 2 })
}

// ecnRule finds where the ECN bits change (RFC 3168), in the same way. That a
// router marks congestion (CE) on a probe which allows it is what ECN is for,
// and is found too: it happened.
func ecnRule(v *view) []Finding {
	sent := v.path.Parameters.TOS & 3
	if !v.known(func(q *matcher.Quote) bool { return q.TOS&3 == sent }) {
		return nil
	}
	name := func(value uint8) string { return [...]string{"Not-ECT", "ECT(1)", "ECT(0)", "CE"}[value&3] }
	return remarked(v, ECNRewrite, sent, name, func(tos uint8) uint8 { return tos & 3 })
}

// remarked finds where a part of the traffic class changes.
func remarked(v *view, kind Kind, sent uint8, name func(uint8) string, part func(uint8) uint8) (found []Finding) {
	look := func(a answer) (string, bool) {
		if value := part(a.reply.Quoted.TOS); value != sent {
			return name(value), a.reply.IsQuoted()
		}
		return "", a.reply.IsQuoted()
	}
	for _, t := range turns(v.stretches(1, look), true) {
		f := Finding{Kind: kind, HopFrom: t.from, HopTo: t.to, Evidence: t.evidence(), Confidence: Certain}
		now, before := t.key, t.before
		if now == "" {
			now = name(sent)
		}
		if before == "" {
			before = name(sent)
		}
		f.Detail = fmt.Sprintf("Probes sent with %s arrive with %s, before that with %s.", name(sent), now, before)
		if before == name(sent) {
			f.Detail = fmt.Sprintf("Probes sent with %s arrive with %s from hop %d on.", name(sent), now, t.to)
		}
		switch t.cause {
		case byLast:
			f.Confidence = Likely
			f.Detail = fmt.Sprintf("Probes sent with %s arrive with %s at hop %d, the last that shows it.", name(sent), now, t.to)
		case byEither:
			f.Confidence = Possible
			f.Detail = fmt.Sprintf("Hop %d alone quotes %s where %s was before: it is set and reset there, or quoted wrongly.", t.to, now, before)
		}
		found = append(found, f)
	}
	return found
}

// oddity is what routers quote of a field that the path can't restore once it is
// changed.
type oddity struct {
	kind Kind
	name string // of the field

	// quirk reports whether a key is how routers are known to quote, while
	// nothing is known to change packets like that.
	quirk func(key string) bool
}

// find finds what was changed by the path, and what only the quotes show. The
// key says what is quoted instead.
func (o oddity) find(all []stretch) (found []Finding) {
	for _, t := range turns(all, false) {
		f := Finding{Kind: o.kind, HopFrom: t.from, HopTo: t.to, Evidence: t.evidence()}
		quirk := o.quirk != nil && o.quirk(t.key)
		switch {
		case t.cause == byRouter:
			f.Confidence = Certain
			f.Detail = fmt.Sprintf("%s %s %s; farther hops show it as sent, so only the quote differs.", who(&t.stretch), o.name, t.key)
		case quirk:
			f.HopFrom, f.HopTo, f.Confidence = t.first, t.last, Likely
			f.Detail = fmt.Sprintf("%s %s %s, as some routers do; no farther hop shows it.", who(&t.stretch), o.name, t.key)
		case t.cause == byLast:
			f.Confidence = Possible
			f.Detail = fmt.Sprintf("%s %s %s: changed on the way, or only in this quote; no farther hop shows it.", who(&t.stretch), o.name, t.key)
		default:
			f.Confidence = Likely
			f.Detail = fmt.Sprintf("All hops from %d on quote %s %s: it is changed before hop %d.", t.to, o.name, t.key, t.to)
		}
		found = append(found, f)
	}
	return found
}

// who names the routers of a stretch and what they do, up to the object.
func who(s *stretch) string {
	if s.single() {
		return fmt.Sprintf("%v quotes", s.routers[0])
	}
	names := make([]string, len(s.routers))
	for i, r := range s.routers {
		names[i] = r.String()
	}
	return strings.Join(names, ", ") + " quote"
}

// What may be quoted instead of an ID.
const (
	swapped = "with its bytes swapped"
	zeroed  = "as zero"
	other   = "as something else"
)

// idRule finds IPv4 IDs that are not quoted as sent. Routers that quote it in
// their own byte order, or as zero, are many; address translators and
// normalisers that give packets new IDs are the other cause. An ID that is the
// same both ways round shows nothing where it is quoted as sent.
func idRule(v *view) []Finding {
	look := func(a answer) (string, bool) {
		sent, quoted := a.probe.ID, a.reply.Quoted.ID
		switch turned := bits.ReverseBytes16(sent); {
		case !a.reply.IsQuoted() || !a.reply.Quoted.Dst.Is4() || sent == turned:
			return "", false
		case quoted == sent:
			return "", true
		case quoted == turned:
			return swapped, true
		case quoted == 0:
			return zeroed, true
		}
		return other, true
	}
	isQuirk := func(key string) bool { return key == swapped }
	return oddity{IDRewrite, "the IP ID", isQuirk}.find(v.stretches(1, look))
}

// lengthRule finds lengths in the IP header that are not quoted as sent: routers
// that quote it in their byte order or less the header, fragmentation on the
// way, or something that changes what packets carry.
func lengthRule(v *view) []Finding {
	sent, captured := v.path.Parameters.Length, v.path.Clock.Captured
	least := 1
	if captured {
		least = 2
	}
	if !v.known(func(q *matcher.Quote) bool { return q.Length == sent }) || captured && v.tooBig() {
		return nil
	}
	look := func(a answer) (string, bool) {
		quoted := a.reply.Quoted.Length
		switch {
		case !a.reply.IsQuoted():
			return "", false
		case quoted == sent:
			return "", true
		case quoted < sent && !v.path.Parameters.DF && sent > minMTU:
			return fmt.Sprintf("as %d instead of %d (fragments, if the path has such a link)", quoted, sent), true
		case quoted == int(bits.ReverseBytes16(uint16(sent))):
			return fmt.Sprintf("as %d, which is %d %s", quoted, sent, swapped), true
		}
		return fmt.Sprintf("as %d instead of %d", quoted, sent), true
	}
	isQuirk := func(key string) bool { return strings.HasSuffix(key, swapped) }
	return oddity{LengthRewrite, "the length", isQuirk}.find(v.stretches(least, look))
}

// minMTU is the longest packet that no link of IPv4 has to fragment (RFC 791).
const minMTU = 68

// tooBig reports whether a router asked for shorter packets. A program may then
// have sent such.
func (v *view) tooBig() bool {
	for hop := range v.hops {
		for _, a := range v.at[hop] {
			if a.reply.Kind == matcher.PacketTooBig {
				return true
			}
		}
	}
	return false
}

// dfRule finds the don't-fragment flag set or cleared. Tunnels clear it to hide
// a small MTU; other than that it is how a router quotes.
func dfRule(v *view) []Finding {
	sent := v.path.Parameters.DF
	if !v.path.Target.Addr.Is4() || !v.known(func(q *matcher.Quote) bool { return q.DF == sent }) {
		return nil
	}
	changed := map[bool]string{true: "as set, which it was not", false: "as cleared, though it was set"}
	look := func(a answer) (string, bool) {
		if a.reply.Quoted.DF != sent {
			return changed[a.reply.Quoted.DF], a.reply.IsQuoted()
		}
		return "", a.reply.IsQuoted()
	}
	return oddity{DFRewrite, "the DF flag", nil}.find(v.stretches(1, look))
}
