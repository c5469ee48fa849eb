package render

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// What others wrote - names of hosts and interfaces, files, comments - must not move a
// terminal's cursor, colour its text, or pass for what the program says. All text goes
// through a writer that Lines makes, and all JSON through report.JSON: both escape what is
// not printable, whatever renderers forget. What is printable but could pass for
// another part of a line goes through Name besides.

// Printable returns s with everything escaped that could move a terminal's
// cursor or colour its text.
func Printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strconv.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	return b.String()
}

// Name is Printable for a name within a line: no space and no bracket before
// an address is left in it, so that it can't pass for an address or a time that follows.
func Name(s string) string {
	var b strings.Builder
	for _, r := range Printable(s) {
		if strings.ContainsRune(" (", r) {
			fmt.Fprintf(&b, `\x%02x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Lines returns a writer of text to w, of which each Write has whole characters.
// Everything that is not printable is escaped, but for the ends of lines and the
// sequences that are allowed.
func Lines(w io.Writer, allowed ...string) io.Writer { return &lineWriter{w, allowed} }

type lineWriter struct {
	w       io.Writer
	allowed []string
}

// Write implements io.Writer.
func (l *lineWriter) Write(b []byte) (int, error) {
	if isPrintable(b) {
		return l.w.Write(b)
	}
	if _, err := l.w.Write(l.escaped(b)); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (l *lineWriter) escaped(b []byte) []byte {
	var out bytes.Buffer
next:
	for len(b) > 0 {
		for _, s := range l.allowed {
			if bytes.HasPrefix(b, []byte(s)) {
				out.WriteString(s)
				b = b[len(s):]
				continue next
			}
		}
		r, n := utf8.DecodeRune(b)
		if r == '\n' {
			out.WriteByte('\n')
		} else {
			out.WriteString(Printable(string(r)))
		}
		b = b[n:]
	}
	return out.Bytes()
}

// isPrintable reports whether b is lines that need no escaping.
func isPrintable(b []byte) bool {
	for _, c := range b {
		if (c < ' ' || c >= 0x7f) && c != '\n' {
			return false
		}
	}
	return true
}
