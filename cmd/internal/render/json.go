package render

import (
	"io"

	_ "embed"

	"github.com/tracewire/tracewire/matcher/path"
)

// Schema is the JSON Schema of what the formats json and jsonl write.
//
//go:embed tracewire-1.schema.json
var Schema string

// schemaName is the version of the output that Schema describes.
const schemaName = "tracewire/1"

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
		return d.write(e.Path)
	}
	return nil
}

func (d *document) write(p *path.Path) error {
	h := headersOf(p)
	h.names = d.names.Wait(responders(p.Probes))
	hops := p.Hops()
	j := newDocument(p, &h)
	j.Hops = make([]hopJSON, len(hops))
	for i := range hops {
		j.Hops[i] = h.hop(&hops[i])
	}
	return encode(d.w, j)
}

// Untraced implements Renderer.
func (d *document) Untraced(p *path.Path, why string) error {
	h := headersOf(p)
	j := newDocument(p, &h)
	j.Error = why
	return encode(d.w, j)
}

// encode writes a value as JSON on a line of its own.
func encode(w io.Writer, v any) error {
	line, err := JSON(v)
	if err != nil {
		return err
	}
	_, err = w.Write(line)
	return err
}

// lines writes each event as a JSON object on a line.
type lines struct {
	w       io.Writer
	names   Namer
	headers headers // of the trace that runs
}

// Event implements Renderer.
func (l *lines) Event(e path.Event) error {
	var j any
	switch e.Kind {
	case path.Started:
		j = l.start(e.Path)
	case path.ProbeOut:
		j = struct {
			Event string `json:"event"`
			sentJSON
		}{e.Kind.String(), l.headers.sent(&e.Probe)}
	case path.Answer:
		l.names.Want(e.Reply.From)
		j = struct {
			Event  string    `json:"event"`
			Number int       `json:"number"`
			TTL    *uint8    `json:"ttl"`
			Status string    `json:"status"`
			First  bool      `json:"first"`
			Reply  replyJSON `json:"reply"`
		}{e.Kind.String(), e.Probe.Number, pointer(e.Probe.TTL), e.Probe.Status.String(), len(e.Probe.Extra) == 0, l.headers.reply(e.Reply)}
	case path.GaveUp:
		j = struct {
			Event  string `json:"event"`
			Number int    `json:"number"`
			TTL    uint8  `json:"ttl"`
			Status string `json:"status"`
		}{e.Kind.String(), e.Probe.Number, e.Probe.TTL, e.Probe.Status.String()}
	case path.Decided:
		j = struct {
			Event string `json:"event"`
			hopJSON
		}{e.Kind.String(), l.hop(&e.Hop)}
	case path.Ended:
		j = newEnd(e.Path)
	}
	return encode(l.w, j)
}

// hop has the names of those who answered; the replies told before it have none.
func (l *lines) hop(at *path.Hop) hopJSON {
	h := l.headers
	h.names = l.names.Wait(responders(at.Probes))
	return h.hop(at)
}

// Untraced implements Renderer.
func (l *lines) Untraced(p *path.Path, why string) error {
	if err := encode(l.w, l.start(p)); err != nil {
		return err
	}
	j := newEnd(p)
	j.Error = why
	return encode(l.w, j)
}

func (l *lines) start(p *path.Path) startJSON {
	l.headers = headersOf(p)
	return startJSON{
		path.Started.String(), schemaName, newTarget(p), newSource(p), pointer(l.headers.protocol),
		pointer(p.Tool), newOptions(p), stamp(p.Started),
	}
}
