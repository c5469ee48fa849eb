package render

import (
	"io"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/matcher/findings"
	"github.com/tracewire/tracewire/matcher/path"
	"github.com/tracewire/tracewire/matcher/report"
)

// document writes each trace as one JSON document on a line.
type document struct {
	w     io.Writer
	names Namer
}

// Event implements Renderer.
func (d *document) Event(e path.Event) error {
	switch e.Kind {
	case path.Answer:
		d.names.Want(e.Reply.From)
		return nil
	case path.Ended:
		about := concluded(e.Path)
		about.Names = d.names.Wait(responders(e.Path.Probes))
		return report.Write(d.w, &report.Trace{Path: e.Path, Details: about})
	}
	return nil
}

// Untraced implements Renderer.
func (d *document) Untraced(p *path.Path, why string) error {
	return report.Write(d.w, &report.Trace{Path: p, Details: report.Details{Error: why}})
}

// concluded is what follows from a trace that is over.
func concluded(p *path.Path) report.Details {
	d := report.Details{Findings: findings.Of(p)}
	for _, s := range tracewire.MTUs(p) {
		d.MTUs = append(d.MTUs, report.MTU{Hop: s.Hop, MTU: s.MTU, Known: s.Known.String()})
	}
	return d
}

// encode writes a value as JSON on a line of its own.
func encode(w io.Writer, v any) error {
	line, err := report.JSON(v)
	if err != nil {
		return err
	}
	_, err = w.Write(line)
	return err
}

// lines writes each event as a JSON object on a line.
type lines struct {
	w      io.Writer
	names  Namer
	events report.Events
}

// Event implements Renderer. The names at a hop are waited for; a reply before that has
// none.
func (l *lines) Event(e path.Event) error {
	var about report.Details
	switch e.Kind {
	case path.Answer:
		l.names.Want(e.Reply.From)
	case path.Decided:
		about.Names = l.names.Wait(responders(e.Hop.Probes))
	case path.Ended:
		about = concluded(e.Path)
	}
	return encode(l.w, l.events.Event(e, about))
}

// Untraced implements Renderer.
func (l *lines) Untraced(p *path.Path, why string) error {
	if err := encode(l.w, l.events.Event(path.Event{Kind: path.Started, Path: p}, report.Details{})); err != nil {
		return err
	}
	return encode(l.w, l.events.Event(path.Event{Kind: path.Ended, Path: p}, report.Details{Error: why}))
}
