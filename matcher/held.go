package matcher

import (
	"slices"

	"github.com/tracewire/tracewire/craft"
)

const (
	// enough is how many replies to different probes must agree on a translation
	// for it to be confirmed. On no other constant may as many agree; in a capture not
	// one less either, since there the checksums of probes may follow each other.
	enough = 3

	// floodLimit is how many quotes of our flow may have failed the checks before
	// the run is flooded. In a capture as many more as were accepted, up to as many
	// again: it may lack the probes.
	floodLimit = 24

	// maxCandidates is how many probes are considered for one quote that
	// shows no more than the ports.
	maxCandidates = 64
)

// learnt is what a Run has learnt of how the path rewrites what identifies
// probes, and the quotes that it has yet to decide about.
type learnt struct {
	captured  bool // the probes are found in a capture
	confirmed []Translation
	held      []held
	shifts    map[uint32][]supporter // by what would have been added to the Token
	accepted  int
	failed    int // quotes that did not agree in all, nor by what was confirmed
	flooded   bool
	farthest  uint8 // the highest TTL of a probe that a quote agreed with in all

	renumbered bool    // a quote that is known otherwise shows another ID
	proofs     []proof // shifts that a cookie proves, of probes with ports of their own
	rewritten  []int32 // probes with ports of their own, of which a cookie proves that all but the ports was rewritten
	copies     int     // quotes that repeat one that is held
	strays     int     // quotes of packets to the destination from ports that are not ours

	cookies cookies // of probes that are found

	released []released
	next     int // of released: what to tell next
	rejected []held
}

// held is a quote that agrees in part.
type held struct {
	reply        Reply
	of           craft.Key
	at           int64
	two          int32       // the one probe with which it agrees in two of three, or none
	how          Translation // of that probe
	rival        int32       // the one other probe with which it agrees as well, or none
	ports        int32       // the one probe that has its ports, or none; how is of it then
	failed, done bool        // it is counted as failed; it is accepted
	told         int32       // if done: the probe that it is of
	by           Rule
}

// repeats reports whether two quotes are of copies of one probe: what they show of its
// identity differs at most in an ID that a translator gave to each.
func (h *held) repeats(o *held) bool {
	of := h.of
	of.ID = o.of.ID
	return of == o.of && (h.how.ID == IDRenumbered && o.how.ID == IDRenumbered || h.of.ID == o.of.ID)
}

// supporter is a quote that is held, and the probe that it would be of.
type supporter struct{ held, probe int32 }

// released is a quote that was held, and is accepted.
type released struct {
	reply Reply
	probe int32
}

func (l *learnt) reset() {
	*l = learnt{captured: l.captured, held: l.held[:0], confirmed: l.confirmed[:0]}
}

// Captured says that the probes are found in a capture, whoever sent them: some may
// be missing, and nobody waits for what is decided.
func (t *Run) Captured() { t.learnt.captured = true }

// Flooded reports whether so many quotes of the run's flow have failed the checks
// that only what agrees in all, or by a translation confirmed before, is accepted.
func (t *Run) Flooded() bool { return t.learnt.flooded }

// Failed is how many quotes of the run's flow have failed the checks, up to where
// the flood began.
func (t *Run) Failed() int { return t.learnt.failed }

// Hold considers a quote that Match calls foreign. It reports whether it is held: then
// Released has it once it is accepted, and Rejected if it is not. Only a quote
// that agrees in two of source port, ID and Token is held, or with ports set in
// the ports alone.
func (t *Run) Hold(m *Message, ports bool) bool {
	if !m.IsReply || !m.Reply.IsQuoted() || t.learnt.flooded {
		return false
	}
	quote, at := &m.Of, m.Time.UnixNano()-t.shifted
	h := held{at: at, ports: none}
	agrees := false
	h.two, h.rival, agrees = t.two(quote, at)
	flow := t.index.head(t.entries, craft.Flow, quote)
	if flow == none && !agrees {
		return false
	}
	if h.two != none {
		h.how = translationOf(&t.entries[h.two].key, quote)
	} else if ports && flow != none && t.entries[flow].sentBy(at) && t.entries[flow].allows(quote) && t.isAlone(quote) {
		h.ports, h.how = flow, translationOf(&t.entries[flow].key, quote)
	}
	h.reply, h.of = m.Reply, *quote
	if h.failed = t.isFailure(&h); h.failed {
		t.Fail()
	}
	if t.learnt.flooded || h.two == none && !ports {
		return false
	}
	if t.isAgain(&h) {
		return true
	}
	n := len(t.learnt.held)
	t.learnt.held = append(t.learnt.held, h)
	shifts := t.propose(int32(n))
	if h.two == none && h.ports == none && len(shifts) == 0 {
		t.learnt.held = t.learnt.held[:n]
		return false
	}
	t.learn(&h, shifts)
	return true
}

