package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/cmd/internal/render"
	"github.com/tracewire/tracewire/matcher/path"
)

// hosts takes the arguments: hosts, and a packet length if the last of several is
// a number.
func (f *flags) hosts(args []string) ([]string, error) {
	if len(args) == 0 {
		return nil, usagef("which host?")
	}
	last := args[len(args)-1]
	if len(args) == 1 || !looksLikeLength(last) {
		return args, nil
	}
	if err := between(&f.options.Length, tracewire.MinLength, tracewire.MaxLength, "").Set(last); err != nil {
		return nil, usagef("packet length %q: %w", last, err)
	}
	return args[:len(args)-1], nil
}

// looksLikeLength is true of what is no host's name, and may be meant as a number.
func looksLikeLength(s string) bool {
	return strings.Trim(s, "0123456789+-") == "" || strings.HasPrefix(s, "0x")
}

// lane is the trace to one host: it runs while those before it are shown.
type lane struct {
	host   string
	target netip.Addr // once it is known
	failed error      // why there is none

	mu     sync.Mutex
	events []path.Event
	room   *sync.Pool // of all lanes: memory for events
	over   bool
	err    error
	news   chan struct{} // holds a token when there is more to show
}

func (l *lane) add(e path.Event) {
	l.mu.Lock()
	if l.events == nil {
		if spare, ok := l.room.Get().(*[]path.Event); ok {
			l.events = *spare
		}
	}
	l.events = append(l.events, e)
	l.mu.Unlock()
	l.wake()
}

func (l *lane) end(err error) {
	l.mu.Lock()
	l.over, l.err = true, err
	l.mu.Unlock()
	l.wake()
}

func (l *lane) wake() {
	select {
	case l.news <- struct{}{}:
	default:
	}
}

// take returns the events that are not shown yet, and whether there will be more. The
// caller is to call done with them.
func (l *lane) take() (events []path.Event, over bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	events, l.events = l.events, nil
	return events, l.over
}

// done says that events have been shown. Others get their memory.
func (l *lane) done(events []path.Event) {
	if cap(events) > 0 {
		clear(events)
		events = events[:0]
		l.room.Put(&events)
	}
}

// show traces to all hosts and renders the traces in the order of the hosts. The
// traces don't wait for a slow name server or terminal; but that nobody reads
// any more stops them.
//
// A host that can't be traced to is told of in its place, if there are others.
func (f *flags) show(ctx context.Context, hosts []string, out render.Renderer, stderr io.Writer) (s seen, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	tracer, err := tracewire.NewTracer(&f.options)
	if err != nil {
		return s, err
	}
	if len(hosts) > 1 {
		defer lavish()()
	}
	lanes, room := make([]*lane, len(hosts)), new(sync.Pool)
	for i, host := range hosts {
		lanes[i] = &lane{host: host, news: make(chan struct{}, 1), room: room}
	}
	release, err := f.restrict(ctx, tracer, lanes)
	defer release()
	if err != nil {
		return s, err
	}
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { f.run(ctx, tracer, lanes) })
	s.reached = true
	var early []string // nothing was sent to these
	for _, l := range lanes {
		one, failed := l.show(out)
		if failed == nil && l.err != nil && !one.traced && f.format != "text" {
			failed = out.Untraced(f.planned(l), strings.Join(plain(l.err), "; "))
		}
		if failed != nil {
			cancel(failed)
			return s, fmt.Errorf("writing the output: %w", failed)
		}
		s.traced, s.reached = s.traced || one.traced, s.reached && one.reached
		if l.err != nil && len(lanes) > 1 && ctx.Err() == nil && !errors.As(l.err, new(hostError)) {
			complain(stderr, "tracewire", l.named(l.err))
			l.err = hostError{l.err}
		}
		if errors.Is(l.err, errEarly) {
			early = append(early, l.host)
		}
		err = cmp.Or(err, l.err)
	}
	if s.traced && len(early) > 0 {
		complain(stderr, "tracewire", fmt.Errorf("%w to %s", errEarly, someOf(early)))
		if errors.Is(err, errEarly) {
			err = nil // what had begun is shown
		}
	}
	return s, err
}

// someOf names the first of many hosts, and how many more there are.
func someOf(hosts []string) string {
	const most = 5
	if len(hosts) <= most {
		return strings.Join(hosts, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(hosts[:most], ", "), len(hosts)-most)
}

// run traces to the hosts of lanes, so many at a time.
func (f *flags) run(ctx context.Context, tracer *tracewire.Tracer, lanes []*lane) {
	var running sync.WaitGroup
	defer running.Wait()
	slots := make(chan struct{}, f.atOnce)
	for i, l := range lanes {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			l.end(l.run(ctx, tracer, f.resolver, f, i+1))
		})
	}
}

// named is an error that says which host it is of, if it doesn't.
func (l *lane) named(err error) error {
	for word := range strings.FieldsSeq(err.Error()) {
		if strings.Trim(word, `"':;,()`) == l.host {
			return err
		}
	}
	return errorOf{l.host, err}
}

