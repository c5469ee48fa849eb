package report

import (
	"fmt"
	"io"
	"iter"

	"github.com/tracewire/tracewire/matcher/path"
)

// Event is a line of the format jsonl: a *StartEvent, *ProbeEvent, *ReplyEvent,
// *TimeoutEvent, *HopEvent or *EndEvent. The lines of a trace begin with its start and
// end with its end; hops come in order.
type Event interface {
	// kind is the value of the field "event".
	kind() path.EventKind
}

// StartEvent says that a trace begins. The fields that may be null where Document has an
// error may be null here, and then the EndEvent that follows has the error.
type StartEvent struct {
	Event    string   `json:"event"`  // start
	Schema   string   `json:"schema"` // Version
	Target   Target   `json:"target"`
	Source   *Source  `json:"source"`
	Protocol *string  `json:"protocol"`
	Tool     *string  `json:"tool"`
	Options  *Options `json:"options"`
	Started  Stamp    `json:"started"`
}

// ProbeEvent says that a probe left.
type ProbeEvent struct {
	Event string `json:"event"` // probe
	Departure
}

// ReplyEvent says that a reply came. Later replies may change what hop it is from.
type ReplyEvent struct {
	Event  string `json:"event"` // reply
	Number int    `json:"number"`
	TTL    *uint8 `json:"ttl"`
	Status string `json:"status"` // reply or late
	First  bool   `json:"first"`  // it is the first reply to the probe
	Reply  Reply  `json:"reply"`  // without a name
}

// TimeoutEvent says that the wait for a reply is over, or that the probe never left.
type TimeoutEvent struct {
	Event  string `json:"event"` // timeout
	Number int    `json:"number"`
	TTL    uint8  `json:"ttl"`
	Status string `json:"status"` // timeout or unsent
}

// HopEvent says that a hop is final. A reply that comes later is in a ReplyEvent only.
type HopEvent struct {
	Event string `json:"event"` // hop
	Hop
}

// EndEvent says that a trace is over.
type EndEvent struct {
	Event       string   `json:"event"` // end
	Target      Target   `json:"target"`
	Error       string   `json:"error,omitempty"` // why the host could not be traced
	Clock       Clock    `json:"clock"`
	Ended       Stamp    `json:"ended"`
	Reached     bool     `json:"reached"`
	Interrupted bool     `json:"interrupted"`
	Counters    Counters `json:"counters"`
	Gaps        []Gap    `json:"gaps"`

	PathMTU  []MTU     `json:"path_mtu"`
	Findings []Finding `json:"findings"`
}

func (*StartEvent) kind() path.EventKind   { return path.Started }
func (*ProbeEvent) kind() path.EventKind   { return path.ProbeOut }
func (*ReplyEvent) kind() path.EventKind   { return path.Answer }
func (*TimeoutEvent) kind() path.EventKind { return path.GaveUp }
func (*HopEvent) kind() path.EventKind     { return path.Decided }
func (*EndEvent) kind() path.EventKind     { return path.Ended }

// Events makes lines of the events of traces that follow each other. The zero Events
// is ready for use; it belongs to one goroutine at a time.
type Events struct {
	headers headers // of the trace that runs
}

// Event returns the line of an event, which shares memory with it. Details are needed
// of two kinds of events: the names at a hop, and all else at the end.
func (l *Events) Event(e path.Event, d Details) Event {
	kind := e.Kind.String()
	switch e.Kind {
	case path.Started:
		return l.start(e.Path)
	case path.ProbeOut:
		return &ProbeEvent{kind, l.headers.departure(&e.Probe)}
	case path.Answer:
		return &ReplyEvent{
			kind, e.Probe.Number, pointer(e.Probe.TTL), e.Probe.Status.String(), len(e.Probe.Extra) == 0, l.headers.reply(e.Reply),
		}
	case path.GaveUp:
		return &TimeoutEvent{kind, e.Probe.Number, e.Probe.TTL, e.Probe.Status.String()}
	case path.Decided:
		h := l.headers
		h.names = d.Names
		return &HopEvent{kind, h.hop(&e.Hop)}
	case path.Ended:
		return newEnd(&Trace{e.Path, d})
	}
	return nil
}

func (l *Events) start(p *path.Path) *StartEvent {
	l.headers = headersOf(p)
	return &StartEvent{
		path.Started.String(), Version, newTarget(p), newSource(p), pointer(l.headers.protocol),
		pointer(p.Tool), newOptions(p), Stamp(p.Started),
	}
}

func newEnd(t *Trace) *EndEvent {
	p := t.Path
	return &EndEvent{
		path.Ended.String(), newTarget(p), t.Error, newClock(p), Stamp(p.Ended), p.Reached(), p.Interrupted,
		Counters(p.Counters), newGaps(p), t.MTUs, newFindings(t.Findings),
	}
}

// UnmarshalEvent reads a line of the format jsonl. It checks that the input is JSON of
// the types that the kind of event has, and the schema that a start names; an unknown
// kind of event is ErrUnknownValue.
func UnmarshalEvent(line []byte) (Event, error) {
	var head struct {
		Event *string `json:"event"`
	}
	if err := unmarshal(line, &head); err != nil {
		return nil, err
	}
	if head.Event == nil {
		return nil, fmt.Errorf("%w: it is no event", ErrMalformed)
	}
	for _, e := range []Event{
		new(StartEvent), new(ProbeEvent), new(ReplyEvent), new(TimeoutEvent), new(HopEvent), new(EndEvent),
	} {
		if e.kind().String() != *head.Event {
			continue
		}
		if e.kind() == path.Started {
			if err := checkVersion(line, Version); err != nil {
				return nil, err
			}
		}
		if err := unmarshal(line, e); err != nil {
			return nil, err
		}
		return e, nil
	}
	return nil, fmt.Errorf("%w: event %.40q", ErrUnknownValue, *head.Event)
}

// ReadEvents reads events until the end of r: what 'tracewire --format jsonl' writes.
// It ends with the first error, which is one of those of UnmarshalEvent or the one of r.
func ReadEvents(r io.Reader) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for raw, err := range values(r) {
			var e Event
			if err == nil {
				e, err = UnmarshalEvent(raw)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// Add adds what an event says of a trace: after its start, hops and end, d is the
// document of the trace, except for replies that came after their hop was final. The
// other events add nothing. A start begins another document.
func (d *Document) Add(e Event) {
	switch e := e.(type) {
	case *StartEvent:
		*d = Document{
			Schema: e.Schema, Target: e.Target, Source: e.Source, Protocol: e.Protocol, Tool: e.Tool,
			Options: e.Options, Started: e.Started, Hops: []Hop{},
		}
	case *HopEvent:
		d.Hops = append(d.Hops, e.Hop)
	case *EndEvent:
		d.Error, d.Clock, d.Ended, d.Reached, d.Interrupted = e.Error, e.Clock, e.Ended, e.Reached, e.Interrupted
		d.Counters, d.Gaps, d.PathMTU, d.Findings = e.Counters, e.Gaps, e.PathMTU, e.Findings
	}
}