// isFailure reports whether a quote that agrees in part counts towards a flood. The first
// of a probe with ports of its own does not: there are no more than there are probes,
// and one that differs speaks against it. Nor do copies, up to as many as make a flood.
func (t *Run) isFailure(h *held) bool {
	first := h.ports != none
	for i := range t.learnt.held {
		o := &t.learnt.held[i]
		if h.two == o.two && h.ports == o.ports && h.repeats(o) {
			t.learnt.copies++
			return t.learnt.copies > floodLimit
		}
		first = first && h.ports != o.ports
	}
	return !first
}

// isAgain accepts a quote that repeats one which was accepted by itself.
func (t *Run) isAgain(h *held) bool {
	for i := range t.learnt.held {
		if o := &t.learnt.held[i]; o.done && o.by > ByTranslation && h.two == o.two && h.rival == o.rival && h.ports == o.ports && h.repeats(o) {
			t.release(h, o.told, o.by, translationOf(&t.entries[o.told].key, &h.of))
			return true
		}
	}
	return false
}

// Fail notes that a quote of our flow failed the checks. In a flood nothing stays
// held.
func (t *Run) Fail() {
	l := &t.learnt
	limit := floodLimit
	if l.captured {
		limit += min(l.accepted, floodLimit)
	}
	if l.failed++; l.failed > limit && !l.flooded {
		l.flooded = true
		l.rejectAll()
	}
}

func (l *learnt) rejectAll() {
	for i := range l.held {
		if !l.held[i].done {
			l.rejected = append(l.rejected, l.held[i])
		}
	}
	l.held, l.shifts = l.held[:0], nil
}

// two finds the probe that agrees with a quote in two of source port, ID and Token, or
// the two of which each does, and reports whether any does. Over IPv6, where the length
// stands for the ID, it tells only a probe that no other is as long as.
func (t *Run) two(quote *craft.Key, at int64) (probe, rival int32, agrees bool) {
	best := candidate{probe: none}
	if quote.Dst.Is6() {
		i := t.index.head(t.entries, craft.PortID, quote)
		if i == none || t.isAlone(quote) || t.index.before(t.entries, craft.PortID, i) != none || !t.entries[i].sentBy(at) || !t.entries[i].allows(quote) {
			return none, none, false
		}
		return i, none, true
	}
	swapped := *quote
	swapped.ID = craft.SwapID(quote.ID)
	for _, part := range []*craft.Key{quote, &swapped} {
		t.seek(&best, craft.PortID, part, quote, at, 2)
		if !quote.Short {
			t.seek(&best, craft.IDToken, part, quote, at, 2)
		}
	}
	if !quote.Short {
		t.seek(&best, craft.PortToken, quote, quote, at, 2)
	}
	switch {
	case best.several:
		return none, none, true
	case best.doubtful:
		return best.probe, best.rival, true
	}
	return best.probe, none, best.probe != none
}

// isAlone reports whether only one probe has the ports of a quote.
func (t *Run) isAlone(quote *craft.Key) bool {
	i := t.index.head(t.entries, craft.Flow, quote)
	return i != none && t.index.before(t.entries, craft.Flow, i) == none
}

// propose notes by what constants the Token in a held quote may have been shifted,
// and returns them: one for each probe that it can be of.
func (t *Run) propose(n int32) (shifts []uint32) {
	h := &t.learnt.held[n]
	add := func(i int32) {
		e := &t.entries[i]
		shift, ok := e.key.Shift(&h.of)
		if !ok || shift == 0 || !e.sentBy(h.at) || !e.allows(&h.of) {
			return
		}
		if t.learnt.shifts == nil {
			t.learnt.shifts = map[uint32][]supporter{}
		}
		t.learnt.shifts[shift] = append(t.learnt.shifts[shift], supporter{n, i})
		shifts = append(shifts, shift)
	}
	if h.two != none && (h.how.Token != TokenOther || h.how.Port) {
		return shifts
	}
	looked := 0
	for i := range t.index.filed(t.entries, craft.Flow, &h.of) {
		if t.entries[i].state == outstanding {
			add(i)
		}
		if looked++; looked == maxCandidates {
			break
		}
	}
	return shifts
}

