package capturetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// Chain is a path: routers one behind the other, the nearest first, and the
// host at its end.
type Chain struct {
	Routers     []Router
	Destination Destination

	// Seed is what all randomness (Link.Jitter) comes from. The same seed and
	// the same order of probes give the same delays.
	Seed uint64
}

// ChainOf returns the chain of well-behaved routers with the given IPv4
// addresses, each delay (one way) behind the one before it; the last address
// is the destination's. It panics when there is none, or one cannot be parsed:
// it is for addresses written down in tests.
func ChainOf(delay time.Duration, addrs ...string) Chain {
	var c Chain
	last := len(addrs) - 1
	for _, a := range addrs[:last] {
		c.Routers = append(c.Routers, Router{Addrs: Addrs(a), Link: Link{Delay: delay}})
	}
	c.Destination = Destination{Addr: netip.MustParseAddr(addrs[last]), Link: Link{Delay: delay}}
	return c
}

// Addrs parses addresses written down in tests. It panics when one is none.
func Addrs(addrs ...string) []netip.Addr {
	parsed := make([]netip.Addr, len(addrs))
	for i, a := range addrs {
		parsed[i] = netip.MustParseAddr(a)
	}
	return parsed
}

// Router is one hop that forwards. The zero value with an address does what a
// Linux router does whose ICMP is not rate-limited.
type Router struct {
	// Addrs are its own addresses. Its answers come from them in turn, and a
	// UDP probe to one of them draws a port-unreachable from that address.
	Addrs []netip.Addr

	Link   Link    // from the node before it
	Silent bool    // forwards, never answers
	Reject *Reject // nil: it forwards everything
	Reply  Reply
	Quote  Quote
}

// Destination is the host at the end of a chain. It takes UDP to Addr,
// whatever its TTL, and nothing else.
//
// A destination that sends time-exceeded before it answers (hosts behind a
// DNAT do, as the translation covers their errors' source) is a chain whose
// last routers have its address in Reply.From.
type Destination struct {
	Addr    netip.Addr
	Link    Link // from the last router
	Answer  Answer
	Payload []byte // of AnswerPayload
	Reply   Reply
	Quote   Quote
}

// Answer is what a destination sends back for UDP.
type Answer uint8

// The answers of a destination.
const (
	AnswerUnreachable Answer = iota // ICMP port unreachable
	AnswerEcho                      // UDP with the payload received
	AnswerPayload                   // UDP with Destination.Payload
	AnswerNothing
)

// Link is the way to a node from the one before it, and back.
type Link struct {
	// Delay is how long a packet takes, one way. A crossing takes up to Jitter
	// longer, chosen uniformly for each, so packets may overtake one another.
	Delay, Jitter time.Duration
}

func (l Link) cross(r *rand.Rand) time.Duration {
	if l.Jitter == 0 {
		return l.Delay
	}
	return l.Delay + time.Duration(r.Int64N(int64(l.Jitter)+1))
}

// Reject makes a router refuse all that it should forward, with an ICMP
// destination-unreachable of the given code (RFC 792, RFC 1812 section 5.2.7.1).
type Reject struct {
	Code uint8
	Hook Hook
}

// Hook is where in a router's processing a packet is refused, in Linux's
// words. It decides which TTL the error quotes.
type Hook uint8

const (
	// Prerouting comes before the TTL is looked at: what would have expired
	// here is refused too, and the TTL is quoted as received. A Linux prohibit
	// or unreachable route acts here.
	Prerouting Hook = iota

	// Forward comes after: what expires here draws a time-exceeded, the rest
	// is refused with the quoted TTL already decremented.
	Forward
)

// Reply is when a node answers, and with what IP header.
type Reply struct {
	Limit Limit

	// Delay is how long the node takes to answer. The nth probe that would
	// draw an answer (from 1) takes Late[n] longer.
	Delay time.Duration
	Late  map[int]time.Duration

	// Copies is how often the network repeats the answer, byte by byte, each
	// Spacing behind the one before it.
	Copies  int
	Spacing time.Duration

	// From is the address it answers in the name of; the zero value is its own.
	From netip.Addr

	// TTL is the answer's TTL as it leaves the node, and 64 when zero. Each
	// router on the way back takes one off.
	TTL uint8
}

// Limit is which probes are left without an answer. Counts are of the probes
// that would otherwise draw one from this node, answered or not, from 1 on.
// A probe is answered when no limit set stands against it.
type Limit struct {
	SkipFirst int     // the first n draw none
	SkipEvery int     // every kth draws none
	AtMost    int     // no answer after n answers
	OnlyTTL   []uint8 // none but probes sent with one of these TTLs draw one
}

// allows reports whether the last probe counted in s, sent with ttl, is answered.
func (l Limit) allows(s NodeStats, ttl uint8) bool {
	switch {
	case s.Due <= l.SkipFirst:
		return false
	case l.SkipEvery > 0 && s.Due%l.SkipEvery == 0:
		return false
	case l.AtMost > 0 && s.Answered >= l.AtMost:
		return false
	}
	return len(l.OnlyTTL) == 0 || slices.Contains(l.OnlyTTL, ttl)
}

func (c *Chain) validate() error {
	for i, r := range c.Routers {
		if err := r.validate(); err != nil {
			return fmt.Errorf("capturetest: router %d: %w", i+1, err)
		}
	}
	if err := c.Destination.validate(); err != nil {
		return fmt.Errorf("capturetest: destination: %w", err)
	}
	return nil
}

func (r *Router) validate() error {
	if len(r.Addrs) == 0 && !r.Silent && !r.Reply.From.IsValid() {
		return errors.New("no address to answer from")
	}
	for _, a := range r.Addrs {
		if !a.Is4() {
			return fmt.Errorf("address %v is not IPv4", a)
		}
	}
	if r.Reject != nil && r.Reject.Hook > Forward {
		return fmt.Errorf("no hook %d to reject in", r.Reject.Hook)
	}
	return errors.Join(r.Link.validate(), r.Reply.validate(), r.Quote.validate())
}

func (d *Destination) validate() error {
	if !d.Addr.Is4() {
		return fmt.Errorf("address %v is not IPv4", d.Addr)
	}
	if d.Answer > AnswerNothing {
		return fmt.Errorf("no answer %d", d.Answer)
	}
	return errors.Join(d.Link.validate(), d.Reply.validate(), d.Quote.validate())
}

func (l Link) validate() error {
	if l.Delay < 0 || l.Jitter < 0 {
		return errors.New("negative link delay or jitter")
	}
	return nil
}

func (r *Reply) validate() error {
	if r.From.IsValid() && !r.From.Is4() {
		return fmt.Errorf("answers from %v, which is not IPv4", r.From)
	}
	if r.Delay < 0 || r.Spacing < 0 || r.Copies < 0 {
		return errors.New("negative reply delay, spacing or number of copies")
	}
	for nth, late := range r.Late {
		if nth < 1 || late < 0 {
			return fmt.Errorf("answer %d cannot be %v late", nth, late)
		}
	}
	if l := r.Limit; l.SkipFirst < 0 || l.SkipEvery < 0 || l.AtMost < 0 {
		return errors.New("negative limit")
	}
	return nil
}
