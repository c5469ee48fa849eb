package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/tracewire/tracewire/cmd/internal/annotate"
	"github.com/tracewire/tracewire/cmd/internal/help"
	"github.com/tracewire/tracewire/cmd/internal/render"
	"github.com/tracewire/tracewire/matcher/path"
	"github.com/tracewire/tracewire/matcher/report"
)

const long = `tracewire traces the path that packets take to a host.

It sends probes (UDP, or ICMP echo, TCP or UDP-Lite) whose time to live runs out
on the way, hop by hop, and shows the routers that report so. Every probe is built as a
complete frame and every time is stamped by the kernel on the frame itself: what
is shown is the time from wire to wire, whatever else the machine is doing.

The flow (addresses and ports) is the same for all probes, so that routers
which balance by flow send them all one way. The path ends where the target
answers, or where a router says that it can't be reached.

The probes leave by the route of their flow, as 'ip route get HOST ipproto udp
sport PORT dport PORT tos TOS mark MARK' names it: on a host that hashes flows
over several uplinks, --sport may choose another. With --classic, where each
probe is a flow of its own, all leave by the route of the first. Replies may come
in by another interface: where the host has several uplinks, or the source is an
address of another interface (-s, an address of lo), those are captured on too.

PACKETLEN is the length of the IP packets in bytes (default 60).

Several hosts are traced at the same time, and shown in their order. On each
interface one pair of handles captures for all of them, and the probes to all
come from one port, where it is free. --at-once says how many at most: routers
that limit their ICMP errors, as Linux does by default, answer more of one trace
than of many that all begin there.

--write records what was captured, as it comes, and 'tracewire replay' gives the
same answer from that. A recording that is there is replaced, once the trace has
begun; one that another program is writing is refused. The file may also be a
pipe. If it can't be written, on a full disk for instance, the trace goes on
without its recording; one line says so, and the exit code is 1.

SIGINT (Ctrl-C), SIGTERM and SIGHUP end a trace, unless they are ignored. What
is known by then is shown and recorded. A second one ends the program at once.

Tracing needs root or the capability CAP_NET_RAW, which 'make install' gives the
program. 'tracewire help privileges' says what its users may do then.`

const example = `  tracewire example.org
  tracewire -n -q 1 -m 12 192.0.2.1
  tracewire -T -p 443 example.org  with what a firewall lets pass
  tracewire --format json 192.0.2.1 | jq '.hops[].probes[].reply.rtt_ns'
  tracewire --write run.pcapng example.org && wireshark run.pcapng
  tracewire replay run.pcapng
  tracewire -- completion          a host that is named like a command`

const outputHelp = `Text is line-compatible with Linux traceroute 2.1:

    traceroute to 10.99.0.1 (10.99.0.1), 30 hops max, 60 byte packets
     1  10.77.1.2  0.028 ms  0.006 ms  0.005 ms
     2  10.77.2.2  0.013 ms 10.77.4.2  0.176 ms 10.77.2.2  0.015 ms

A line has a field for each query: a round trip, after the address where that
is another than before, or * if no reply came in time. After a time stands why
the target can't be reached, if a reply says so:

    !N  network unreachable         !X  administratively prohibited
    !H  host unreachable            !V  host precedence violation
    !P  protocol unreachable        !C  precedence cutoff
    !S  source route failed         !F-MTU  fragmentation needed
    !<CODE>, !<TYPE-CODE>  another ICMP error
    !<3>, over IPv6 !<4>   port unreachable, but not from the target's address

The last is a firewall that rejects (as Linux does by default), or the target
itself by another of its addresses: then a line on standard error says so, and
--findings has other-address in place of refusal. Neither counts as reached.

With -T, a line on standard error says whether the port is open, closed, or
filtered if no answer came from the target. -O info shows the flags of the
answer behind the address, as traceroute does.

The line of the target comes last. If its answer came when a line was written for
its hop already, as of a target that limits its answers, it is written once more.

A * is a probe whose wait ended without a reply. A probe that was not waited for,
because the trace was interrupted or the target had answered another probe, is
neither shown as a * nor counted as lost; its status in JSON is abandoned. A line
on standard error says that a trace was interrupted.

With -e, ICMP extensions stand behind the address, as <MPLS:L=…,E=…,S=…,T=…>,
<INC:…> (an interface) or <NODE:address,"name"> (what the router calls itself);
and with --mtu, F=MTU behind a time where the path's MTU gets smaller.

With --back, '-N' stands behind the address if the reply seems to have come by N
hops and that is two or more off the way there (by one it differs too where a
router does not count itself, so that is no sign). Nothing stands where the
findings say that it can't be told: in a loop, where a device sets or raises the
TTL, and where one router answers for another. Farther hops show that, so the
lines from the first hop that differs on are written when the trace is over.

A reply stands at the hop that answered, which is not always the TTL that drew
it: a router that refuses packets is shown at its own hop, and so is a target
that only answered a probe with a larger TTL.

Of a capture, replay shows what the capture can tell: "hops max" is the highest
TTL that was sent, a line has a field for each probe that was, and where the
probes are not in the capture, the replies stand at hop "?" in the order of
arrival, without round trips:

    traceroute to 198.51.100.80 (198.51.100.80), hops not known, 60 byte packets
     ?  192.0.2.1 * * *
     ?  100.64.0.1 * * *

replay --list has a line for each trace: number, start (UTC), source, target,
protocol, the program that it looks like (- for none that is known), hops (? if
no probe was captured), whether the target answered; and the file, if there are
several:

    1  2026-11-23T17:41:02.135044Z  192.0.2.10 -> 198.51.100.80  icmp  mtr  9 hops  reached

What this host misses is not taken for the network's silence. If the capture
loses frames because they come faster than it can read them, if the link is lost,
or if probes can't be sent, a line on standard error says so, and which * may be
due to it; so do "gaps" and the finding capture-loss in JSON, and 'tracewire
explain'. A trace goes on without its link, which may come back, and ends if the
address that it probes from is removed. Of somebody's capture, replay says what
the capture says.

--format json writes one document a trace on a line, --format jsonl one event
a line. 'tracewire schema' prints the JSON Schema that describes both, and
'tracewire schema diff' that of diff --format json. With --list, both write an
object a line.

Exit codes: 0 the trace ran, whether the target was reached or not; 1 the
system doesn't let it run, what was found can't be written, or a capture is cut
or broken; 2 the command line is wrong or the host is not known; 3 with
--fail-unreached, the target did not answer, a router refused, or the target
answered from another address. diff: 0 nothing changed, 1 something did, 2 any
error.`

