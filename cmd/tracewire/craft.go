package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/pcapng"
	"github.com/tracewire/tracewire/cmd/internal/dissect"
	"github.com/tracewire/tracewire/cmd/internal/outfile"
	"github.com/tracewire/tracewire/cmd/internal/render"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher/path"
)

const craftLong = `craft builds the frames of a trace and sends none of them. It takes the flags of
the trace that shape its frames; with the same --seed these are what the trace
sends, byte for byte. No privilege is needed.

Shown are the fields of the first probe, each with its offset in the frame, and
the frame as a hexdump, on a terminal in the same colours. Between probes only
TTL, IP ID, checksums and the identity in the payload change: --list shows these
of each, --ttl and --all show more probes in full.

Source and next hop are those of the route that the trace would take. Where there is none, or
for another machine's frames, give --source, --source-mac and --next-hop-mac.

With --write the frames go to a pcapng file, in the order of rounds and TTLs; no
stamp in it is a time, since nothing was sent.`

const craftExample = `  tracewire craft --seed 7 192.0.2.1
  tracewire craft --ttl 5 -t 0xb8 192.0.2.1
  tracewire craft -s 192.0.2.2 --source-mac 02:00:00:00:00:01 --next-hop-mac 02:00:00:00:00:02 192.0.2.1
  tracewire craft --write probes.pcapng 192.0.2.1 && tcpdump -r probes.pcapng`

// craftFlags are what the command line of craft says: a trace's flags, and its own.
type craftFlags struct {
	flags
	sourceMAC macValue
	ttl       int
	all, list bool
}

