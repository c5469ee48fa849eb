package dissect

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// Colours says whether what is written to w may have colours: it is a terminal,
// and NO_COLOR (https://no-color.org) is not set.
func Colours(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(file.Fd()))
}

// The colours of fields, in turn: six of the sixteen that every terminal has (ECMA-48,
// section 8.3.117), none of them black or white.
var colours = []string{"\x1b[36m", "\x1b[33m", "\x1b[32m", "\x1b[35m", "\x1b[34m", "\x1b[31m"}

const noColour = "\x1b[0m"

// Paints are the sequences that a Painter colours text with.
func Paints() []string { return append([]string{noColour}, colours...) }

// Painter writes headers. The zero Painter writes them without colours.
type Painter struct{ Coloured bool }

// paint is text in a colour.
func (p Painter) paint(colour int, text string) string {
	if !p.Coloured || colour < 0 {
		return text
	}
	return colours[colour%len(colours)] + text + noColour
}

// palette gives each byte of a frame the colour of its field: fields next to each
// other differ, and those that share a byte share the colour.
func palette(headers []Header) map[int]int {
	of, next := map[int]int{}, 0
	for i := range headers {
		for j := range headers[i].Fields {
			f := &headers[i].Fields[j]
			colour, shared := of[f.At()]
			if !shared {
				colour = next
				next++
			}
			for at := range f.Bytes {
				if _, taken := of[f.At()+at]; !taken {
					of[f.At()+at] = colour
				}
			}
		}
	}
	return of
}

// Fields writes a line for each field, under its header's name: offset in the
// frame, bytes, name, and value. No line is longer than 80 columns.
func (p Painter) Fields(w *bytes.Buffer, headers []Header) {
	colour := palette(headers)
	for i := range headers {
		h := &headers[i]
		fmt.Fprintf(w, "%s, %s\n", h.Name, counted(h.Length, "byte"))
		last := -1
		for j := range h.Fields {
			f := &h.Fields[j]
			at, raw := fmt.Sprint(f.At()), hexOf(h.together(j))
			if f.At() == last {
				at, raw = "", "" // shown with the field before
			}
			last = f.At()
			line := fmt.Sprintf("%4s  %-17s %-15s  %s", at, raw, f.Name, f.Text())
			if f.Note != "" {
				line += ", " + f.Note
			}
			fmt.Fprintln(w, p.paint(colour[f.At()], strings.TrimRight(line, " ")))
		}
	}
}

// together are the bytes of a field and of those that begin in the same byte.
func (h *Header) together(j int) []byte {
	b, at := h.Fields[j].Bytes, h.Fields[j].At()
	for _, f := range h.Fields[j:] {
		if f.At() == at && len(f.Bytes) > len(b) {
			b = f.Bytes
		}
	}
	return b
}

// hexOf is at most six bytes in hexadecimal.
func hexOf(b []byte) string {
	const most = 6
	if len(b) <= most {
		return fmt.Sprintf("% x", b)
	}
	return fmt.Sprintf("% x …", b[:most-1])
}

// Hexdump writes bytes sixteen to a line, as hexdump -C does, each in the colour
// of the field that it is in. The headers are those of b.
func (p Painter) Hexdump(w *bytes.Buffer, b []byte, headers []Header) {
	colour := palette(headers)
	at := func(n int) int {
		if c, known := colour[n]; known {
			return c
		}
		return -1
	}
	const row = 16
	for start := 0; start < len(b); start += row {
		end := min(start+row, len(b))
		fmt.Fprintf(w, "%04x ", start)
		for n := start; n < start+row; n++ {
			if n%8 == 0 {
				w.WriteByte(' ')
			}
			if n >= end {
				w.WriteString("   ")
				continue
			}
			w.WriteString(p.paint(at(n), fmt.Sprintf("%02x", b[n])) + " ")
		}
		w.WriteString(" ")
		for n := start; n < end; n++ {
			w.WriteString(p.paint(at(n), letter(b[n])))
		}
		w.WriteByte('\n')
	}
}

// letter is a byte as a letter, or a dot if a terminal would act on it.
func letter(b byte) string {
	if b < ' ' || b > '~' {
		return "."
	}
	return string(rune(b))
}

// counted is a number of things in words.
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