const findingsHelp = `--findings, explain and the JSON formats say what a path does to packets: each
finding with its hops, how sure it is, and the probes that show it. It follows
from the trace alone. That there is none of a kind means that none was visible.

    certain   no other cause is known, or independent signs agree
    likely    another cause is known, but rare
    possible  another cause is about as common; the text names it

What keeps probes from getting farther:

    silence        from some hop on nothing answers: three hops or more, to the end;
                   or nothing at all does, however few hops were asked
    refusal        a router or firewall refuses the probes, and says why
    other-address  port unreachable from an address that no router showed, with
                   nothing behind it: probably the target by another address
    path-mtu       only shorter packets get farther: a router says so, or --mtu
                   found it
    loss           probes or replies get lost from some hop on; a router that
                   answers less than those behind it has a rate-limit instead.
                   Probes that went beyond the target and drew no answer don't
                   count: many targets limit their answers
    rate-limit     a router does not answer all probes, though those behind it do
    loop           packets go round: the same routers in the same order, twice

What costs time:

    latency        from some hop on round trips are longer by 30 ms or more and by
                   half of the whole: a long link, or a queue
    slow-replies   a router answers 20 ms or more later than those behind it; what
                   it forwards is not delayed

What ways packets take:

    asymmetry      replies pass two routers or more beyond those that the probes
                   pass, or fewer (by the TTL they arrive with)
    path-change    several routers answer at a hop for the same flow
    balanced       several do, and the probes are of several flows (--classic)
    mpls           a label-switched path: its labels, or other signs of one
    zero-ttl       a router forwards packets whose TTL has run out

What is changed:

    nat, dscp-rewrite, ecn-rewrite, id-rewrite, length-rewrite, df-rewrite,
    ttl-rewrite    routers quote that otherwise than it was sent: changed on the
                   way where all do from some hop on, else by how one quotes
    ttl-raised     a device gives packets a new TTL as it forwards them

Who answers:

    ttl-exceeded-from-destination  the target lets probes expire: it translates
                                   (DNAT), or balances, for hosts behind it
    spoofed-destination            two senders answer in the target's name
    hop-mismatch                   a refusal, of which only arithmetic says the hop
    unverified-destination         nothing in the target's answers shows that they
                                   are to the probes
    flooded                        many packets look like replies to the probes,
                                   but fit none: somebody forges them

What this host missed:

    capture-loss   its capture lost frames: probes without a reply may have one

The thresholds, and why they are what they are, stand with the rules in
matcher/findings.`

// newCommand returns the program's command line.
func newCommand(stdin io.Reader, stdout io.Writer) *cobra.Command {
	var f flags
	c := &cobra.Command{
		Use:           "tracewire [flags] HOST... [PACKETLEN]",
		Short:         "Trace the path to hosts, with exact times",
		Long:          long,
		Example:       example,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if f.version {
				_, err := fmt.Fprintln(stdout, "tracewire", version())
				return err
			}
			return trace(c.Context(), c, &f, args, streams{stdin, stdout, c.ErrOrStderr()})
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		PersistentPreRunE: func(chosen *cobra.Command, _ []string) error {
			if chosen == chosen.Root() {
				return nil // it traces
			}
			return giveUp()
		},
	}
	f.register(c.Flags())
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	_ = c.RegisterFlagCompletionFunc("interface", completeInterfaces)
	_ = c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(render.Formats(), cobra.ShellCompDirectiveNoFileComp))
	c.SetHelpCommand(help.Command(c, func(unknown string) error { return usagef("%s", unknown) }))
	c.AddCommand(
		&cobra.Command{Use: "output", Short: "What the output means", Long: outputHelp},
		privilegesCommand(),
		&cobra.Command{Use: "security", Short: "Which replies are believed", Long: securityHelp},
		&cobra.Command{Use: "findings", Short: "What the findings mean", Long: findingsHelp},
		schemaCommand(stdout),
		manCommand(c, stdout),
		replayCommand(stdin, stdout),
		diffCommand(stdin, stdout),
		craftCommand(stdout),
		explainCommand(stdin, stdout),
	)
	help.CheckCompletion(c, func(unknown string) error { return usagef("%s", unknown) })
	return c
}

