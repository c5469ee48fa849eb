package main

import (
	"io"

	"github.com/spf13/pflag"

	"github.com/tracewire/tracewire/cmd/internal/render"
)

// shown is what the lines of text show besides hops and times.
type shown struct{ render.TextOptions }

func (s *shown) register(set *pflag.FlagSet) {
	set.BoolVarP(&s.Extensions, "extensions", "e", false, "show ICMP extensions, such as MPLS labels, behind the address")
	set.BoolVar(&s.Findings, "findings", false, "say below the hops what the path does to packets: rewrites, tunnels,\nrate limits and so on, with the numbers of the probes that show it")
}

// renderer is render.New with what is shown besides. JSON always has it all.
func (s *shown) renderer(format string, w, notes io.Writer, n render.Namer) (render.Renderer, error) {
	if format == "text" {
		return render.NewText(w, notes, n, s.TextOptions), nil
	}
	return render.New(format, w, notes, n)
}
