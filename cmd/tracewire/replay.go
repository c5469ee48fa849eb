package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/cmd/internal/render"
	"github.com/tracewire/tracewire/matcher/path"
	"github.com/tracewire/tracewire/matcher/report"
)

const replayLong = `replay finds the traces in captures, and prints each as if it had just run.

The captures may be anybody's, made with any tracer: pcap or pcapng, also
compressed with gzip or zstd; - is standard input. A trace is found by what is
on the wire: probes with low TTLs, or that an ICMP time-exceeded quotes, over
IPv4 and IPv6, UDP, UDP-Lite, ICMP echo and TCP, grouped into runs by the way the
known programs vary ports and sequence numbers. Ordinary traffic is none, even
when ICMP errors quote it. Replies whose probes are not in the capture stand at
hop "?", in the order of arrival.

A recording that 'tracewire --write' made gives the answer that was given when
it was made, byte for byte in JSON; --all shows what other traces it holds. One
whose program was killed ends with the last frame, as if interrupted there.

What Wireshark, editcap or mergecap writes of a recording lacks what stands
behind its last frame: the names, and how the trace ended, so that it counts as
interrupted then.

Times are those of the capture: a round trip is the reply's stamp less the
probe's. Names are those that the capture holds; no name server is asked. A
reply that took longer than 10 seconds is late. What a capture doesn't tell (the
program's options, when it gave up) is null in JSON.

Text that a capture holds is shown with escapes where it is not printable; in
names so are spaces, too. A recording that says what no trace can do is damaged.

What breaks a capture's format but can be read (a fraction of a second or more in
a stamp, the lengths of pcap before version 2.3) is read as tcpdump and tshark do;
a line on standard error names it.

The traces of several captures are numbered on and on, and --list ends each line
with the file. 'tracewire help output' says what stands in a line.

Exit codes: 0 the captures were read to their ends, whatever was found; 1 one of
them is missing, cut or broken: what was readable is shown, a line on standard
error says where and why it stopped, and the next one is read; 2 the command
line is wrong.`

const replayExample = `  tracewire replay run.pcapng
  tracewire replay --list old.pcap.gz
  tracewire replay --trace 3 --format json old.pcap.gz
  tracewire replay --target 192.0.2.0/24 --since 2026-11-23 *.pcap
  tcpdump -U -w - icmp or udp | tracewire replay -`

// replayFlags are what the command line of replay says.
type replayFlags struct {
	numeric      bool
	shown        shown
	format       string
	list, all    bool
	number       int
	target       targetValue
	since, until timeValue
}

func replayCommand(stdin io.Reader, stdout io.Writer) *cobra.Command {
	var f replayFlags
	c := &cobra.Command{
		Use: "replay [flags] FILE...", Short: "Print the traces that captures hold", Long: replayLong, Example: replayExample,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("which capture? - is standard input")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			defer frugal()()
			return replayAll(c.Context(), &f, args, streams{stdin, stdout, c.ErrOrStderr()})
		},
	}
	set := c.Flags()
	set.SortFlags = false
	set.BoolVar(&f.list, "list", false, "write one line a trace: its number, when it began, source,\ntarget, protocol, the program it looks like, hops, and\nwhether it reached")
	set.Var(between(&f.number, 1, 1<<31-1, "n"), "trace", "only trace `n` of the list")
	set.Var(&f.target, "target", "only traces to this `address`, or a network (192.0.2.0/24), or\na host by its name in a recording")
	set.Var(&f.since, "since", "only traces that began at this `time` or later: RFC 3339, or\n2006-01-02 15:04:05, or without the seconds or the time, in UTC")
	set.Var(&f.until, "until", "only traces that began before this `time`")
	set.BoolVar(&f.all, "all", false, "of a recording, also show the traces that others made meanwhile")
	set.BoolVarP(&f.numeric, "numeric", "n", false, "don't show the names that the capture holds")
	f.shown.register(set)
	set.StringVar(&f.format, "format", "text", "write `text|json|jsonl`: lines like traceroute's, one document a\ntrace, or one event a line")
	_ = c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(render.Formats(), cobra.ShellCompDirectiveNoFileComp))
	return c
}

