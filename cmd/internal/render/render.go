// Package render writes what a trace found: as text for people and for the
// scripts that read traceroute's output, or as the JSON of matcher/report.
package render

import (
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/tracewire/tracewire/matcher/path"
)

// Namer knows names of addresses: annotate.Names does.
type Namer interface {
	// Want says that the name of an address will be asked for.
	Want(netip.Addr)
	// Wait returns the names of those addresses that have one, and doesn't
	// take long.
	Wait([]netip.Addr) map[netip.Addr]string
}

// Renderer writes the events of traces, one trace after the other.
type Renderer interface {
	Event(path.Event) error

	// Untraced says that no trace to a host could begin, and why. The Path has what
	// is known of the trace that was wanted: its Target, and what there is besides.
	// Text has nothing of such a host.
	Untraced(p *path.Path, why string) error
}

// New returns the Renderer of a format: text, json or jsonl. It writes to w,
// and to notes what a person should know but a parser would trip over.
func New(format string, w, notes io.Writer, n Namer) (Renderer, error) {
	switch format {
	case "text":
		return NewText(w, notes, n, TextOptions{}), nil
	case "json":
		return noting{&document{w: w, names: n}, Lines(notes)}, nil
	case "jsonl":
		return noting{&lines{w: w, names: n}, Lines(notes)}, nil
	}
	return nil, unknownFormat(format)
}

func unknownFormat(format string) error {
	return fmt.Errorf("format %q is none of %s", format, strings.Join(Formats(), ", "))
}

// Formats are the formats that New knows.
func Formats() []string { return []string{"text", "json", "jsonl"} }

// responders lists the addresses that answered probes, each once.
func responders(probes []path.Probe) []netip.Addr {
	var all []netip.Addr
	seen := map[netip.Addr]bool{}
	add := func(r *path.Reply) {
		if !seen[r.From] {
			seen[r.From] = true
			all = append(all, r.From)
		}
	}
	for i := range probes {
		if probes[i].Reply != nil {
			add(probes[i].Reply)
		}
		for j := range probes[i].Extra {
			add(&probes[i].Extra[j])
		}
	}
	return all
}
