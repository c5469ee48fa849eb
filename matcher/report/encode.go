package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// JSON returns v as JSON on a line of its own, in which everything that is not
// printable is escaped: encoding/json leaves controls above U+007F, and the marks that
// change the direction of text. The replacement character is escaped too, since
// encoding/json writes it so where it replaces bytes that are not UTF-8.
func JSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	if isPrintable(b.Bytes()) {
		return b.Bytes(), nil
	}
	return escaped(b.Bytes()), nil
}

// isPrintable reports whether b is a line of printable ASCII.
func isPrintable(b []byte) bool {
	for _, c := range b {
		if (c < ' ' || c >= 0x7f) && c != '\n' {
			return false
		}
	}
	return true
}

// escaped escapes what is not printable in the strings of a document.
func escaped(b []byte) []byte {
	out := make([]byte, 0, len(b)+64)
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r == '\n' || r != utf8.RuneError && strconv.IsPrint(r):
			out = append(out, b[:n]...)
		case r > 0xffff:
			r -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		b = b[n:]
	}
	return out
}
