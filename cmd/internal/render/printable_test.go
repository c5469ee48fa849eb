package render_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/tracewire/tracewire/cmd/internal/render"
)

func TestPrintable(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"a host name":                   {"core-3.example", "core-3.example"},
		"nothing":                       {"", ""},
		"letters of other scripts":      {"bücher.例え.рф", "bücher.例え.рф"},
		"quotes and backslashes":        {`it's "\n"`, `it's "\n"`},
		"a space":                       {"a b", "a b"},
		"clearing the screen":           {"\x1b[2J", `\x1b[2J`},
		"colour":                        {"\x1b[31mred\x1b[0m", `\x1b[31mred\x1b[0m`},
		"a title":                       {"\x1b]0;owned\a", `\x1b]0;owned\a`},
		"line breaks":                   {"a\nb\rc\vd\fe", `a\nb\rc\vd\fe`},
		"tab, backspace, NUL":           {"\t\b\x00", `\t\b\x00`},
		"DEL":                           {"a\x7fb", `a\x7fb`},
		"a C1 control: CSI":             {"\u009b31m", `\u009b31m`},
		"a C1 control: next line":       {"\u0085", `\u0085`},
		"a C1 control as a single byte": {"\x9b31m", "\ufffd31m"},
		"invalid UTF-8":                 {"a\xff\xc3(b", "a\ufffd\ufffd(b"},
		"half a surrogate pair":         {"\xed\xa0\x80", "\ufffd\ufffd\ufffd"},
		"right-to-left override":        {"gnp.\u202eexe", `gnp.\u202eexe`},
		"isolates":                      {"\u2066a\u2069", `\u2066a\u2069`},
		"zero width":                    {"a\u200bb\u200dc\ufeff", `a\u200bb\u200dc\ufeff`},
		"line and paragraph separators": {"\u2028\u2029", `\u2028\u2029`},
		"a space that is another":       {"a\u00a0b\u3000c", `a\u00a0b\u3000c`},
		"a soft hyphen":                 {"a\u00adb", `a\u00adb`},
		"private use":                   {"\ue000", `\ue000`},
		"tags":                          {"\U000e0041", `\U000e0041`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := render.Printable(test.in); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

// Whatever comes in, what comes out is printable, and leaves alone what was.
func FuzzPrintable(f *testing.F) {
	for _, s := range []string{"", "core-3.example", "\x1b[2J\u009b\u202e\x7f\xff", "a\u00a0b\\'\""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := render.Printable(s)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q becomes %q", s, got)
		}
		if again := render.Printable(got); again != got {
			t.Errorf("%q becomes %q", got, again)
		}
		if clean := !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }); clean && utf8.ValidString(s) && got != s {
			t.Errorf("%q becomes %q", s, got)
		}
	})
}

func TestNameIsOneWord(t *testing.T) {
	for in, want := range map[string]string{
		"core-3.example":               "core-3.example",
		"gw (192.0.2.99)  0.001 ms":    `gw\x20\x28192.0.2.99)\x20\x200.001\x20ms`,
		"gw\u00a0(192.0.2.99)\n 9  gw": `gw\u00a0\x28192.0.2.99)\n\x209\x20\x20gw`,
	} {
		if got := render.Name(in); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestLinesLetNothingElseThrough(t *testing.T) {
	var b strings.Builder
	w := render.Lines(&b, "\x1b[31m", "\x1b[0m")
	const in = "a\x1b[31mred\x1b[0m\x1b[2J\n\u009b\u202e\xff\tbücher\n"
	if n, err := w.Write([]byte(in)); n != len(in) || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	if got, want := b.String(), "a\x1b[31mred\x1b[0m"+`\x1b[2J`+"\n"+`\u009b\u202e`+"\ufffd"+`\tbücher`+"\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
