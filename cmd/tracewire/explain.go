package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/netip"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/cmd/internal/dissect"
	"github.com/tracewire/tracewire/cmd/internal/explain"
	"github.com/tracewire/tracewire/cmd/internal/render"
	"github.com/tracewire/tracewire/matcher/path"
)

const explainLong = `explain shows what a trace's probes looked like on the wire, what the path did to
them, and for every * why. The capture is any that 'tracewire replay' can read; -
is standard input.

It begins with what is noteworthy: fields that routers quote otherwise than they
were sent, ICMP extensions, probes without a reply and the reason, and what all
of it is the sign of. --hop and --probe show the probes of a hop, or one, to the
last field: as sent beside as quoted, the reply's own header, where the time
went, and why the reply is this probe's and this hop's.

A quote that is too short for a field says nothing about it: it is "not visible",
never "unchanged". Colours are for terminals; NO_COLOR turns them off.`

const explainExample = `  tracewire --write run.pcapng example.org
  tracewire explain run.pcapng
  tracewire explain --hop 5 run.pcapng
  tracewire explain --trace 3 --probe 12 old.pcap.gz`

// explainFlags are what the command line of explain says.
type explainFlags struct {
	number  int
	hop     int
	probe   int
	all     bool
	numeric bool
	every   bool // all traces, one after the other
}

func explainCommand(stdin io.Reader, stdout io.Writer) *cobra.Command {
	var f explainFlags
	c := &cobra.Command{
		Use: "explain [flags] FILE", Short: "Show what the path did to the probes of a trace", Long: explainLong, Example: explainExample,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("which capture? One at a time; - is standard input")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if f.hop != 0 && f.probe >= 0 {
				return usagef("--hop and --probe are two choices")
			}
			defer frugal()()
			return f.explain(c.Context(), args[0], streams{stdin, stdout, c.ErrOrStderr()})
		},
	}
	set := c.Flags()
	set.SortFlags = false
	set.Var(between(&f.number, 1, 1<<31-1, "n"), "trace", "trace `n`, as 'replay --list' numbers them (default the only one)")
	set.Var(between(&f.hop, 1, 255, "n"), "hop", "all about the probes of hop `n`")
	f.probe = -1
	set.Var(between(&f.probe, 0, 1<<31-1, "n"), "probe", "all about probe `n`: they are numbered from 0, in the order of sending")
	set.BoolVar(&f.all, "all", false, "of a recording, also count the traces that others made meanwhile")
	set.BoolVarP(&f.numeric, "numeric", "n", false, "don't show the names that the capture holds")
	return c
}

// explain explains a trace of a capture, which it reads twice. A capture that ends
// with an error is explained as far as it goes.
func (f *explainFlags) explain(ctx context.Context, name string, s streams) (err error) {
	shown, file := called(name), name
	if !isRegular(name) {
		if file, err = keep(ctx, name, s.in); err != nil {
			return err
		}
		defer os.Remove(file)
	}
	found, names, cut := f.find(ctx, file, shown, s.err)
	for i, p := range found {
		if i > 0 {
			if _, err := io.WriteString(s.out, "\n"); err != nil {
				return err
			}
		}
		if err := f.show(ctx, file, p, names, s.out); err != nil {
			return err
		}
	}
	return within(shown, cut)
}

// show gathers what the capture holds of a trace, and writes what is asked for.
func (f *explainFlags) show(ctx context.Context, name string, p *path.Path, names map[netip.Addr]string, stdout io.Writer) error {
	file, err := capture.OpenFile(name)
	if err != nil {
		return err
	}
	defer file.Close()
	collectIfLarge(p)
	evidence, _ := explain.Gather(ctx, file, p) // that the capture is broken was told by the first reading
	if f.numeric {
		names = nil
	}
	x := &explain.Explanation{Evidence: evidence, Names: names, Painter: dissect.Painter{Coloured: dissect.Colours(stdout)}}
	switch {
	case f.hop != 0:
		err = x.Hop(stdout, uint8(f.hop))
	case f.probe >= 0:
		err = x.Probe(stdout, f.probe)
	default:
		err = x.Overview(stdout)
	}
	if missing := (*explain.MissingError)(nil); errors.As(err, &missing) {
		return usageError{err}
	}
	return err
}

