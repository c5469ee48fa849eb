package render_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/cmd/internal/render"
	"github.com/tracewire/tracewire/matcher/journal"
)

// nextFrame is the line of a script that stands for the next frame of a recording.
const nextFrame = "frame"

// script is a recording as text, which fuzzing can change: a comment a line, and
// nextFrame for each frame, behind its comments.
func script(t testing.TB, name string) (text string, frames []frame.Frame) {
	t.Helper()
	file, err := capture.OpenFile(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var b strings.Builder
	for f, err := range file.Frames(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range f.Comments {
			b.WriteString(c + "\n")
		}
		if f.IsWatermark() {
			break
		}
		b.WriteString(nextFrame + "\n")
		f.Data, f.Comments = bytes.Clone(f.Data), nil
		frames = append(frames, f)
	}
	return b.String(), frames
}

// scripted is the Source of a script. Beyond the frames that there are it has none.
type scripted struct {
	text   string
	frames []frame.Frame
}

// Frames implements capture.Source.
func (s *scripted) Frames(context.Context) iter.Seq2[frame.Frame, error] {
	return func(yield func(frame.Frame, error) bool) {
		var comments []string
		n := 0
		for line := range strings.SplitSeq(s.text, "\n") {
			if line != nextFrame {
				comments = append(comments, line)
				continue
			}
			if n == len(s.frames) {
				break
			}
			f := s.frames[n]
			n++
			f.Number, f.Comments = n, comments
			comments = nil
			if !yield(f, nil) {
				return
			}
		}
		end := frame.End()
		end.Comments = comments
		yield(end, nil)
	}
}

// oddities are changes to the notes of a recording, each of which once made a
// document that the schema refuses, or could.
func oddities() map[string][2]string {
	return map[string][2]string{
		"a MAC of 8 bytes":       {`"mac":"`, `"mac":"02:00:00:00:00:00:00:02","was":"`},
		"a next MAC of 8 bytes":  {`"next_hop_mac":"`, `"next_hop_mac":"02:00:00:00:00:00:00:02","was":"`},
		"protocol 0":             {`"protocol":17`, `"protocol":0`},
		"protocol 255":           {`"protocol":17`, `"protocol":255`},
		"ICMP instead":           {`"protocol":17`, `"protocol":1`},
		"TCP instead":            {`"protocol":17`, `"protocol":6`},
		"a negative length":      {`"length":`, `"length":-`},
		"a long length":          {`"length":`, `"length":99`},
		"a negative interval":    {`"interval":`, `"interval":-1`},
		"seed 2^53":              {`"seed":`, `"seed":9007199254740992,"was":`},
		"no gateways":            {`"seed":`, `"gateways":[],"seed":`},
		"empty gateways":         {`"seed":`, `"gateways":[""],"seed":`},
		"a long flow label":      {`"seed":`, `"flow_label":1048576,"seed":`},
		"a scale of 99":          {`"seed":`, `"tcp":{"Scaling":true,"Scale":99},"seed":`},
		"a payload of a byte":    {`"seed":`, `"payload":"AA==","seed":`},
		"seeking an MTU":         {`"seed":`, `"mtu":true,"seed":`},
		"no tool":                {`"tool":"tracewire"`, `"tool":""`},
		"no interface":           {`"interface":"`, `"interface":"","was":"`},
		"an interface of ESC":    {`"interface":"`, `"interface":"\u001b[2J`},
		"a zone":                 {`"source":{"addr":"`, `"source":{"addr":"fe80::1%eth0","was":"`},
		"a target with a zone":   {`"addr":"`, `"addr":"fe80::1%\u001b[2J","was":"`},
		"no next hop":            {`"next_hop":"`, `"next_hop":"","was":"`},
		"a time before all":      {`"at":`, `"at":-`},
		"the last time":          {`"at":`, `"at":9223372036854775807,"was":`},
		"called before all":      {`"called":`, `"called":-`},
		"called at last":         {`"called":`, `"called":9223372036854775807,"was":`},
		"a step":                 {`"passed":{`, `"passed":{"step":9223372036854775807,"was":{},`},
		"a wait beyond all":      {`"max":`, `"max":9223372036854775807,"was":`},
		"factors beyond all":     {`"here":`, `"here":1e308,"was":`},
		"TTL 255":                {`"ttl":1,`, `"ttl":255,`},
		"a round again":          {`"round":`, `"round":1,"was":`},
		"queries 0":              {`"queries":`, `"queries":0,"was":`},
		"queries 1":              {`"queries":`, `"queries":1,"was":`},
		"none in flight":         {`"in_flight":`, `"in_flight":0,"was":`},
		"frames lost, minus one": {`"dropped":`, `"dropped":-1,"was":`},
		"all are trace 2":        {`"trace":1,`, `"trace":2,`},
		"all are trace 0":        {`"trace":1,`, `"trace":0,`},
		"failed":                 {`"sent":{`, `"failed":{"probe":0},"was":{`},
		"a sequence number":      {`"key":`, `"sequence":4294967295,"key":`},
		"a port":                 {`"dst_port":`, `"dst_port":0,"was":`},
	}
}

// Whatever the notes of a recording say, the documents are as the schema says, and
// what is wrong is a broken note.
func FuzzRecordings(f *testing.F) {
	text, frames := script(f, "../../tracewire/testdata/recorded.pcapng")
	s := schema(f)
	f.Add(text)
	for name, change := range oddities() {
		odd := strings.ReplaceAll(text, change[0], change[1])
		if odd == text && change[0] != `"passed":{` {
			f.Fatalf("%s: there is no %s", name, change[0])
		}
		f.Add(odd)
		f.Add(strings.Replace(text, change[0], change[1], 1))
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return // a Source's comments are valid
		}
		for _, format := range []string{"json", "jsonl", "list"} {
			var out bytes.Buffer
			var to interface{ Event(tracewire.Event) error }
			var err error
			if format == "list" {
				to, err = render.NewList("json", &out)
			} else {
				to, err = render.New(format, &out, &out, namer{})
			}
			if err != nil {
				t.Fatal(err)
			}
			err = tracewire.Replay(t.Context(), &scripted{text, frames}, nil, func(e tracewire.Event) {
				if err := to.Event(e); err != nil {
					t.Fatal(err)
				}
			})
			if err != nil && !errors.Is(err, journal.ErrNote) {
				t.Fatal(err)
			}
			for line := range strings.Lines(out.String()) {
				if err := s.Validate(decoded(t, line)); err != nil {
					t.Fatalf("%s: %v\n%s", format, err, line)
				}
			}
		}
	})
}
