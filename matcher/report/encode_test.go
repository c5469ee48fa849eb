package report_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/tracewire/tracewire/matcher/report"
)

// What is escaped in JSON is the same to its readers.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{"", "core-3.example", "\x1b[2J\u009b\u202e\x7f\xff\U000e0041", "<a>&\u2028\"\\"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		line, err := report.JSON(map[string]string{s: s})
		if err != nil {
			t.Fatal(err)
		}
		text := strings.TrimSuffix(string(line), "\n")
		if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q", text)
		}
		var back map[string]string
		if err := json.Unmarshal(line, &back); err != nil {
			t.Fatal(err)
		}
		if again, err := report.JSON(back); err != nil || string(again) != string(line) {
			t.Errorf("%s becomes %s when it is written again: %v", line, again, err)
		}
		if want := strings.ToValidUTF8(s, "\ufffd"); utf8.ValidString(s) && back[want] != want {
			t.Errorf("%q becomes %q", want, back)
		}
	})
}