// streams are the standard ones.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// replayAll replays one capture after the other. One that is broken doesn't keep
// the next from being shown.
func replayAll(ctx context.Context, f *replayFlags, names []string, s streams) error {
	if err := f.check(names); err != nil {
		return err
	}
	r := &replayer{flags: f, streams: s, several: len(names) > 1}
	var failed error
	for _, name := range names {
		err := r.replay(ctx, name)
		if ctx.Err() != nil || errors.As(err, new(writeError)) {
			return err
		}
		if err != nil {
			complain(s.err, "", err)
			failed = errTold
		}
	}
	if f.number > r.traces && failed == nil {
		return usagef("there is no trace %d, since %s", f.number, counted(r.traces, "trace"))
	}
	if r.shown == 0 && r.traces > 0 {
		fmt.Fprintf(s.err, "tracewire: no trace matches, though %s\n", counted(r.traces, "trace"))
	}
	return failed
}

// check looks at what the flags and arguments say together, and at what pflag
// can't.
func (f *replayFlags) check(names []string) error {
	if !f.since.IsZero() && !f.until.IsZero() && !f.since.Before(f.until.Time) {
		return usagef("--since %v is not before --until %v: no trace can be shown", &f.since, &f.until)
	}
	return cmp.Or(checkInputs(names), checkFormat(f.format))
}

// replayer shows the traces of captures that the flags ask for.
type replayer struct {
	streams
	flags   *replayFlags
	several bool // captures
	traces  int  // so far, in all captures, shown or not
	shown   int  // of these
	silent  bool // one of these, in the latest capture, could not know that frames were lost
}

// replay shows one capture.
func (r *replayer) replay(ctx context.Context, name string) error {
	file, err := openCapture(ctx, name, r.in)
	if err != nil {
		return err
	}
	defer file.Close()
	before := r.traces
	r.silent = false
	if err := r.showAll(ctx, name, file); err != nil {
		return err
	}
	warn(r.err, name, file)
	if r.traces == before {
		fmt.Fprintf(r.err, "tracewire: %s: no traces\n", render.Printable(called(name)))
	}
	if n := file.Stats().Dropped; n > 0 && r.silent {
		fmt.Fprintf(r.err, "tracewire: %s: the capture lost %d %s, as it says behind its traces: a * in them may be due to that\n",
			render.Printable(called(name)), n, render.Plural("frame", n))
	}
	return nil
}

func (r *replayer) showAll(ctx context.Context, name string, file *capture.File) error {
	bar := newProgress(r.err, file)
	defer bar.stop()
	show, err := r.shower(name, file, bar)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// Of a trace that was found, only lines of events need more than its Path.
	o := &tracewire.ReplayOptions{All: r.flags.all, Paths: r.flags.list || r.flags.format != "jsonl"}
	err = tracewire.Replay(ctx, file, o, func(e tracewire.Event) {
		if err := show.event(e); err != nil {
			cancel(writeError{err})
		}
	})
	if err = within(name, err); errors.As(err, new(writeError)) {
		return err
	}
	return cmp.Or(show.end(), err)
}

// writeError is that the output can't be written.
type writeError struct{ error }

func (e writeError) Unwrap() error { return e.error }

// shower renders the traces of a capture that are asked for.
//
// The names in a recording come behind its traces, so these are kept until it
// has ended; what comes behind them waits its turn.
type shower struct {
	replayer *replayer
	out      render.Renderer
	lines    *bufio.Writer // that out writes to
	list     *render.List
	chosen   bool // the trace that is being told
	number   int
	waiting  []path.Event
	holding  bool
}

func (r *replayer) shower(name string, file *capture.File, bar *progress) (*shower, error) {
	s := &shower{replayer: r}
	out := bar.beside(r.out)
	var names render.Namer = currentNames{file}
	if r.flags.numeric {
		names = noNames{}
	}
	var err error
	if r.flags.list {
		if r.several {
			out = &ofFile{out, name}
		}
		s.list, err = render.NewList(r.flags.format, out)
	} else {
		s.lines = bufio.NewWriter(out)
		s.out, err = r.flags.shown.renderer(r.flags.format, s.lines, bar.beside(r.err), names)
	}
	return s, err
}

// event takes an event of the replay.
func (s *shower) event(e path.Event) error {
	if e.Kind == path.Started {
		s.holding = s.holding || !e.Path.Clock.Captured && s.list == nil // which has no names
	}
	if s.holding {
		if e.Path != nil && e.Path.Clock.Captured {
			e.Path = e.Path.Clone()
		}
		s.waiting = append(s.waiting, e)
		return nil
	}
	return s.show(e)
}

