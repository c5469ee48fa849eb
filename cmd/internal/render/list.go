package render

import (
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/tracewire/tracewire/matcher/path"
	"github.com/tracewire/tracewire/matcher/report"
)

// List writes a line for each trace, as soon as it is over: a file may hold
// more of them than fit in memory. It takes events as a Renderer does.
type List struct {
	write func(*report.Entry) error
	n     int // of the last trace that Event wrote
}

// NewList returns a List of a format that New knows. As text it has columns with
// nothing but a space within them: number, start (UTC), source, ->, target,
// protocol, tool (- if it looks like none), hops (? if not known), "hops", and
// reached or unreached. In both other formats it has an object a line.
func NewList(format string, w io.Writer) (*List, error) {
	switch format {
	case "text":
		w = Lines(w)
		return &List{write: func(e *report.Entry) error {
			_, err := io.WriteString(w, entryLine(e))
			return err
		}}, nil
	case "json", "jsonl":
		return &List{write: func(e *report.Entry) error { return encode(w, e) }}, nil
	}
	return nil, unknownFormat(format)
}

// Event takes an event. It numbers the traces from 1 in the order in which
// they end.
func (l *List) Event(e path.Event) error {
	if e.Kind != path.Ended {
		return nil
	}
	l.n++
	return l.Trace(l.n, e.Path)
}

// Trace writes the line of the trace with a number, for who leaves some out.
func (l *List) Trace(number int, p *path.Path) error {
	return l.write(report.NewEntry(number, p))
}

// pairWidth is how wide the column of source and target is: room for any two
// IPv4 addresses, and for most of IPv6. What is longer moves the rest of its line.
func pairWidth(a netip.Addr) int {
	if a.Is4() {
		return len("255.255.255.255 -> 255.255.255.255")
	}
	return len("2001:db8:1234:5678::abcd -> 2001:db8:1234:5678::abcd")
}

// entryLine is an entry as text.
func entryLine(e *report.Entry) string {
	tool, hops, reached := "-", "?", "unreached"
	if e.Tool != nil {
		tool = Name(strings.ReplaceAll(*e.Tool, " ", "_"))
	}
	if e.Hops != nil {
		hops = strconv.Itoa(*e.Hops)
	}
	if e.Reached {
		reached = "reached"
	}
	started := time.Time(e.Started).UTC().Format("2006-01-02T15:04:05.000000Z")
	pair := e.Source.String() + " -> " + e.Target.String()
	return fmt.Sprintf("%5d  %s  %-*s  %-6s  %-13s  %3s hops  %s\n",
		e.Trace, started, pairWidth(e.Target), pair, e.Protocol, tool, hops, reached)
}
