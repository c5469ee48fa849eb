package matcher

import (
	"fmt"
	"slices"

	"github.com/tracewire/tracewire/craft"
)

// Translation is how a quote shows a probe's identity otherwise than it was sent:
// what a device on the path, or the router that quotes, does to it. The zero
// Translation is none.
type Translation struct {
	ID    IDChange
	Token TokenChange
	Port  bool // the source port, or an echo's identifier, is another

	// Shift is, where Token is TokenShifted, what was added to the checksum in
	// ones' complement, or to the sequence number of TCP.
	Shift uint32
}

// IDChange is what became of an IPv4 ID.
type IDChange uint8

// The changes of an ID. IPv6 has none.
const (
	IDSame IDChange = iota
	IDSwapped
	IDZeroed
	IDRenumbered
)

// TokenChange is what became of the checksum or sequence number.
type TokenChange uint8

// The changes of a Token.
const (
	TokenSame    TokenChange = iota
	TokenShifted             // by a constant
	TokenOther
)

// String says what is changed, as in "the checksum is shifted by 0xa4f6, the ID is
// renumbered"; "" of the zero Translation.
func (t Translation) String() string {
	text := ""
	add := func(format string, args ...any) {
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf(format, args...)
	}
	switch t.Token {
	case TokenShifted:
		add("the checksum or sequence number is shifted by %#04x", t.Shift)
	case TokenOther:
		add("the checksum or sequence number is another")
	}
	switch t.ID {
	case IDSwapped:
		add("the ID has its bytes swapped")
	case IDZeroed:
		add("the ID is zero")
	case IDRenumbered:
		add("the ID is renumbered")
	}
	if t.Port {
		add("the source port is another")
	}
	return text
}

// idChange is what a quote does to the ID of a probe.
func idChange(probe, quote *craft.Key) IDChange {
	switch {
	case probe.Dst.Is6() || probe.ID == quote.ID:
		return IDSame
	case probe.ID == craft.SwapID(quote.ID):
		return IDSwapped
	case quote.ID == 0:
		return IDZeroed
	}
	return IDRenumbered
}

// translationOf is what a quote does to a probe's identity, with the Token shifted
// only if that is known already.
func translationOf(probe, quote *craft.Key) Translation {
	t := Translation{ID: idChange(probe, quote), Port: probe.SrcPort != quote.SrcPort}
	if quote.Short || probe.Token != quote.Token {
		t.Token = TokenOther
	}
	return t
}

// isLike reports whether two translations are one, of which a path does what it does to
// all: a shift is the same whatever becomes of the ID, which is each router's own
// affair.
func (t Translation) isLike(o Translation) bool {
	if t.Token == TokenShifted && o.Token == TokenShifted {
		return t.Shift == o.Shift
	}
	return t == o
}

// translated finds the one probe of which a quote is under a translation that is
// confirmed.
func (t *Run) translated(quote *craft.Key, at int64) (int32, Rule, Translation) {
	for _, known := range t.learnt.confirmed {
		if i := t.under(known, quote, at); i != none {
			how := known
			how.ID = idChange(&t.entries[i].key, quote)
			return i, ByTranslation, how
		}
	}
	return none, 0, Translation{}
}

// under finds the one probe of which a quote is under a translation.
func (t *Run) under(known Translation, quote *craft.Key, at int64) int32 {
	part := *quote
	view := craft.PortToken
	switch {
	case quote.Short && known.Token != TokenOther:
		return none
	case known.Token == TokenShifted:
		part.Unshift(known.Shift)
	case known.Token == TokenOther:
		view = craft.PortID
	case known.Port:
		view = craft.IDToken
	}
	if known.ID == IDSwapped && view != craft.PortToken {
		part.ID = craft.SwapID(part.ID)
	}
	found := t.sole(view, &part, quote, at)
	if found != none && known.Token != TokenShifted && translationOf(&t.entries[found].key, quote) != known {
		return none
	}
	return found
}

// sole returns the only probe sent before at that is the same as part in a view
// and that a quote can be of; of those alike the likeliest, and of others the only
// one that is waited for.
func (t *Run) sole(view craft.View, part, quote *craft.Key, at int64) int32 {
	found, waiting := none, 0
	several := false
	for i := range t.index.filed(t.entries, view, part) {
		e := &t.entries[i]
		if !e.sentBy(at) || !e.allows(quote) {
			continue
		}
		if e.state == outstanding {
			waiting++
		}
		switch {
		case found == none:
			found = i
		case !t.looksAlike(e, &t.entries[found]):
			several = true
			if t.entries[found].state != outstanding {
				found = i
			}
		case t.earlier(i, found):
			found = i
		}
	}
	if several && waiting != 1 {
		return none
	}
	return found
}

// maxConfirmed bounds how many translations are learnt from cookies.
const maxConfirmed = 8

// proof is a constant that a quote with the cookie of a probe shows.
type proof struct {
	shift uint32
	probe int32
}

// prove learns from a quote that shows the cookie of a probe what was done to the rest:
// the constant that the Token is shifted by, and that IDs are renumbered. That is true
// of all probes of its flow. Where each has ports of its own, two must show it.
func (t *Run) prove(probe int32, quote *craft.Key) {
	l, e := &t.learnt, &t.entries[probe]
	if !e.key.Same(craft.Flow, quote) {
		return
	}
	l.renumbered = l.renumbered || idChange(&e.key, quote) == IDRenumbered
	shift, ok := e.key.Shift(quote)
	how := Translation{Token: TokenShifted, Shift: shift}
	if !ok || shift == 0 || len(l.confirmed) >= maxConfirmed || slices.ContainsFunc(l.confirmed, how.isLike) {
		return
	}
	if t.isAlone(quote) && !t.isProvedAgain(proof{shift, probe}, quote) {
		return
	}
	t.confirm(how)
}

// isProvedAgain notes what a quote of a probe with ports of its own proves, and reports
// whether that of another did before.
func (t *Run) isProvedAgain(now proof, quote *craft.Key) bool {
	l := &t.learnt
	if len(l.proofs) == maxCandidates {
		return false
	}
	if isRenamed := !t.entries[now.probe].key.SameID(quote) || quote.Dst.Is6(); isRenamed && !slices.Contains(l.rewritten, now.probe) {
		l.rewritten = append(l.rewritten, now.probe)
	}
	again := slices.ContainsFunc(l.proofs, func(p proof) bool { return p.shift == now.shift && p.probe != now.probe })
	l.proofs = append(l.proofs, now)
	return again
}
