package findings

import (
	"fmt"
	"math/bits"

	"github.com/tracewire/tracewire/matcher"
)

// ofSent are the stretches of a field of which the Parameters say what was sent.
// The key of a quote is zero where it shows that. Of a capture's trace they say
// it of the first probe: that the others were alike is believed if the nearest
// router quotes it so, two replies at each hop agree, and at no hop two disagree.
func ofSent[K comparable](v *view, key func(*matcher.Quote) K) []stretch[K] {
	least := 1
	if v.path.Clock.Captured {
		least = 2
	}
	look := func(a answer) (K, bool) { return key(&a.reply.Quoted), a.reply.IsQuoted() }
	all := stretches(v, least, look)
	var asSent K
	if v.path.Clock.Captured && (differs(v, look) || len(all) > 0 && all[0].key != asSent) {
		return nil
	}
	return all
}

// differs reports whether the replies of any hop show different things.
func differs[K comparable](v *view, look looking[K]) bool {
	for hop := range v.hops {
		var first K
		any := false
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

// remark is what a part of the traffic class is quoted as, if not as sent.
type remark struct {
	isOther bool
	value   uint8
}

// or is the value that is quoted.
func (r remark) or(sent uint8) uint8 {
	if r.isOther {
		return r.value
	}
	return sent
}

// remarked finds where a part of the traffic class changes.
func remarked(v *view, kind Kind, sent uint8, name func(uint8) string, part func(uint8) uint8) (found []Finding) {
	all := ofSent(v, func(q *matcher.Quote) remark {
		if value := part(q.TOS); value != sent {
			return remark{true, value}
		}
		return remark{}
	})
	for _, t := range turns(all, true) {
		f := Finding{Kind: kind, HopFrom: t.from, HopTo: t.to, Evidence: t.evidence(), Confidence: Certain}
		now, before := name(t.key.or(sent)), name(t.before.or(sent))
		f.Detail = fmt.Sprintf(saysRemarked, name(sent), now, t.to)
		if t.before.isOther {
			f.Detail = fmt.Sprintf(saysRemarkedAgain, name(sent), now, t.to, before)
		}
		switch t.cause {
		case byLast:
			f.Confidence = Likely
			f.Detail = fmt.Sprintf(saysLastRemarked, name(sent), now, t.to)
		case byEither:
			f.Confidence = Possible
			f.Detail = fmt.Sprintf(saysAloneRemarked, t.to, now, before)
		}
		found = append(found, f)
	}
	return found
}

// oddity is what routers quote of a field that the path can't restore once it is
// changed.
type oddity[K shown] struct {
	kind Kind
	name string // of the field

	// quirk reports whether a key is how routers are known to quote, while
	// nothing is known to change packets like that.
	quirk func(key K) bool
}

// find finds what was changed by the path, and what only the quotes show. The
// key says what is quoted instead.
func (o oddity[K]) find(all []stretch[K]) (found []Finding) {
	for _, t := range turns(all, false) {
		f := Finding{Kind: o.kind, HopFrom: t.from, HopTo: t.to, Evidence: t.evidence()}
		quirk := o.quirk != nil && o.quirk(t.key)
		switch {
		case t.cause == byRouter:
			f.Confidence = Certain
			f.Detail = fmt.Sprintf(saysOnlyQuote, who(&t.stretch), o.name, t.key)
		case quirk:
			f.HopFrom, f.HopTo, f.Confidence = t.first, t.last, Likely
			f.Detail = fmt.Sprintf(saysQuirk, who(&t.stretch), o.name, t.key)
		case t.cause == byLast:
			f.Confidence = Possible
			f.Detail = fmt.Sprintf(saysLastOddity, who(&t.stretch), o.name, t.key)
		default:
			f.Confidence = Likely
			f.Detail = fmt.Sprintf(saysOddity, t.to, o.name, t.key, t.to)
		}
		found = append(found, f)
	}
	return found
}

// idRule finds IPv4 IDs that are not quoted as sent. Routers that quote it in
// their own byte order, or as zero, are many; address translators and
// normalisers that give packets new IDs are the other cause. An ID that is the
// same both ways round shows nothing where it is quoted as sent.
func idRule(v *view) []Finding {
	look := func(a answer) (idChange, bool) {
		sent, quoted := a.probe.ID, a.reply.Quoted.ID
		switch turned := bits.ReverseBytes16(sent); {
		case !a.reply.IsQuoted() || !a.reply.Quoted.Dst.Is4() || sent == turned:
			return idAsSent, false
		case quoted == sent:
			return idAsSent, true
		case quoted == turned:
			return idSwapped, true
		case quoted == 0:
			return idZero, true
		}
		return idOther, true
	}
	isQuirk := func(key idChange) bool { return key == idSwapped }
	return oddity[idChange]{IDRewrite, "the IP ID", isQuirk}.find(stretches(v, 1, look))
}

// lengthRule finds lengths in the IP header that are not quoted as each probe was
// sent: routers that quote it in their byte order or less the header,
// fragmentation on the way, or something that changes what packets carry. Probes
// whose length is not known show nothing.
func lengthRule(v *view) []Finding {
	same := v.oneLength()
	look := func(a answer) (key lengthChange, shown bool) {
		sent, quoted := a.probe.Length, a.reply.Quoted.Length
		if !a.reply.IsQuoted() || sent == 0 || quoted == sent {
			return key, a.reply.IsQuoted() && sent != 0
		}
		if key.by = quoted - sent; same {
			key.sent = sent
		}
		if quoted == int(bits.ReverseBytes16(uint16(sent))) {
			if !same {
				key.by = 0
			}
			key.isSwapped = true
			return key, true
		}
		key.mayBeFragment = quoted < sent && !v.path.Parameters.DF && sent > minMTU
		return key, true
	}
	isQuirk := func(key lengthChange) bool { return key.isSwapped }
	return oddity[lengthChange]{LengthRewrite, "the length", isQuirk}.find(stretches(v, 1, look))
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
	all := ofSent(v, func(q *matcher.Quote) dfChange {
		switch {
		case q.DF == sent:
			return dfAsSent
		case q.DF:
			return dfSet
		}
		return dfCleared
	})
	return oddity[dfChange]{DFRewrite, "the DF flag", nil}.find(all)
}
