package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/tracewire/tracewire/cmd/internal/render"
)

// shown is what the lines of text show besides hops and times.
type shown struct {
	render.TextOptions
	explain bool
}

func (s *shown) register(set *pflag.FlagSet) {
	set.BoolVarP(&s.Extensions, "extensions", "e", false, "show ICMP extensions, such as MPLS labels, behind the address")
	set.BoolVar(&s.Back, "back", false, "show the hops on the way back, guessed by the reply's TTL, where they\nare two or more off the way there: by one routers differ in how they\ncount")
	set.BoolVar(&s.Findings, "findings", false, "say below the hops what the path does to packets: rewrites, tunnels,\nrate limits and so on, with the numbers of the probes that show it")
}

// registerExplain is for a trace that is being made.
func (s *shown) registerExplain(set *pflag.FlagSet) {
	set.BoolVar(&s.explain, "explain", false, "say below the trace what the path did to its probes, and why some drew\nno reply: what 'tracewire explain' says of a recording")
}

// check refuses what only text can show.
func (s *shown) check(format string) error {
	if s.explain && format != "text" {
		return usagef("--explain writes text: 'tracewire --write' keeps the trace for 'tracewire explain'")
	}
	return nil
}

// recordTo is where the trace is recorded: the file that --write names, else, if it
// is to be explained, a file that done removes.
func (s *shown) recordTo(write string) (to destination, done func(), err error) {
	if write != "" || !s.explain {
		return destination{write, "--write " + write, "its recording ends here"}, func() {}, nil
	}
	folder, err := os.MkdirTemp("", "tracewire-")
	if err != nil {
		return to, nil, temporaryError{fmt.Errorf("--explain: %w", err)}
	}
	return destination{
		filepath.Join(folder, "run.pcapng"), "--explain: its file in " + os.TempDir(),
		"and nothing is explained: TMPDIR names another directory",
	}, func() { os.RemoveAll(folder) }, nil
}

// temporaryError is that a file of our own can't be made or written.
type temporaryError struct{ error }

func (e temporaryError) Unwrap() error { return e.error }

// explainRecording explains the traces in a recording, if that is wanted. That they
// were interrupted doesn't keep them from being explained.
func (s *shown) explainRecording(ctx context.Context, name string, out io.Writer) error {
	if !s.explain {
		return nil
	}
	if _, err := io.WriteString(out, "\n"); err != nil {
		return err
	}
	f := explainFlags{probe: -1, every: true}
	return f.explain(context.WithoutCancel(ctx), name, streams{out: out, err: io.Discard}) // the recording is our own
}

// renderer is render.New with what is shown besides. JSON always has it all.
func (s *shown) renderer(format string, w, notes io.Writer, n render.Namer) (render.Renderer, error) {
	if format == "text" {
		o := s.TextOptions
		o.Findings = o.Findings && !s.explain // which has them too
		return render.NewText(w, notes, n, o), nil
	}
	return render.New(format, w, notes, n)
}