func schemaCommand(stdout io.Writer) *cobra.Command {
	return &cobra.Command{
		Use: "schema [diff]", Short: "Print the JSON Schema of the JSON output, or of that of diff",
		ValidArgs: []string{"diff"},
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 && !slices.Equal(args, []string{"diff"}) {
				return usagef("there is a schema of 'diff', and one of all else")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			schema := report.Schema
			if len(args) > 0 {
				schema = report.DiffSchema
			}
			_, err := io.WriteString(stdout, schema)
			return err
		},
	}
}

// manCommand prints the page of the program, or of one of its commands.
func manCommand(program *cobra.Command, stdout io.Writer) *cobra.Command {
	return &cobra.Command{
		Use: "man [COMMAND]", Short: "Print a manual page, for man(1)", Args: cobra.MaximumNArgs(1),
		Example: "  tracewire man | man -l -\n  tracewire man replay | man -l -",
		RunE: func(_ *cobra.Command, args []string) error {
			page, rest, err := program.Find(args)
			if err != nil || len(rest) > 0 {
				return usagef("there is no command %s", args[0])
			}
			title := strings.ToUpper(strings.ReplaceAll(page.CommandPath(), " ", "-"))
			return doc.GenMan(page, &doc.GenManHeader{Title: title, Section: "1", Source: "tracewire " + version()}, stdout)
		},
	}
}

// trace is what the command does with hosts.
func trace(ctx context.Context, c *cobra.Command, f *flags, args []string, s streams) error {
	if err := cmp.Or(checkRefused(c.Flags()), f.check()); err != nil {
		return err
	}
	hosts, err := f.hosts(args)
	if err != nil {
		return err
	}
	lab, err := openLab()
	if err != nil {
		return err
	}
	defer lab.close()
	f.options.Dial, f.resolver = lab.dial(), lab.resolver()
	if err := f.restrictBorrowed(); err != nil {
		return err
	}
	var names *annotate.Names
	if !f.numeric {
		names = annotate.NewNames(lab.namer())
		defer names.Close()
	}
	told := &toldNames{Namer: names}
	renderer, err := f.shown.renderer(f.format, s.out, s.err, told)
	if err != nil {
		return err
	}
	to, done, err := f.shown.recordTo(f.write)
	if err != nil {
		return err
	}
	defer done()
	out := &sink{Renderer: renderer, stderr: s.err, spare: f.write != ""}
	seen, err := record(ctx, to, &f.options, told, s, func() (seen, error) {
		return f.show(ctx, hosts, out, s.err)
	})
	if seen.traced && (err == nil || errors.As(err, new(hostError))) { // one host's failure hides no other's trace
		err = cmp.Or(f.shown.explainRecording(ctx, to.name, s.out), err)
	} else if seen.traced && f.shown.explain && f.write != "" && errors.Is(err, errRecording) {
		fmt.Fprintln(s.err, "tracewire: --explain: the recording is not whole: nothing is explained, and no findings are shown")
	}
	err = cmp.Or(err, out.failed)
	if err == nil && f.failUnreached && !seen.reached {
		return errUnreached
	}
	return err
}

// sink is where the traces are shown. If that can't be written and they are also
// recorded, they go on for the recording.
type sink struct {
	render.Renderer
	stderr io.Writer
	spare  bool  // there is a recording
	failed error // nothing more is shown
}

// Event implements render.Renderer. Its error ends the traces.
func (s *sink) Event(e path.Event) error {
	return s.write(func() error { return s.Renderer.Event(e) })
}

// Untraced implements render.Renderer. Its error ends the traces.
func (s *sink) Untraced(p *path.Path, why string) error {
	return s.write(func() error { return s.Renderer.Untraced(p, why) })
}

func (s *sink) write(render func() error) error {
	if s.failed != nil {
		return nil
	}
	err := render()
	if err == nil || !s.spare {
		return err
	}
	s.failed = errOutput
	complain(s.stderr, "tracewire", fmt.Errorf("writing the output: %w: the trace goes on, and is recorded", err))
	return nil
}

// seen is what the command itself wants to know of the traces.
type seen struct {
	traced  bool // one has begun, and so has ended
	reached bool // all reached their targets
}

func completeInterfaces(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var names []string
	if all, err := net.Interfaces(); err == nil {
		for _, i := range all {
			names = append(names, i.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// version is the version that the program was built as.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(unknown version)"
}
