package findings_test

import (
	"testing"

	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// setTTL makes replies of hops arrive with a TTL.
func setTTL(from, to int, ttl uint8) func(sketch) {
	return func(s sketch) { s.at(from, to, func(p *path.Probe) { p.Reply.TTL = ttl }) }
}

// raised makes the target answer all probes that pass a hop, at the next one, and
// quote as many more than they were sent with.
func raised(hop int, more uint8) func(sketch) {
	return func(s sketch) {
		s.at(hop+1, end, func(p *path.Probe) {
			*p.Reply = *reply(p, end)
			p.Reply.Hop, p.Reply.Basis = uint8(hop+1), path.ByLowestTTL
			p.Reply.Quoted.TTL = p.TTL + more
		})
	}
}

func TestTTLsThatAreRaised(t *testing.T) {
	answered := func(s sketch) {
		s.at(1, end, func(p *path.Probe) {
			if p.Reply.From == target {
				p.Reply.Kind, p.Reply.Quoted = matcher.UDP, matcher.Quote{}
			}
		})
	}
	for name, test := range map[string]change{
		"of replies": {do: setTTL(3, end, 62), want: []string{"ttl-raised 3-4 likely"}},
		"of replies, to that of the first router": {do: setTTL(1, end, 64), want: []string{"ttl-raised 1-2 likely"}},
		"of replies, however they begin":          {do: both(begins(5, 6, 255), setTTL(4, end, 61)), want: []string{"ttl-raised 4-5 likely"}},
		"of replies, behind a longer way back":    {do: both(back(2, 3, 3), setTTL(4, end, 61)), want: []string{"asymmetry 1-2 likely", "ttl-raised 4-5 likely"}},
		"of two hops' replies":                    {do: setTTL(8, end, 57)},
		"of replies, but not of the last":         {do: setTTL(3, 6, 62), want: []string{"asymmetry 4-5 likely"}},
		"of probes":                               {do: raised(3, 50), want: []string{"ttl-raised 3-4 certain"}},
		"of one probe":                            {queries: 1, do: raised(end-1, 50), want: []string{"ttl-raised 8-9 likely"}},
		"of probes whose answers quote nothing":   {do: both(raised(3, 50), answered), want: []string{"asymmetry 4-4 likely"}},
	} {
		t.Run(name, test.run)
	}
}

// Where packets go round, the way back gets longer and shorter with each round:
// that is the loop's, and no other way.
func TestLoopsAreNoDetours(t *testing.T) {
	round := func(s sketch) {
		s.at(4, end, func(p *path.Probe) {
			hop := 4 + int(p.TTL)%2
			*p.Reply = *reply(p, hop)
			p.Reply.Hop = p.TTL
		})
	}
	change{do: round, want: []string{"loop 4-9 certain"}}.run(t)
}

// 30 is a TTL that systems begin with.
func TestAFirstHopThatBeginsWith30(t *testing.T) {
	change{do: setTTL(1, 1, 29)}.run(t)
	change{do: setTTL(2, 2, 30-1)}.run(t)
}