// end shows what was kept.
func (s *shower) end() error {
	for _, e := range s.waiting {
		if err := s.show(e); err != nil {
			return writeError{err}
		}
	}
	return nil
}

func (s *shower) show(e path.Event) error {
	if e.Kind == path.Started {
		s.replayer.traces++
		s.number = s.replayer.traces
		if s.chosen = s.replayer.flags.choose(s.number, e.Path); s.chosen {
			s.replayer.shown++
		}
	}
	if e.Kind == path.Ended && s.chosen {
		s.replayer.silent = s.replayer.silent || e.Path.Clock.Captured && e.Path.Counters.Dropped == 0
	}
	switch {
	case !s.chosen:
		return nil
	case s.list == nil:
		return s.render(e)
	case e.Kind == path.Ended:
		return s.list.Trace(s.number, e.Path)
	}
	return nil
}

// render renders an event. Of a trace that was found text is written of its Path:
// all hops at once, and not before its end.
func (s *shower) render(e path.Event) error {
	hopless := e.Path != nil && e.Path.Clock.Captured && s.replayer.flags.format == "text"
	if hopless && e.Kind == path.Ended {
		for _, h := range e.Path.Hops() {
			if err := s.out.Event(path.Event{Kind: path.Decided, Hop: h, Path: e.Path}); err != nil {
				return err
			}
		}
		if err := s.lines.Flush(); err != nil { // before notes
			return err
		}
	}
	err := s.out.Event(e)
	if hopless && e.Kind == path.Started {
		return err
	}
	return cmp.Or(err, s.lines.Flush())
}

// choose reports whether a trace is asked for.
func (f *replayFlags) choose(number int, p *path.Path) bool {
	return (f.number == 0 || number == f.number) && f.target.matches(p) &&
		(f.since.IsZero() || !p.Started.Before(f.since.Time)) &&
		(f.until.IsZero() || p.Started.Before(f.until.Time))
}

// targetValue is a target as a person names it.
type targetValue struct {
	text    string
	network netip.Prefix // not valid if it is a name
}

func (v *targetValue) Type() string   { return "address" }
func (v *targetValue) String() string { return v.text }

func (v *targetValue) Set(s string) error {
	v.text = s
	if addr, err := netip.ParseAddr(s); err == nil {
		addr = addr.Unmap()
		v.network = netip.PrefixFrom(addr, addr.BitLen())
		return nil
	}
	network, err := netip.ParsePrefix(s)
	if err != nil && (strings.ContainsAny(s, "/:") || strings.Trim(s, "0123456789.") == "") {
		return errors.New("it is not an address, a network or a name")
	}
	v.network = network.Masked()
	return nil
}

func (v *targetValue) matches(p *path.Path) bool {
	return v.text == "" || v.network.Contains(p.Target.Addr) || p.Target.Host == v.text
}

// timeValue is a time as a person writes it.
type timeValue struct{ time.Time }

func (v *timeValue) Type() string { return "time" }

func (v *timeValue) String() string {
	if v.IsZero() {
		return ""
	}
	return v.Format(time.RFC3339Nano)
}

func (v *timeValue) Set(s string) error {
	for _, layout := range []string{
		time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02",
	} {
		if t, err := time.Parse(layout, s); err == nil {
			v.Time = t
			return nil
		}
	}
	return errors.New("it is not a time like 2006-01-02T15:04:05Z or 2006-01-02 15:04:05 (UTC)")
}

// ofFile adds to the lines of a list which of several captures they are of. Each
// line is one call of Write.
type ofFile struct {
	out  io.Writer
	name string
}

// Write implements io.Writer.
func (f *ofFile) Write(line []byte) (int, error) {
	b := bytes.TrimSuffix(line, []byte("\n"))
	if object, is := bytes.CutSuffix(b, []byte("}")); is {
		name, err := report.JSON(f.name)
		if err != nil {
			return 0, err
		}
		b = fmt.Appendf(nil, `%s,"file":%s}`, object, bytes.TrimSuffix(name, []byte("\n")))
	} else {
		b = fmt.Appendf(nil, "%s  %s", b, render.Printable(f.name))
	}
	if _, err := f.out.Write(append(b, '\n')); err != nil {
		return 0, err
	}
	return len(line), nil
}

// counted is a number of things in words.
func counted(n int, thing string) string {
	if n == 1 {
		return "there is 1 " + thing
	}
	return fmt.Sprintf("there are %d %ss", n, thing)
}