// isRegular reports whether a capture can be read twice: standard input and pipes
// can't. Whatever else is not a file says so when it is opened.
func isRegular(name string) bool {
	if name == "-" {
		return false
	}
	info, err := os.Stat(name)
	return err != nil || info.IsDir() || info.Mode().IsRegular()
}

// keep copies a capture to a file, since it can be read only once.
func keep(ctx context.Context, name string, stdin io.Reader) (kept string, err error) {
	in := stdin
	if name != "-" {
		pipe, err := openPipe(ctx, name)
		if err != nil {
			return "", err
		}
		defer pipe.Close()
		in = pipe
	}
	file, err := os.CreateTemp("", "tracewire-*.pcap")
	if err != nil {
		return "", temporaryError{fmt.Errorf("keeping %s: %w", called(name), err)}
	}
	_, err = io.Copy(file, stoppable(ctx, in))
	if err = errors.Join(err, file.Close()); err != nil {
		os.Remove(file.Name())
		err = fmt.Errorf("keeping %s: %w", called(name), err)
		if _, ok := errors.AsType[*fs.PathError](err); ok && errors.Is(err, syscall.ENOSPC) {
			err = temporaryError{err}
		}
		return "", err
	}
	return file.Name(), nil
}

// find are the traces that are asked for, one unless every is, and the names that
// the capture holds. With an error that ended the capture they are those before it.
// Shown is how the capture is called.
func (f *explainFlags) find(ctx context.Context, name, shown string, stderr io.Writer) (found []*path.Path, names map[netip.Addr]string, err error) {
	file, err := openCalled(name, shown)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	var all []string
	frames := counter{File: file.File}
	o := &tracewire.ReplayOptions{All: f.all, Paths: true}
	err = tracewire.Replay(ctx, &frames, o, func(e tracewire.Event) {
		if e.Kind != path.Ended {
			return
		}
		all = append(all, e.Path.Target.Addr.String())
		switch {
		case f.number == len(all) || f.number == 0 && (f.every || len(all) == 1):
			found = append(found, e.Path.Take())
		case f.number == 0:
			found = nil // which of them is not known
		}
	})
	if err == nil {
		warn(stderr, shown, file.File)
	}
	switch n := len(all); {
	case err != nil && len(found) == 0:
		return nil, nil, err
	case n == 0:
		return nil, nil, usagef("%s has no traces: there is none in its %d %s", shown, frames.n, render.Plural("frame", frames.n))
	case f.number > n:
		return nil, nil, usagef("%s has no trace %d: %s", shown, f.number, traces(all))
	case f.number == 0 && n > 1 && !f.every:
		return nil, nil, usagef("%s has several traces: choose with --trace: %s", shown, traces(all))
	}
	return found, file.Names(), err
}

// counter counts the frames of a file.
type counter struct {
	*capture.File
	n int
}

// Frames implements capture.Source.
func (c *counter) Frames(ctx context.Context) iter.Seq2[frame.Frame, error] {
	return func(yield func(frame.Frame, error) bool) {
		for f, err := range c.File.Frames(ctx) {
			if err == nil && !f.IsWatermark() {
				c.n++
			}
			if !yield(f, err) {
				return
			}
		}
	}
}

// traces lists where traces go: the first few.
func traces(targets []string) string {
	const most = 5
	listed := make([]string, 0, most)
	for i, target := range targets[:min(most, len(targets))] {
		listed = append(listed, fmt.Sprintf("%d to %s", i+1, target))
	}
	text := strings.Join(listed, ", ")
	if n := len(targets) - len(listed); n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text
}