// learn confirms the translation that a held quote completes, if there is one. Of
// constants that are proposed, one must have more support than all others that the
// quote would fit.
func (t *Run) learn(h *held, shifts []uint32) {
	var best uint32
	most, next := 0, 0
	for _, shift := range shifts {
		switch n := t.support(shift); {
		case n > most:
			best, most, next = shift, n, most
		case n > next:
			next = n
		}
	}
	margin := 1
	if t.learnt.captured {
		margin = 2
	}
	if most >= enough && most >= next+margin {
		t.confirm(Translation{Token: TokenShifted, Shift: best})
		return
	}
	if h.two != none && h.rival == none && t.agreeing(h.how) >= enough {
		t.confirm(h.how)
	}
}

// support counts the probes of which held quotes would be under a shift, each quote of
// one probe only.
func (t *Run) support(shift uint32) int {
	var probes []int32
	all := t.learnt.shifts[shift]
	for n, s := range all {
		once := !slices.ContainsFunc(all[:n], func(o supporter) bool { return o.held == s.held }) &&
			!slices.ContainsFunc(all[n+1:], func(o supporter) bool { return o.held == s.held })
		if once && !t.learnt.held[s.held].done && !slices.Contains(probes, s.probe) {
			probes = append(probes, s.probe)
		}
	}
	return len(probes)
}

// agreeing counts the probes with which held quotes agree in two of three in the same
// way.
func (t *Run) agreeing(how Translation) int {
	var probes []int32
	for i := range t.learnt.held {
		if h := &t.learnt.held[i]; !h.done && h.two != none && h.rival == none && h.how.isLike(how) && !slices.Contains(probes, h.two) {
			probes = append(probes, h.two)
		}
	}
	return len(probes)
}

// confirm accepts a translation, and what is held that it tells.
func (t *Run) confirm(how Translation) {
	t.learnt.confirmed = append(t.learnt.confirmed, how)
	for i := range t.learnt.held {
		h := &t.learnt.held[i]
		if h.done {
			continue
		}
		if probe := t.under(how, &h.of, h.at); probe != none {
			known := how
			known.ID = idChange(&t.entries[probe].key, &h.of)
			t.release(h, probe, ByTranslation, known)
		}
	}
}

// release accepts what was held.
func (t *Run) release(h *held, probe int32, by Rule, how Translation) {
	h.done, h.told, h.by = true, probe, by
	if h.failed {
		t.learnt.failed--
	}
	r := h.reply
	r.Translation = how
	t.learnt.renumbered = t.learnt.renumbered || how.ID == IDRenumbered && by == ByTranslation
	t.accept(probe, &r, by)
	t.learnt.released = append(t.learnt.released, released{r, probe})
}

// Settle decides about all that is held, at the end of a run.
func (t *Run) Settle() {
	if c := &t.learnt.cookies; len(c.doubts) > 0 {
		t.forgetCookies() // too few probes to be sure
	}
	for i := 0; i < len(t.learnt.held); i++ {
		h := &t.learnt.held[i]
		if h.done {
			continue
		}
		for _, probe := range [...]int32{h.two, h.rival, h.ports} {
			if probe != none && t.entries[probe].state <= expired {
				t.settle(probe)
			}
		}
	}
	t.learnt.rejectAll()
}

// Released returns the next of the replies that were held and have been accepted, in
// the order in which they came. It is valid until the Run is used again.
func (t *Run) Released() (Match, bool) {
	l := &t.learnt
	if l.next == len(l.released) {
		l.released, l.next = l.released[:0], 0
		return Match{}, false
	}
	r := &l.released[l.next]
	l.next++
	return Match{Probe: t.number(r.probe), Reply: &r.reply, Held: true}, true
}

// Rejected returns the next of the replies that were held and are not to a probe in
// the run, with the Key that it quotes.
func (t *Run) Rejected() (*Reply, *craft.Key, bool) {
	l := &t.learnt
	if len(l.rejected) == 0 {
		return nil, nil, false
	}
	h := &l.rejected[0]
	l.rejected = l.rejected[1:]
	return &h.reply, &h.of, true
}
