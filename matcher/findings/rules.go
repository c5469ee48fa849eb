package findings

import "slices"

// rule finds one sort of thing.
type rule struct {
	name     string
	reports  []Kind    // the kinds of what it finds
	after    []ruleKey // the rules of which it reads what they explain
	explains explainer // nil if no rule reads what it explains
	find     finder
}

// finder returns what a rule finds in a trace, given what the rules before it explain.
type finder func(*view, *record) []Finding

// alone makes a finder of what needs nothing of other rules.
func alone(find func(*view) []Finding) finder {
	return func(v *view, _ *record) []Finding { return find(v) }
}

// placing are the rules that say at which hops nothing can be said of the way back,
// since what answers is not where it seems to be or its replies' TTL is not its own.
var placing = []ruleKey{keyZeroTTL, keyZeroTTLTarget, keyLoop, keyRaisedProbes, keySetReplies}

// tunnels are the rules that find label-switched paths.
var tunnels = []ruleKey{keyExplicit, keyImplicit, keyUTurn, keyInvisible}

// rules are all there are, in the order in which they run.
var rules = [numKeys]rule{
	keyZeroTTL:       {"zero TTL", []Kind{ZeroTTL}, nil, theirHops, alone(zeroTTLRule)},
	keyZeroTTLTarget: {"zero TTL before the target", []Kind{ZeroTTL}, nil, theirHops, alone(zeroTTLTargetRule)},
	keyLoop:          {"loop", []Kind{Loop}, []ruleKey{keyZeroTTL}, theirHops, loopRule},
	keyRaisedProbes:  {"raised probes", []Kind{TTLRaised}, nil, theirHops, alone(raisedProbesRule)},
	keySetReplies:    {"set replies", []Kind{TTLRaised}, nil, theirHopsOnward, alone(setRepliesRule)},

	keyExplicit:  {"explicit tunnel", []Kind{MPLS}, nil, theirHops, alone(explicitRule)},
	keyImplicit:  {"implicit tunnel", []Kind{MPLS}, nil, theirHops, alone(implicitRule)},
	keyUTurn:     {"implicit tunnel by ways back", []Kind{MPLS}, nil, theirHops, alone(uTurnRule)},
	keyInvisible: {"invisible tunnel", []Kind{MPLS}, nil, theirHops, alone(invisibleRule)},

	keyDSCP:      {"DSCP", []Kind{DSCPRewrite}, nil, nil, alone(dscpRule)},
	keyECN:       {"ECN", []Kind{ECNRewrite}, nil, nil, alone(ecnRule)},
	keyID:        {"ID", []Kind{IDRewrite}, nil, nil, alone(idRule)},
	keyLength:    {"length", []Kind{LengthRewrite}, nil, nil, alone(lengthRule)},
	keyDF:        {"DF", []Kind{DFRewrite}, nil, nil, alone(dfRule)},
	keyAddress:   {"address", []Kind{NAT}, nil, theirHops, alone(addressRule)},
	keyPort:      {"port", []Kind{NAT}, nil, theirHops, alone(portRule)},
	keyChecksum:  {"checksum", []Kind{NAT}, []ruleKey{keyAddress, keyPort}, nil, checksumRule},
	keyTTL:       {"quoted TTL", []Kind{TTLRewrite}, []ruleKey{keyZeroTTL, keyExplicit, keyImplicit}, nil, ttlRule},
	keyAsymmetry: {"asymmetry", []Kind{Asymmetry}, slices.Concat(placing, tunnels), nil, asymmetryRule},

	keySpoofedReplies: {"spoofed replies", []Kind{SpoofedTarget}, nil, nil, alone(spoofedRepliesRule)},
	keyTargetExceeded: {"time exceeded from the target", []Kind{TargetExceeded}, nil, nil, alone(targetExceededRule)},
	keyRefusal:        {"refusal", []Kind{Refusal, OtherAddress, HopMismatch}, nil, nil, alone(refusalRule)},

	keyCaptureLoss: {"capture loss", []Kind{CaptureLoss}, nil, theirProbes, alone(captureLossRule)},
	keyMTU:         {"MTU", []Kind{PathMTU}, nil, testsOfLength, alone(mtuRule)},
	keyRateLimit:   {"rate limit", []Kind{RateLimit}, []ruleKey{keyCaptureLoss, keyMTU}, theirHops, rateLimitRule},
	keyLoss:        {"loss", []Kind{Loss}, []ruleKey{keyCaptureLoss, keyMTU, keyRateLimit}, nil, lossRule},
	keySilence:     {"silence", []Kind{Silence}, []ruleKey{keyCaptureLoss}, nil, silenceRule},

	keyLatency:     {"latency", []Kind{Latency}, nil, nil, alone(latencyRule)},
	keySlowReplies: {"slow replies", []Kind{SlowReplies}, []ruleKey{keyExplicit, keyImplicit}, nil, slowRepliesRule},
	keyPathChange:  {"path change", []Kind{PathChange}, nil, nil, alone(pathChangeRule)},
	keyBalanced:    {"balanced flows", []Kind{Balanced}, nil, nil, alone(balancedRule)},
	keyFlooded:     {"flooded", []Kind{Flooded}, nil, nil, alone(floodedRule)},
	keyUnverified:  {"unverified target", []Kind{Unverified}, nil, nil, alone(unverifiedRule)},
}

// run runs the rules up to the last, inclusive, and returns what they find and what
// they explain.
func run(v *view, last ruleKey) ([]Finding, *record) {
	var all []Finding
	r := &record{}
	for k := ruleKey(0); k <= last; k++ {
		rule := &rules[k]
		r.reader, r.after = k, rule.after
		found := rule.find(v, r)
		if rule.explains != nil {
			r.explained[k] = rule.explains(v, found)
		}
		r.ran[k] = true
		all = append(all, found...)
	}
	r.reader, r.after = numKeys, nil
	return all, r
}
