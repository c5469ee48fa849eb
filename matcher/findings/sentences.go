package findings

// The sentences of findings (Finding.Detail), as formats: a rule chooses one by what it
// found and fills in values. No rule reads a sentence. Those that begin with a space
// follow another.

// Ways back (asymmetry.go).
const (
	saysWayBack        = "The way back from hop %d on is %s than the way there, by %s."
	saysLongerOrTunnel = "The way back from hop %d on is longer than the way there, by %s; or a tunnel hides them on the way there."
	saysReplyBack      = "Replies of %v come back a way that is %s than the way there, by %s."
	saysTargetBack     = "Replies of %v, the destination, come back a way that is longer than the way there, by %s; or something before it raises the TTL of probes, and hops are hidden."
)

// The capture (capture.go).
const (
	saysMissedFrames = "This host's capture missed frames: whether %d probes without a reply were answered is not known."
)

// The destination (destination.go).
const (
	saysTwoSenders     = "Answers as %v, the destination, passed %d routers more or fewer: they have two senders."
	saysRouterBehind   = "%v, the destination, seems to answer at hop %d, but a router answers at hop %d."
	saysTargetExceeded = "%v lets probes expire that are for itself: it translates or balances for hosts behind it."
	saysForwards       = "%v, the destination, lets probes expire at hop %d, and routers as far as hop %d are behind it: it forwards to a host behind them (DNAT), or a middlebox answers in its name."
)

// What can't be trusted (forged.go).
const (
	saysFlooded    = "Many packets look like replies to the probes, but fit none of them: they are forged, or another program sends from the same port."
	saysUnverified = "Nothing in what %v answers shows that it got the probes: whoever knows the ports can have sent it."
)

// Times (latency.go).
const (
	saysLatency      = "From hop %d on round trips are %s longer, of %s to hop %d: %s."
	saysLink         = "a long link, or a queue"
	saysLinkOrTarget = "a long link, a queue, or a destination that answers slowly"
	saysSlowReplies  = "Hop %d answers at least %s later than the fastest hop behind it: it is slow to answer, or its replies take a longer way; what it forwards is not delayed."
)

// Tunnels (mpls.go).
const (
	saysOpaque        = "Opaque tunnel: hop %d reports label %s with TTL 255, so the routers before it are hidden."
	saysOpaqueAbout   = "Opaque tunnel: hop %d reports label %s with TTL %d, so about %d routers before it are hidden."
	saysExplicitHop   = "Explicit tunnel: hop %d reports label %s."
	saysExplicit      = "Explicit tunnel: hops %d to %d report labels, from %s to %s."
	saysStrayLabel    = "Explicit tunnel: %v reports labels, at a hop that is not known."
	saysStrayLabels   = "Explicit tunnel: %s report labels, at hops that are not known."
	saysRising        = "Implicit tunnel: the quoted TTL rises from hop to hop, up to %d, where 1 should be left."
	saysRisingAndBack = "Implicit tunnel: the quoted TTL rises from hop to hop, up to %d, and the way back gets shorter."
	saysQuotesTwo     = "Implicit tunnel: hop %d quotes a TTL of 2, as a tunnel's second router; or it quotes wrongly."
	saysUTurn         = "Implicit tunnel: from each hop the way back is two routers shorter than from the one before, down to none."
	saysTwice         = "Invisible tunnel: %v answers at two hops in a row, as behind the end of one; or it is two hops."
	saysTwiceAndBack  = "Invisible tunnel: %v answers at two hops in a row, and its way back is %d routers longer."
)

// The path MTU (mtu.go).
const (
	saysMTU            = "Path MTU %d → %d at hop %d: %v says so."
	saysBlackHole      = "Path MTU %d → %d at hop %d, but no router says so: longer packets vanish (a black hole), and connections hang that rely on being told. Let ICMP \"fragmentation needed\" or \"packet too big\" pass, or clamp the TCP MSS."
	saysMTUFits        = "Path MTU %d → %d at hop %d, by what got there."
	saysTooLong        = "Path MTU %d → %d behind hop %d: %v says so."
	saysTooLongUnknown = "Packets of %d bytes are too long behind hop %d: %v says so, but not how long they may be."
	saysMTUHopUnsure   = " Only its quote says which hop it is, give or take one."
	saysTryMTU         = " Shorter packets get farther; --mtu finds how long they may be at each hop."
)

// Address translation (nat.go).
const (
	saysChecksum        = "From hop %d on quotes have %s: addresses or ports are translated, and restored in the quote."
	saysLastChecksum    = "Hop %d, the last that shows it, quotes %s: a translated address or port, or a wrong quote."
	saysTranslated      = "From hop %d on quotes show %s: it is translated on the way."
	saysAloneTranslated = "Hop %d alone quotes %s: it is translated there, or quoted wrongly."
)

