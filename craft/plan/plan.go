// Package plan decides which probe goes next, and when a trace is over.
//
// A Plan is a pure state machine: it does no I/O and has no clock. The engine
// tells it what became of its probes, and asks it for the next step.
package plan

import (
	"net/netip"
	"time"
)

// Plan is one way to explore a path. It belongs to one goroutine at a time.
type Plan interface {
	// Next returns what to do at the time now. A Step with an action of Send
	// counts as done: the plan expects an Outcome for it.
	Next(now time.Time) Step

	// Observe tells the plan what became of a probe.
	Observe(Outcome)

	// Done reports whether the plan has concluded, from what it has observed
	// so far.
	Done() bool
}

// Action is what a Step asks for.
type Action uint8

// The actions.
const (
	Wait Action = iota // until Step.Until, or until something is observed
	Send               // the probe that Step names
	Stop               // nothing is left to do
)

// Step is the next thing to do.
type Step struct {
	Action Action
	Target int       // of the probe to send: which of several targets; 0 if there is one
	Flow   uint16    // of the probe to send: see craft.Series
	TTL    uint8     // of the probe to send
	Round  int       // of the probe to send, from 1: how often its TTL was sent before, plus 1
	Length int       // of the probe to send, in bytes of the IP packet; 0: as long as all others of the run
	Until  time.Time // when to ask again, for Wait; zero: not before an Outcome is observed
}

// Outcome is what became of a probe, as far as a plan needs to know.
type Outcome struct {
	Target int    // as sent
	Flow   uint16 // as sent
	TTL    uint8  // as sent
	Length int    // as sent, in bytes of the IP packet; 0 if it isn't known which probe was answered
	Status Status

	// Of a reply: who sent it, which kind it is, at which hop that is by what is known
	// now, and the round trip, 0 if it is not known.
	From netip.Addr
	Kind Kind
	Hop  uint8
	RTT  time.Duration

	// TooBig: the reply, in time or late, says that the probe is too long for
	// a link on its way, and MTU what it states as that link's MTU, in bytes;
	// 0 if nothing. Such a reply does not make its hop the End.
	TooBig bool
	MTU    int

	// Unverified: the reply comes from the destination as far as it says, and shows
	// nothing of the probe. Such are told apart only one at a time, and one of them
	// alone does not end the path.
	Unverified bool

	// End is the hop at which the path is known, by now, to end; 0 while it
	// isn't known. A later Outcome may correct it, either way.
	End uint8
}

// Status is the part of an Outcome that says how the probe fared.
type Status uint8

// The ways a probe can fare.
const (
	// Answered: a reply came in time.
	Answered Status = iota
	// Silent: no reply came in time.
	Silent
	// Ambiguous: the destination answered, but it can't be told which of its
	// outstanding probes; one that is sent alone could be told.
	Ambiguous
	// Late: a reply came after the probe had been reported Silent. It changes
	// nothing but perhaps the End.
	Late
)

// Kind is which kind of reply an Outcome is.
type Kind uint8

// The kinds. That of a probe without a reply is None.
const (
	None       Kind = iota
	FromRouter      // the TTL was exceeded
	Refusal         // another ICMP error: the probe gets no farther than there
	FromTarget      // the target itself answered
)
