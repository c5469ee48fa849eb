package path

import "net/netip"

// quotes is what the TTLs tell together that an address quoted in its replies other
// than time-exceeded.
type quotes struct {
	first, sent uint8 // the first one quoted, and the TTL that drew it
	several     bool  // another TTL drew one, too
	varies      bool  // one quoted another TTL
	counts      bool  // one quoted another TTL than was sent
}

// add adds a reply to a probe with a TTL.
func (q quotes) add(r *Reply, sent uint8) quotes {
	if quotedHop(sent, r) == 0 {
		return q
	}
	if q.first == 0 {
		q.first, q.sent = r.Quoted.TTL, sent
	}
	q.several = q.several || sent != q.sent
	q.varies = q.varies || r.Quoted.TTL != q.first
	q.counts = q.counts || r.Quoted.TTL != sent
	return q
}

// areRewritten reports whether the quoted TTL is not what was left of the sent: it is
// the same whatever was sent, or it is what was sent, though the lowest TTL that drew
// a reply is not 1.
func (q quotes) areRewritten(least uint8) bool {
	return q.several && (!q.varies || !q.counts && least > 1)
}

// learnQuote notes what a reply quotes, and reports whether that is news.
func (l *places) learnQuote(r *Reply, sent uint8) bool {
	old := l.quotes[r.From]
	now := old.add(r, sent)
	if now == old {
		return false
	}
	if l.quotes == nil {
		l.quotes = map[netip.Addr]quotes{}
	}
	l.quotes[r.From] = now
	return true
}