// A TTL that is set (raised.go).
const (
	saysRaisedProbes = "The TTL of probes is raised before hop %d: of one sent with TTL %d the destination quotes %d. Hops may be hidden between."
	saysSetReplies   = "Replies of all hops from %d to %d arrive with TTL %d: a device near hop %d sets it, so their ways back can't be told."
)

// Refusals (refusal.go).
const (
	saysOtherAddress = "%v answers port unreachable, and nothing is behind it: it is probably the destination itself, %v, which answers from another of its addresses; or a firewall that refuses in its own name."
	saysRefuses      = "%v refuses the probes: %s. "
	saysLookAtRoute  = "Look at its routes, and whether the network is announced."
	saysLookAtHost   = "Is the destination up?"
	saysMismatch     = "%v refuses packets sent with TTL %d or more (%s), but by its quote is hop %d, give or take one."
)

// Replies that are missing (response.go, loss.go).
const (
	saysLimits        = "Hop %d answers %d of %d probes%s: it limits its replies."
	saysFartherAnswer = ", farther hops %d of %d"
	saysIsBucket      = "; it leaves out those that come soon after others"
	saysLoss          = "From hop %d on %d of %d probes get no reply."
	saysLossOrLimits  = "From hop %d on %d of %d probes get no reply: they get lost, or several hops limit their replies."
	saysLastLoss      = "Hop %d, the last, doesn't answer %d of %d probes: they get lost, or it limits its replies."
	saysLossOrCapture = "From hop %d on %d of %d probes get no reply, but the capture lost %d frames itself."
)

// Rewritten fields (rewrite.go).
const (
	saysRemarked      = "Probes sent with %s arrive with %s from hop %d on."
	saysRemarkedAgain = "Probes sent with %s arrive with %s from hop %d on; before that with %s."
	saysLastRemarked  = "Probes sent with %s arrive with %s at hop %d, the last that shows it."
	saysAloneRemarked = "Hop %d alone quotes %s where %s was before: it is set and reset there, or quoted wrongly."
	saysOnlyQuote     = "%s %s %s; farther hops show it as sent, so only the quote differs."
	saysQuirk         = "%s %s %s, as some routers do; no farther hop shows it."
	saysLastOddity    = "%s %s %s: changed on the way, or only in this quote; no farther hop shows it."
	saysOddity        = "All hops from %d on quote %s %s: it is changed before hop %d."
)

// Routes (route.go).
const (
	saysLoop           = "The same %d routers answer again and again from hop %d to %d."
	saysLoopOfOne      = "%v answers at %d hops in a row: packets go round there, or it answers for those behind it."
	saysTurnsAtHop     = "Balanced per packet: %d addresses take turns at hop %d, for the same flow; or they are of one router."
	saysTurns          = "Balanced per packet: up to %d routers take turns at a hop, for the same flow."
	saysChanged        = "The path changed: from round %d on other routers answer, for the same flow."
	saysChangedOrTurns = "Up to %d routers answer at a hop for the same flow: the path changed, or is balanced per packet."
	saysBalanced       = "Up to %d routers answer at a hop: the probes are of several flows, which take different ways, so that hops below each other need not be linked."
	saysTryOneFlow     = " Without --classic all probes are of one flow, which most balancers send one way."
)

// Silence (silence.go).
const (
	saysSilence     = "Nothing answers %s: %d %s drew no reply. %s %s"
	saysDropped     = "A firewall may drop them, or the destination doesn't answer such probes or is down."
	saysNeverAnswer = "The routers there may never answer, or a firewall drops the probes. Try a higher -m."
	saysTryShorter  = " They are %d bytes long and must not be fragmented: try shorter ones, or --mtu."
)

// Quoted TTLs (ttl.go).
const (
	saysOnlyQuotedTTL  = "%s %s; it is only in the quote."
	saysRestoredTTL    = "All hops from %d on quote the TTL as it was sent: something before them rewrites quotes."
	saysSecondOfTunnel = "%s TTL 2, as it was sent: a rewritten quote, or the second router of a tunnel."
	saysUsedUpTTL      = "%s %s: decremented before quoting, or forwarded so by the hop before."
	saysZeroTTL        = "Packets are forwarded with TTL 0 at hop %d: %v at hop %d answers for it, quoting TTL 0."
	saysZeroTTLTarget  = "The destination quotes TTL 0 at hop %d: it is a hop farther, and what is before it forwards packets with TTL 0."
)