func craftCommand(stdout io.Writer) *cobra.Command {
	var f craftFlags
	c := &cobra.Command{
		Use: "craft [flags] HOST [PACKETLEN]", Short: "Build the frames of a trace without sending them",
		Long: craftLong, Example: craftExample, Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			return f.craft(c.Context(), c.Flags(), args, stdout)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	set := c.Flags()
	f.register(set)
	for _, name := range shapeNothing {
		set.Lookup(name).Hidden = true
	}
	set.Lookup("write").Usage = "write the frames to this pcapng `file`, and don't show them"
	set.Var(&f.sourceMAC, "source-mac", "send from this MAC `address` (default the interface's)")
	set.Var(between(&f.ttl, 1, 255, "n"), "ttl", "show the probes with TTL `n`")
	set.BoolVar(&f.all, "all", false, "show all probes")
	set.BoolVar(&f.list, "list", false, "show a line for each probe: TTL, round, and what tells it apart")
	_ = c.RegisterFlagCompletionFunc("interface", completeInterfaces)
	return c
}

// shapeNothing are the flags of a trace that shape no frame: they are about waiting, or
// about what is shown.
var shapeNothing = []string{
	"numeric", "sim-queries", "wait", "sendwait", "format", "extensions", "back", "findings", "explain", "at-once", "fail-unreached", "version",
}

// checkShape refuses the flags that shape no frame.
func checkShape(set *pflag.FlagSet) error {
	for _, name := range shapeNothing {
		if set.Changed(name) {
			return usagef("--%s is no matter of craft, which sends nothing and shows frames as text", name)
		}
	}
	return nil
}

func (f *craftFlags) craft(ctx context.Context, set *pflag.FlagSet, args []string, stdout io.Writer) error {
	if err := cmp.Or(checkRefused(set), checkShape(set), f.check()); err != nil {
		return err
	}
	hosts, err := f.hosts(args)
	if err != nil {
		return err
	}
	if len(hosts) > 1 {
		return usagef("too many arguments: a host and a packet length are all it takes")
	}
	if f.all && f.ttl != 0 {
		return usagef("--all and --ttl are two choices")
	}
	lab, err := openLab()
	if err != nil {
		return err
	}
	defer lab.close()
	target, err := resolve(ctx, lab.resolver(), args[0], f.network(), f.options.Interface)
	if err != nil {
		return err
	}
	f.options.Dial = lab.dial()
	if f.options.Seed == 0 {
		f.options.Seed = craft.RandomSeed() // the way may depend on the port, which follows from it
	}
	wire, err := f.wire(ctx, target)
	if err != nil {
		return err
	}
	parameters, frames, err := tracewire.Frames(target, wire, &f.options)
	if err != nil {
		return err
	}
	if first, last := int(parameters.FirstTTL), int(parameters.MaxTTL); f.ttl != 0 && (f.ttl < first || f.ttl > last) {
		return usagef("no probe has TTL %d: they go from %d to %d", f.ttl, first, last)
	}
	all, err := collect(frames)
	if err != nil {
		return err
	}
	s := &crafted{out: stdout, wire: wire, parameters: parameters, target: target, host: args[0], all: all}
	if f.write != "" {
		return s.write(ctx, f.write)
	}
	return s.show(f)
}

// wire is the way that the frames would go: what the flags say, and of the rest
// what the kernel's routes do.
func (f *craftFlags) wire(ctx context.Context, target netip.Addr) (*tracewire.Wire, error) {
	w := &tracewire.Wire{Port: uint16(f.options.SrcPort), VLAN: f.options.VLAN, Source: path.Source{
		Addr: f.options.Source, Interface: f.options.Interface, MAC: net.HardwareAddr(f.sourceMAC), NextHopMAC: f.options.NextHopMAC,
	}}
	s := &w.Source
	if s.Addr.IsValid() && s.MAC != nil && s.NextHopMAC != nil {
		return w, nil
	}
	if f.options.Dial != nil {
		return f.dialled(ctx, target)
	}
	way, err := tracewire.Resolve(target, &f.options)
	if err != nil {
		return nil, noWay{err}
	}
	if s.NextHopMAC == nil {
		if err := way.ResolveNextHop(ctx); err != nil {
			return nil, noNeighbour{err}
		}
	}
	if s.MAC != nil {
		way.Source.MAC = s.MAC
	}
	way.Port = w.Port
	return way, nil
}

// dialled is the way that frames would go in a network that is no kernel's.
func (f *craftFlags) dialled(ctx context.Context, target netip.Addr) (*tracewire.Wire, error) {
	w, err := f.options.Dial(ctx, target, &f.options)
	if err != nil {
		return nil, noWay{err}
	}
	w.Port = uint16(f.options.SrcPort)
	if f.sourceMAC != nil {
		w.Source.MAC = net.HardwareAddr(f.sourceMAC)
	}
	return w, nil
}

// noWay is that the kernel doesn't say how frames would leave.
type noWay struct{ error }

func (e noWay) Unwrap() error { return e.error }

// noNeighbour is that nobody says the MAC address of the next hop.
type noNeighbour struct{ error }

func (e noNeighbour) Unwrap() error { return e.error }

// collect keeps frames.
func collect(frames func(func(tracewire.Crafted, error) bool)) (all []tracewire.Crafted, err error) {
	for c, err := range frames {
		if err != nil {
			return nil, err
		}
		c.Frame = bytes.Clone(c.Frame)
		all = append(all, c)
	}
	return all, nil
}

// crafted are the frames of a trace that was not made.
type crafted struct {
	out        io.Writer
	wire       *tracewire.Wire
	parameters path.Parameters
	target     netip.Addr
	host       string
	all        []tracewire.Crafted
}

// show writes what the flags ask for.
func (s *crafted) show(f *craftFlags) error {
	var b bytes.Buffer
	s.header(&b)
	if f.list {
		s.list(&b, f.ttl)
	} else {
		painter := dissect.Painter{Coloured: dissect.Colours(s.out)}
		for i := range s.all {
			if p := &s.all[i].Probe; f.all || f.ttl == int(p.TTL) || f.ttl == 0 && i == 0 {
				s.probe(&b, &s.all[i], painter)
			}
		}
	}
	allowed := []string(nil)
	if dissect.Colours(s.out) {
		allowed = dissect.Paints()
	}
	_, err := render.Lines(s.out, allowed...).Write(b.Bytes())
	return err
}

func (s *crafted) header(b *bytes.Buffer) {
	p := &s.parameters
	b.WriteString(render.Wrap("", "  ", fmt.Sprintf("%d %s to %s (%v): TTL %d to %d, %d of each, packets of %d bytes, seed %d",
		len(s.all), render.Plural("probe", len(s.all)), render.Name(s.host), s.target, p.FirstTTL, p.MaxTTL, p.Queries, p.Length, p.Seed)))
}

// list writes a line for each probe.
func (s *crafted) list(b *bytes.Buffer, ttl int) {
	fmt.Fprintf(b, "%4s %6s  %-6s %-10s %s\n", "TTL", "round", "ID", "token", "cookie")
	for i := range s.all {
		c := &s.all[i]
		if ttl != 0 && ttl != int(c.Probe.TTL) {
			continue
		}
		cookie := ""
		if c.Key.HasCookie {
			cookie = fmt.Sprintf("%016x", c.Key.Cookie)
		}
		fmt.Fprintf(b, "%4d %6d  0x%04x 0x%08x %s\n", c.Probe.TTL, c.Probe.Round, c.Probe.ID, c.Key.Token, cookie)
	}
}

// probe writes the fields of a probe, and its hexdump.
func (s *crafted) probe(b *bytes.Buffer, c *tracewire.Crafted, painter dissect.Painter) {
	f := s.frame(c, time.Time{})
	headers := dissect.Frame(&f, true)
	fmt.Fprintf(b, "\nTTL %d, round %d: %d bytes\n", c.Probe.TTL, c.Probe.Round, len(f.Data))
	painter.Fields(b, headers)
	b.WriteByte('\n')
	painter.Hexdump(b, f.Data, headers)
}

// frame is a probe as a capture would show it.
func (s *crafted) frame(c *tracewire.Crafted, at time.Time) frame.Frame {
	f := frame.Frame{Time: at, Data: c.Frame, Length: len(c.Frame), Link: frame.Raw, Direction: frame.Out}
	if len(s.wire.Source.MAC) > 0 {
		f.Link = frame.Ethernet
	}
	return f
}

// write writes the frames to a file.
func (s *crafted) write(ctx context.Context, name string) (err error) {
	var file bytes.Buffer
	w, err := pcapng.NewWriter(&file, pcapng.Section{Application: "tracewire " + version()}, "Probes that were not sent: the stamps are no times.")
	if err != nil {
		return fmt.Errorf("--write: %w", err)
	}
	first := s.frame(&s.all[0], time.Time{})
	on, err := w.AddInterface(pcapng.Interface{Name: s.wire.Source.Interface, Link: first.Link})
	for i := 0; i < len(s.all) && err == nil; i++ {
		c := &s.all[i]
		f := s.frame(c, time.UnixMilli(int64(i+1)).UTC())
		f.Interface = on
		f.Comments = []string{fmt.Sprintf("The probe with TTL %d in round %d.", c.Probe.TTL, c.Probe.Round)}
		err = w.WriteFrame(&f)
	}
	if err != nil {
		return fmt.Errorf("--write: %w", err)
	}
	switch err := outfile.WriteFile(ctx, name, file.Bytes(), infos(s.out)...); {
	case errors.Is(err, outfile.ErrShared):
		return usagef("--write %s: standard output says what it holds", name)
	case err != nil:
		return fmt.Errorf("--write %s: %w", name, err)
	}
	var b bytes.Buffer
	s.header(&b)
	_, err = s.out.Write(b.Bytes())
	return err
}

// macValue is the MAC address of one interface.
type macValue net.HardwareAddr

func (v *macValue) String() string { return "" }

func (v *macValue) Type() string { return "address" }

func (v *macValue) Set(s string) error {
	a, err := net.ParseMAC(s)
	if err != nil || len(a) != 6 {
		return errors.New("it is not a MAC address like 02:00:00:00:00:01")
	}
	if group := a[0]&1 != 0; group || slices.Equal(a, make([]byte, len(a))) {
		return errors.New("it is no interface's address")
	}
	*v = macValue(a)
	return nil
}
