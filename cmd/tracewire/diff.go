package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/cmd/internal/render"
	"github.com/tracewire/tracewire/matcher/path"
)

const diffLong = `diff compares two traces, each from a capture that 'tracewire replay' can read,
and names what changed from the first to the second: hops that came, went or
were replaced, round trips that shifted, other kinds of replies, and fields of
the probes that routers quote differently. What may be chance, such as a lost
reply, says so.

A round trip counts as shifted if the shortest of the hop differs by more than
both --rtt and --rtt-factor allow; it is told once, from the first hop on that
has it. Between traces with different source ports, routers that balance by flow
may have chosen other ways: trace with the same --sport to compare.

Exit codes: 0 nothing changed; 1 something did, and is shown; 2 the captures
can't be read, or the command line is wrong.`

const diffExample = `  tracewire --write monday.pcapng --sport 40000 example.org
  tracewire --write tuesday.pcapng --sport 40000 example.org
  tracewire diff monday.pcapng tuesday.pcapng
  tracewire diff --trace 1,4 old.pcap old.pcap     two traces of one capture`

// errDiffer is not an error to tell anybody about: the output has said it.
var errDiffer = errors.New("the traces differ")

// diffError is an error of the command diff: all of them have their own exit code.
type diffError struct{ error }

func (e diffError) Unwrap() error { return e.error }

// maxShift is the longest --rtt, in milliseconds: a day.
const maxShift = 24 * 60 * 60 * 1000

type diffFlags struct {
	format  string
	numbers []int
	rtt     float64
	factor  float64
}

func diffCommand(stdin io.Reader, stdout io.Writer) *cobra.Command {
	var f diffFlags
	c := &cobra.Command{
		Use: "diff [flags] FILE FILE", Short: "Compare two traces", Long: diffLong, Example: diffExample,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usagef("which two captures?")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			defer frugal()()
			err := f.diff(c.Context(), args, streams{stdin, stdout, c.ErrOrStderr()})
			if err != nil && !errors.Is(err, errDiffer) {
				return diffError{err}
			}
			return err
		},
	}
	set := c.Flags()
	set.SortFlags = false
	set.IntSliceVar(&f.numbers, "trace", nil, "compare traces `n[,m]` of the captures, as 'replay --list' numbers\nthem (default the only one)")
	set.Float64Var(&f.rtt, "rtt", 0, "by how many `ms` a round trip may shift (default 10); -1: don't\ncompare them")
	set.Float64Var(&f.factor, "rtt-factor", 0, "by which `factor` it may (default 1.25)")
	set.StringVar(&f.format, "format", "text", "write `text|json`: a line a change, or one document")
	_ = c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(render.DiffFormats(), cobra.ShellCompDirectiveNoFileComp))
	return c
}

func (f *diffFlags) diff(ctx context.Context, names []string, s streams) error {
	numbers, err := f.check()
	if err = cmp.Or(err, checkInputs(names)); err != nil {
		return err
	}
	var sides [2]render.Side
	for i, name := range names {
		p, err := onlyTrace(ctx, name, numbers[i], s)
		if err != nil {
			return err
		}
		sides[i] = render.Side{Label: name, Path: p}
	}
	o := &tracewire.DiffOptions{RTT: time.Duration(f.rtt * float64(time.Millisecond)), RTTFactor: f.factor}
	changes := tracewire.Diff(sides[0].Path, sides[1].Path, o)
	if err := render.Diff(s.out, f.format, sides[0], sides[1], changes); err != nil {
		return writeError{err}
	}
	if len(changes) > 0 {
		return errDiffer
	}
	return nil
}

// check looks at the flags. It returns which trace of each capture is meant; 0
// is the only one.
func (f *diffFlags) check() (numbers [2]int, err error) {
	switch n := len(f.numbers); {
	case n > 2:
		return numbers, usagef("--trace takes a number, or one for each capture")
	case n > 0:
		numbers = [2]int{f.numbers[0], f.numbers[n-1]}
	}
	if n := min(numbers[0], numbers[1]); n < 0 || n == 0 && len(f.numbers) > 0 {
		return numbers, usagef("--trace %d: traces are numbered from 1", n)
	}
	if f.factor != 0 && !(f.factor >= 1) { // nor is it NaN
		return numbers, usagef("--rtt-factor %v is not 1 or more", f.factor)
	}
	if !(math.Abs(f.rtt) <= maxShift) {
		return numbers, usagef("--rtt %v is not a number of milliseconds up to %d", f.rtt, maxShift)
	}
	if !slices.Contains(render.DiffFormats(), f.format) {
		return numbers, usagef("--format %q is none of text, json", f.format)
	}
	return numbers, nil
}

// onlyTrace is a trace of a capture: the one with a number, or the only one.
func onlyTrace(ctx context.Context, name string, number int, s streams) (found *tracewire.Path, err error) {
	file, err := openCapture(ctx, name, s.in)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	traces := 0
	err = tracewire.Replay(ctx, file, nil, func(e tracewire.Event) {
		if e.Kind != path.Ended {
			return
		}
		if traces++; number == 0 || traces == number {
			found = e.Path
		}
	})
	if err == nil {
		warn(s.err, name, file)
	}
	switch {
	case err != nil:
		return nil, within(name, err)
	case number > traces:
		return nil, usagef("%s has no trace %d, since %s", name, number, counted(traces, "trace"))
	case traces == 0:
		return nil, usagef("%s has no traces", name)
	case number == 0 && traces > 1:
		return nil, usagef("%s has several traces: choose with --trace; 'tracewire replay --list' lists them", name)
	case !slices.ContainsFunc(found.Probes, func(p path.Probe) bool { return p.TTL != 0 }):
		return nil, fmt.Errorf("%s has no probes of that trace: nobody knows its hops", name)
	}
	return found, nil
}
