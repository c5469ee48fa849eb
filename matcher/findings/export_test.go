package findings

import (
	"fmt"
	"slices"

	"github.com/tracewire/tracewire/matcher/path"
)

// RuleNames are the names of the rules, in the order in which they run.
func RuleNames() (names []string) {
	for i := range rules {
		names = append(names, rules[i].name)
	}
	return names
}

// EarlyReads are the declared reads of what a rule explains that runs no earlier than
// its reader, or that explains nothing.
func EarlyReads() (all []string) {
	for k := range rules {
		for _, read := range rules[k].after {
			if read >= ruleKey(k) || rules[read].explains == nil {
				all = append(all, fmt.Sprintf("%s reads %s", rules[k].name, rules[read].name))
			}
		}
	}
	return all
}

// Misbehaviour is what rules do in a trace other than the table declares: they read
// what they may not, or report a kind that isn't theirs.
func Misbehaviour(p *path.Path) (all []string) {
	v := newView(p)
	_, r := run(v, numKeys-1)
	for _, m := range r.misreads {
		all = append(all, fmt.Sprintf("%s reads %s", rules[m.reader].name, rules[m.read].name))
	}
	for k := range rules {
		r.reader, r.after = ruleKey(k), rules[k].after
		for _, f := range rules[k].find(v, r) {
			if !slices.Contains(rules[k].reports, f.Kind) {
				all = append(all, fmt.Sprintf("%s reports %v", rules[k].name, f.Kind))
			}
		}
	}
	return all
}

// UnusedReads are the declared reads that no rule makes in any of the traces.
func UnusedReads(paths []*path.Path) (all []string) {
	used := map[misread]bool{}
	for _, p := range paths {
		v := newView(p)
		_, r := run(v, numKeys-1)
		for k := range rules {
			blind := &record{reader: ruleKey(k), explained: r.explained}
			rules[k].find(v, blind)
			for _, m := range blind.misreads {
				used[m] = true
			}
		}
	}
	for k := range rules {
		for _, read := range rules[k].after {
			if !used[misread{ruleKey(k), read}] {
				all = append(all, fmt.Sprintf("%s never reads %s", rules[k].name, rules[read].name))
			}
		}
	}
	return all
}

// ReadAs has a rule read what another explains when all before the rule have run, and
// returns whether the record notes a misread.
func ReadAs(p *path.Path, reader, read string) bool {
	names := RuleNames()
	k := ruleKey(slices.Index(names, reader))
	r := &record{}
	if k > 0 {
		_, r = run(newView(p), k-1)
	}
	before := len(r.misreads)
	r.reader, r.after = k, rules[k].after
	r.explainsHop(1, ruleKey(slices.Index(names, read)))
	return len(r.misreads) > before
}
