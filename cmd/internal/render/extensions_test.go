package render_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/cmd/internal/render"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// labelled is p with a label stack of one.
func labelled(p path.Probe, label uint32) path.Probe {
	p.Reply.Extensions = &matcher.Extensions{Offset: 128, Objects: []matcher.ExtensionObject{
		{Class: 1, Type: 1, Length: 8, Labels: []matcher.Label{{Label: label, Bottom: true, TTL: 1}}},
	}}
	return p
}

// Linux traceroute 2.1.2 prints extensions with the address, and both again when
// either changes.
func TestExtensionsStandBehindTheAddress(t *testing.T) {
	const stack = " <MPLS:L=16,E=0,S=1,T=1>"
	a := func() path.Probe { return exceeded(9, r1, ms) }
	broken := a()
	broken.Reply.Extensions = &matcher.Extensions{Offset: 128}
	tests := map[string]struct {
		probes []path.Probe
		want   string
	}{
		"of all replies":       {[]path.Probe{labelled(a(), 16), labelled(a(), 16)}, "10.0.1.1" + stack + "  1.000 ms  1.000 ms"},
		"none":                 {[]path.Probe{a(), a()}, "10.0.1.1  1.000 ms  1.000 ms"},
		"of the second":        {[]path.Probe{a(), labelled(a(), 16)}, "10.0.1.1  1.000 ms 10.0.1.1" + stack + "  1.000 ms"},
		"of the first":         {[]path.Probe{labelled(a(), 16), a()}, "10.0.1.1" + stack + "  1.000 ms 10.0.1.1  1.000 ms"},
		"others":               {[]path.Probe{labelled(a(), 16), labelled(a(), 17)}, "10.0.1.1" + stack + "  1.000 ms 10.0.1.1 <MPLS:L=17,E=0,S=1,T=1>  1.000 ms"},
		"behind a star":        {[]path.Probe{labelled(a(), 16), lost(9), labelled(a(), 16)}, "10.0.1.1" + stack + "  1.000 ms *  1.000 ms"},
		"of another":           {[]path.Probe{labelled(a(), 16), labelled(exceeded(9, r2, ms), 16)}, "10.0.1.1" + stack + "  1.000 ms 10.0.2.1" + stack + "  1.000 ms"},
		"before an error":      {[]path.Probe{labelled(unreachable(9, 9, r1, 13, ms), 16)}, "10.0.1.1" + stack + "  1.000 ms !X"},
		"that can't be read":   {[]path.Probe{broken}, "10.0.1.1  1.000 ms"},
		"of a late reply":      {[]path.Probe{late(labelled(a(), 16)), a()}, "* 10.0.1.1  1.000 ms"},
		"without a round trip": {[]path.Probe{ambiguous(labelled(a(), 16))}, "10.0.1.1" + stack + " *"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			r := render.NewText(&b, nil, namer(nil), render.TextOptions{Extensions: true})
			for _, e := range []path.Event{
				{Kind: path.Started, Path: newPath(len(test.probes))}, {Kind: path.Decided, Hop: path.Hop{TTL: 9, Probes: test.probes}},
			} {
				if err := r.Event(e); err != nil {
					t.Fatal(err)
				}
			}
			_, line, _ := bytes.Cut(b.Bytes(), []byte("\n"))
			if d := cmp.Diff(" 9  "+test.want+"\n", string(line)); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}
