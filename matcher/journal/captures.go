package journal

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// Captures apply the entries that a Reader yields: to the Recorders of each capture of
// the recording. Traces that captured on the same interfaces are of one capture. They
// belong to one goroutine.
type Captures struct {
	reader *Reader
	all    []*capture
	of     map[int]*capture   // by trace
	to     map[netip.Addr]int // by target: traces that run
	caused []path.Caused
	ours   bool

	flows   map[flow]bool // of all probes so far
	message matcher.Message
}

// flow is what probes have in common that go one way.
type flow struct {
	dst      netip.Addr
	protocol layers.IPProtocol
	src, to  uint16 // ports
}

func flowOf(k *craft.Key) flow { return flow{k.Dst, k.Protocol, k.SrcPort, k.DstPort} }

// capture is what was captured on some interfaces.
type capture struct {
	path.Recorders
	name   string
	traces []int
	on     map[int]bool // by number of an interface: whether it is one of them
}

// NewCaptures returns the Captures of what a Reader yields.
func NewCaptures(r *Reader) *Captures {
	return &Captures{reader: r, of: map[int]*capture{}, to: map[netip.Addr]int{}, flows: map[flow]bool{}}
}

// The limits of what can run at the same time: traces; those to one target, which has to
// be found out of each frame, and of which tracewire runs one at a time; and captures, of
// which each has the frames of an interface without a name.
const (
	maxTraces   = 1000
	maxAlike    = 4
	maxCaptures = 100
)

// Apply applies an entry, and returns what it caused: valid until the next call. The
// errors wrap ErrNote: more runs at the same time than can be.
func (c *Captures) Apply(e *path.Entry) ([]path.Caused, error) {
	c.caused, c.ours = c.caused[:0], false
	switch {
	case e.Kind == path.Frame:
		if err := c.move(); err != nil {
			return nil, err
		}
		c.frame(e)
		return c.caused, nil
	case e.Kind == path.Start && len(c.of) >= maxTraces:
		return nil, fmt.Errorf("%w: more than %d traces at the same time", ErrNote, maxTraces)
	case e.Kind == path.Start && c.to[e.Path.Target.Addr] >= maxAlike:
		return nil, fmt.Errorf("%w: more than %d traces to %v at the same time", ErrNote, maxAlike, e.Path.Target.Addr)
	}
	to, err := c.capture(e.Trace)
	if err != nil {
		return nil, err
	}
	if e.Kind == path.Sent {
		c.flows[flowOf(&e.Key)] = true
	}
	if e.Kind == path.End {
		if p := to.Path(e.Trace); p != nil {
			c.count(p.Target.Addr, -1)
		}
	}
	c.caused = append(c.caused, to.Apply(e)...)
	switch e.Kind {
	case path.Start:
		c.count(e.Path.Target.Addr, 1)
	case path.End:
		c.leave(e.Trace)
	}
	return c.caused, nil
}

// count counts the traces to a target.
func (c *Captures) count(target netip.Addr, n int) {
	if c.to[target] += n; c.to[target] == 0 {
		delete(c.to, target)
	}
}

// Running is how many traces run.
func (c *Captures) Running() int { return len(c.of) }

// IsOurs reports whether the frame that was applied last was of one of the traces: a
// probe, or a reply to one.
func (c *Captures) IsOurs() bool { return c.ours }

// LooksOurs reports whether a frame is of a flow of the recording, whose source port
// nobody else had: it came too late, or was stamped by a clock that was set, and is no
// trace of others.
func (c *Captures) LooksOurs(f *frame.Frame) bool {
	m := &c.message
	if len(c.flows) == 0 || m.Read(f) != nil {
		return false
	}
	return m.IsReply && c.flows[flowOf(&m.Of)] || m.IsProbe && c.flows[flowOf(&m.Key)]
}

// move moves the traces of which more is known now.
func (c *Captures) move() error {
	for _, trace := range c.reader.moved {
		if c.of[trace] != nil {
			if _, err := c.capture(trace); err != nil {
				return err
			}
		}
	}
	c.reader.moved = c.reader.moved[:0]
	return nil
}

// frame applies a frame to each capture on its interface.
func (c *Captures) frame(e *path.Entry) {
	for _, to := range c.all {
		if !c.has(to, e.Frame.Interface) {
			continue
		}
		c.caused = append(c.caused, to.Apply(e)...)
		c.ours = c.ours || to.IsOurs()
	}
}

func (c *Captures) has(to *capture, number int) bool {
	on, ok := to.on[number]
	if !ok {
		on = c.reader.isOn(to.traces[0], number)
		to.on[number] = on
	}
	return on
}

// capture is the one that a trace is of. By its latest note it may be another than
// before.
func (c *Captures) capture(trace int) (*capture, error) {
	name, was := c.reader.on(trace), c.of[trace]
	if was != nil && was.name == name {
		return was, nil
	}
	to, err := c.named(name)
	if err != nil {
		return nil, err
	}
	if was != nil {
		was.Move(trace, &to.Recorders)
		c.leave(trace)
	}
	to.traces = append(to.traces, trace)
	c.of[trace] = to
	return to, nil
}

func (c *Captures) named(name string) (*capture, error) {
	for _, known := range c.all {
		if known.name == name {
			return known, nil
		}
	}
	if len(c.all) >= maxCaptures {
		return nil, fmt.Errorf("%w: traces on more than %d interfaces at the same time", ErrNote, maxCaptures)
	}
	made := &capture{name: name, on: map[int]bool{}}
	c.all = append(c.all, made)
	return made, nil
}

// leave notes that a trace is not of its capture any more.
func (c *Captures) leave(trace int) {
	from := c.of[trace]
	delete(c.of, trace)
	from.traces = slices.DeleteFunc(from.traces, func(n int) bool { return n == trace })
	if len(from.traces) == 0 {
		c.all = slices.DeleteFunc(c.all, func(o *capture) bool { return o == from })
	}
}
