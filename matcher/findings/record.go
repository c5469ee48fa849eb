package findings

import "slices"

// ruleKey names a rule. Keys are in the order in which the rules run.
type ruleKey uint8

// The rules, in the order in which they run; see the package's documentation.
const (
	keyZeroTTL ruleKey = iota
	keyZeroTTLTarget
	keyLoop
	keyRaisedProbes
	keySetReplies

	keyExplicit
	keyImplicit
	keyUTurn
	keyInvisible

	keyDSCP
	keyECN
	keyID
	keyLength
	keyDF
	keyAddress
	keyPort
	keyChecksum
	keyTTL
	keyAsymmetry

	keySpoofedReplies
	keyTargetExceeded
	keyRefusal

	keyCaptureLoss
	keyMTU
	keyRateLimit
	keyLoss
	keySilence

	keyLatency
	keySlowReplies
	keyPathChange
	keyBalanced
	keyFlooded
	keyUnverified

	numKeys
)

// explanation is what the findings of a rule explain. Its zero value explains
// nothing.
type explanation struct {
	hops   []span       // what is seen at these hops
	probes map[int]bool // by number: why these probes have no reply
	onward uint8        // the TTL of replies from this hop on; 0 if of none
}

// span is a stretch of hops, with its first and its last one.
type span struct{ first, last uint8 }

// explainer returns what the findings of a rule explain.
type explainer func(*view, []Finding) explanation

// theirHops explains what is seen at the hops of the findings.
func theirHops(_ *view, found []Finding) (e explanation) {
	for i := range found {
		e.hops = append(e.hops, span{found[i].HopFrom, found[i].HopTo})
	}
	return e
}

// theirProbes explains why the probes that are the evidence have no reply.
func theirProbes(_ *view, found []Finding) (e explanation) {
	for i := range found {
		for _, n := range found[i].Evidence {
			e.explain(n)
		}
	}
	return e
}

func (e *explanation) explain(probe int) {
	if e.probes == nil {
		e.probes = map[int]bool{}
	}
	e.probes[probe] = true
}

// record holds what the rules that have run explain. Rules read it by the key of
// the rule that explains, and only the runner (run) writes it.
//
// A rule may read the keys that its entry in the table declares (rule.after), which
// are of rules that run before it. Any other key has nothing to read, and the record
// notes the misread: tests fail when there is one.
type record struct {
	explained [numKeys]explanation
	ran       [numKeys]bool
	reader    ruleKey   // the rule that runs, or numKeys when none does
	after     []ruleKey // what reader may read
	misreads  []misread
}

// misread is an attempt of a rule to read what it may not.
type misread struct{ reader, read ruleKey }

// read returns what a rule explains.
func (r *record) read(k ruleKey) *explanation {
	if !r.ran[k] || r.reader != numKeys && !slices.Contains(r.after, k) {
		r.misreads = append(r.misreads, misread{r.reader, k})
		return &explanation{}
	}
	return &r.explained[k]
}

// explainsHop reports whether any of the rules explains what is seen at a hop.
func (r *record) explainsHop(hop uint8, keys ...ruleKey) bool { return r.overlaps(hop, hop, keys...) }

// overlaps reports whether any of the rules explains what is seen at a hop between
// two, inclusive.
func (r *record) overlaps(first, last uint8, keys ...ruleKey) bool {
	found := false
	for _, k := range keys {
		for _, s := range r.read(k).hops {
			found = found || s.first <= last && first <= s.last
		}
	}
	return found
}

// explainsProbe reports whether a rule explains why a probe has no reply.
func (r *record) explainsProbe(number int, k ruleKey) bool { return r.read(k).probes[number] }

// setsTTL reports whether a rule explains the TTL with which replies of a hop arrive.
func (r *record) setsTTL(hop uint8, k ruleKey) bool {
	from := r.read(k).onward
	return from != 0 && hop >= from
}
