package findings

import (
	"fmt"
	"math/bits"
	"strings"

	"github.com/tracewire/tracewire/matcher"
)

// ofSent are the stretches of a field of which the Parameters say what was sent.
// The key of a quote is empty where it shows that. Of a capture's trace they say
// it of the first probe: that the others were alike is believed if the nearest
// router quotes it so, two replies at each hop agree, and at no hop two disagree.
func (v *view) ofSent(key func(*matcher.Quote) string) []stretch {
	least := 1
	if v.path.Clock.Captured {
		least = 2
	}
	look := func(a answer) (string, bool) { return key(&a.reply.Quoted), a.reply.IsQuoted() }
	all := v.stretches(least, look)
	if v.path.Clock.Captured && (v.differs(look) || len(all) > 0 && all[0].key != "") {
		return nil
	}
	return all
}

// differs reports whether the replies of any hop show different things.
func (v *view) differs(look looking) bool {
	for hop := range v.hops {
		first, any := "", false
		for _, a := range v.at[hop] {
			switch key, shown := look(a); {
			case !shown:
			case !any:
				first, any = key, true
			case key != first:
				return true
			}
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
	name := func(value uint8) string { return fmt.Sprintf("DSCP %d", value) }
	return remarked(v, DSCPRewrite, sent, name, func(tos uint8) uint8 { return tos >> 2 })
}

// ecnRule finds where the ECN bits change (RFC 3168), in the same way. That a
// router marks congestion (CE) on a probe which allows it is what ECN is for,
// and is found too: it happened.
func ecnRule(v *view) []Finding {
	sent := v.path.Parameters.TOS & 3
	name := func(value uint8) string { return "ECN " + [...]string{"Not-ECT", "ECT(1)", "ECT(0)", "CE"}[value&3] }
	return remarked(v, ECNRewrite, sent, name, func(tos uint8) uint8 { return tos & 3 })
}

// remarked finds where a part of the traffic class changes.
func remarked(v *view, kind Kind, sent uint8, name func(uint8) string, part func(uint8) uint8) (found []Finding) {
	all := v.ofSent(func(q *matcher.Quote) string {
		if value := part(q.TOS); value != sent {
			return name(value)
		}
		return ""
	})
	for _, t := range turns(all, true) {
		f := Finding{Kind: kind, HopFrom: t.from, HopTo: t.to, Evidence: t.evidence(), Confidence: Certain}
		now, before := t.key, t.before
		if now == "" {
			now = name(sent)
		}
		if before == "" {
			before = name(sent)
		}
		f.Detail = fmt.Sprintf("Probes sent with %s arrive with %s from hop %d on.", name(sent), now, t.to)
		if t.before != "" {
			f.Detail = fmt.Sprintf("Probes sent with %s arrive with %s from hop %d on; before that with %s.", name(sent), now, t.to, before)
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
	return fmt.Sprintf("Hops %d to %d quote", s.first, s.last)
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

// lengthRule finds lengths in the IP header that are not quoted as each probe was
// sent: routers that quote it in their byte order or less the header,
// fragmentation on the way, or something that changes what packets carry. Probes
// whose length is not known show nothing.
func lengthRule(v *view) []Finding {
	same := v.oneLength()
	look := func(a answer) (string, bool) {
		sent, quoted := a.probe.Length, a.reply.Quoted.Length
		turned := quoted == int(bits.ReverseBytes16(uint16(sent)))
		key := fmt.Sprintf("as %d instead of %d", quoted, sent)
		switch {
		case !a.reply.IsQuoted() || sent == 0:
			return "", false
		case quoted == sent:
			return "", true
		case turned && same:
			return fmt.Sprintf("as %d, which is %d %s", quoted, sent, swapped), true
		case turned:
			return swapped, true
		case !same && quoted < sent:
			key = fmt.Sprintf("as %d less than sent", sent-quoted)
		case !same:
			key = fmt.Sprintf("as %d more than sent", quoted-sent)
		}
		if quoted < sent && !v.path.Parameters.DF && sent > minMTU {
			key += " (fragments, if the path has such a link)"
		}
		return key, true
	}
	isQuirk := func(key string) bool { return strings.HasSuffix(key, swapped) }
	return oddity{LengthRewrite, "the length", isQuirk}.find(v.stretches(1, look))
}

// oneLength reports whether all probes whose length is known have the same.
func (v *view) oneLength() bool {
	length := 0
	for i := range v.path.Probes {
		switch p := &v.path.Probes[i]; {
		case p.Length == 0:
		case length == 0:
			length = p.Length
		case length != p.Length:
			return false
		}
	}
	return true
}

// minMTU is the longest packet that no link of IPv4 has to fragment (RFC 791).
const minMTU = 68

// dfRule finds the don't-fragment flag set or cleared. Tunnels clear it to hide
// a small MTU; other than that it is how a router quotes.
func dfRule(v *view) []Finding {
	sent := v.path.Parameters.DF
	if !v.path.Target.Addr.Is4() {
		return nil
	}
	changed := map[bool]string{true: "as set, which it was not", false: "as cleared, though it was set"}
	all := v.ofSent(func(q *matcher.Quote) string {
		if q.DF != sent {
			return changed[q.DF]
		}
		return ""
	})
	return oddity{DFRewrite, "the DF flag", nil}.find(all)
}