// resolve finds the address of the lane's host, of the family that the flags ask for,
// unless it is known.
func (l *lane) resolve(ctx context.Context, r resolver, f *flags) error {
	if !l.target.IsValid() && l.failed == nil {
		l.target, l.failed = resolve(ctx, r, l.host, f.network(), f.options.Interface)
	}
	return l.failed
}

// run traces to a lane's host, which has an address in a network. The trace has
// the number of the host, for replays to show it in its place.
func (l *lane) run(ctx context.Context, tracer *tracewire.Tracer, r resolver, f *flags, number int) error {
	if err := l.resolve(ctx, r, f); err != nil {
		return err
	}
	traced := false
	err := tracer.Trace(ctx, tracewire.Target{Addr: l.target, Host: l.host, Number: number}, func(e path.Event) {
		traced = traced || e.Kind == path.Ended
		l.add(e)
	})
	switch {
	case traced && errors.Is(err, capture.ErrAddress):
		return hostError{err} // the renderer has noted it
	case !errors.Is(err, context.Canceled):
		return err
	case traced:
		return nil // it has shown what it knows
	}
	return errEarly
}

// planned is the trace that was wanted to a lane's host, as far as it is known: its
// way and its probes, if there is a route.
func (f *flags) planned(l *lane) *path.Path {
	at := time.Now().UTC().Round(0)
	p := &path.Path{
		Target: path.Target{Host: l.host, Addr: l.target.WithZone("")}, Tool: "tracewire", Started: at, Ended: at,
	}
	if !l.target.IsValid() || f.options.Dial != nil {
		return p
	}
	w, err := tracewire.Resolve(l.target, &f.options)
	if err != nil {
		return p
	}
	w.Source.Also, w.Port = nil, uint16(f.options.SrcPort)
	p.Source = w.Source
	w.Source.NextHopMAC = w.Source.MAC // any, to build frames that nobody sends
	parameters, frames, err := tracewire.Frames(l.target, w, &f.options)
	if err != nil {
		return p
	}
	for crafted := range frames {
		p.Protocol, p.Parameters = crafted.Key.Protocol, parameters
		break
	}
	return p
}

// show renders what comes of a lane, until it is over.
func (l *lane) show(out render.Renderer) (s seen, err error) {
	for range l.news {
		events, over := l.take()
		for _, e := range events {
			if e.Kind == path.Ended {
				s = seen{traced: true, reached: e.Path.Reached()}
			}
			if err := out.Event(e); err != nil {
				return s, err
			}
		}
		l.done(events)
		if over {
			break
		}
	}
	return s, nil
}

// network is the family that the flags ask for, as package net names it.
func (f *flags) network() string {
	switch {
	case f.ipv4:
		return "ip4"
	case f.ipv6:
		return "ip6"
	}
	return "ip"
}

// families as people call them.
var familyNames = map[string]string{"ip": "", "ip4": "IPv4 ", "ip6": "IPv6 "}

// resolve asks r for the address of a host in a network: of "ip" an IPv4 one if it
// has such. A link-local address without a zone is on the link of the interface, if one
// is given.
func resolve(ctx context.Context, r resolver, host, network, on string) (netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		a = a.Unmap()
		if a.Is6() && a.IsLinkLocalUnicast() && a.Zone() == "" {
			a = a.WithZone(on)
		}
		return a, checkFamily(a, network)
	}
	if _, err := strconv.Atoi(host); err == nil || host == "" {
		return netip.Addr{}, usagef("%q is not a host", host)
	}
	found, err := r.LookupNetIP(ctx, network, host)
	unknown, asked := errors.AsType[*net.DNSError](err)
	_, others := errors.AsType[*net.AddrError](err) // in /etc/hosts
	switch {
	case asked && unknown.IsNotFound:
		return netip.Addr{}, usagef("unknown host %q: no %saddress is known for it", render.Printable(host), familyNames[network])
	case err != nil && ctx.Err() != nil:
		return netip.Addr{}, errEarly
	case others, err == nil && len(found) == 0:
		return netip.Addr{}, usagef("%q has no %saddress", render.Printable(host), familyNames[network])
	case err != nil:
		return netip.Addr{}, usagef("no name server can be asked for %q: %w", render.Printable(host), err)
	}
	for _, a := range found {
		if a = a.Unmap(); a.Is4() {
			return a, nil
		}
	}
	return found[0], nil
}

// checkFamily refuses an address that is not of the network, or that says too
// little.
func checkFamily(a netip.Addr, network string) error {
	switch {
	case network == "ip4" && !a.Is4():
		return usagef("%v is not an IPv4 address, as -4 asks for", a)
	case network == "ip6" && !a.Is6():
		return usagef("%v is not an IPv6 address, as -6 asks for", a)
	case a.Is6() && a.IsLinkLocalUnicast() && a.Zone() == "":
		return usagef("%v is on every link: say on which, as in %v%%eth0", a, a)
	}
	return nil
}
