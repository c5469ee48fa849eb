package report_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/tracewire/tracewire/matcher/findings"
	"github.com/tracewire/tracewire/matcher/path"
	"github.com/tracewire/tracewire/matcher/report"
)

// checkAccepted checks what holds of every input: it is refused with one of three
// errors, or it satisfies the schema when it is written again, reads the same, and
// what can be asked of a Path can be asked of the one that was read.
func checkAccepted(t *testing.T, s *jsonschema.Schema, document []byte) (accepted bool) {
	t.Helper()
	trace, err := report.Unmarshal(document)
	if err != nil {
		if !errors.Is(err, report.ErrVersion) && !errors.Is(err, report.ErrMalformed) && !errors.Is(err, report.ErrUnknownValue) {
			t.Errorf("another error: %v", err)
		}
		return false
	}
	back := readBack(t, s, trace)
	findings.Of(trace.Path)
	trace.Path.Events(func(path.Event) {})
	if changes := path.Diff(trace.Path, back.Path, nil); len(changes) > 0 {
		t.Errorf("a trace differs from itself: %v", changes)
	}
	return true
}

// seeds are documents that have every field between them.
func seeds(t testing.TB) (all [][]byte) {
	t.Helper()
	names, err := filepath.Glob("../../cmd/internal/render/testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasPrefix(filepath.Base(name), "diff-") {
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	for _, trace := range untraced() {
		line, err := report.Marshal(trace)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, line)
	}
	return all
}

// places calls edit for each value in v, with its name and a function that sets it.
// Values in lists have the name of the list.
func places(name string, v any, edit func(name string, was any, set func(any))) {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			edit(name+"."+k, v[k], func(to any) { v[k] = to })
			places(name+"."+k, v[k], edit)
		}
	case []any:
		for i := range v {
			edit(name, v[i], func(to any) { v[i] = to })
			places(name, v[i], edit)
		}
	}
}

// Each value in a document is replaced by values that do not fit.
func TestOneWrongValue(t *testing.T) {
	s := schema(t, report.Schema)
	wrong := []any{
		nil, "", "00", true, []any{}, map[string]any{}, "mixed", "192.0.2.9", "2001:db8::9", "reply", "kernel", "capture",
		"time-exceeded", "rst", "icmpv6", "tcp", "2026-01-02T03:04:05.000000009Z", "0001-01-01T00:00:00.000000000Z",
		json.Number("0"), json.Number("-1"), json.Number("7"), json.Number("0.5"), json.Number("256"), json.Number("65536"),
		json.Number("9007199254740992"), json.Number("-9223372036854775808"), json.Number("9223372036854775807"), json.Number("1e308"),
	}
	accepted, refused := 0, 0
	tried := map[string]bool{}
	for _, seed := range seeds(t) {
		root := decoded(t, seed)
		places("", root, func(name string, was any, set func(any)) {
			name = fmt.Sprintf("%s %T", name, was)
			if tried[name] {
				return
			}
			tried[name] = true
			for _, v := range wrong {
				set(v)
				changed, err := json.Marshal(root)
				if err != nil {
					t.Fatal(err)
				}
				if checkAccepted(t, s, changed) {
					accepted++
				} else {
					refused++
				}
			}
			set(was)
		})
	}
	if accepted < 500 || refused < 4000 {
		t.Errorf("%d accepted, %d refused: it tries too little", accepted, refused)
	}
}

// The same holds for any input.
func FuzzUnmarshal(f *testing.F) {
	s := schema(f, report.Schema)
	for _, seed := range seeds(f) {
		f.Add(seed)
	}
	f.Add([]byte(`{"schema":"tracewire/1"}`))
	f.Fuzz(func(t *testing.T, document []byte) { checkAccepted(t, s, document) })
}
