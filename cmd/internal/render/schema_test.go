package render_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher/report"
)

// schema is report.Schema, ready to validate; formats (IP addresses) included.
func schema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	const name = "tracewire-1.schema.json"
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(name, decoded(t, report.Schema)); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// decoded reads a JSON document; its numbers are json.Number.
func decoded(t testing.TB, s string) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(s))
	if err != nil {
		t.Fatalf("%v: %s", err, s)
	}
	return v
}

// jsonLines are the lines that a format makes of a trace.
func jsonLines(t *testing.T, format, trace string) []string {
	t.Helper()
	out, ok := strings.CutSuffix(rendered(t, format, names, traces()[trace]), "\n")
	if !ok {
		t.Fatalf("%s of %s doesn't end a line: %q", format, trace, out)
	}
	return strings.Split(out, "\n")
}

func TestOutputIsAsTheSchemaSays(t *testing.T) {
	s := schema(t)
	for trace := range traces() {
		for _, format := range []string{"json", "jsonl"} {
			for i, l := range jsonLines(t, format, trace) {
				if err := s.Validate(decoded(t, l)); err != nil {
					t.Errorf("%s.%s, line %d: %v\n%s", trace, format, i+1, err, l)
				}
			}
		}
		if err := s.Validate(decoded(t, listed(t, "json", traces()[trace]))); err != nil {
			t.Errorf("%s, listed: %v", trace, err)
		}
	}
}

// place is a value in a JSON document.
type place struct {
	name  string // keys and indexes, with dots between them
	value any
	set   func(any)
}

// key is the last part of the name.
func (p *place) key() string {
	parts := strings.Split(p.name, ".")
	return parts[len(parts)-1]
}

// places are the values in a document, the document itself first. Setting one
// changes the document.
func places(name string, v any, set func(any)) []place {
	all := []place{{name, v, set}}
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			all = append(all, places(name+"."+k, v[k], func(to any) { v[k] = to })...)
		}
	case []any:
		for i := range v {
			all = append(all, places(fmt.Sprintf("%s.%d", name, i), v[i], func(to any) { v[i] = to })...)
		}
	}
	return all
}

// Nothing may be missing from a line, nothing added to it, and nothing be of
// another type: then the schema describes all of it.
func TestTheSchemaTakesNothingElse(t *testing.T) {
	s := schema(t)
	lines := jsonLines(t, "json", "bare")
	for _, trace := range []string{"all", "bare", "icmpv6", "tcp", "replies", "mtu", "syn"} {
		lines = append(lines, jsonLines(t, "jsonl", trace)...)
		lines = append(lines, listed(t, "json", traces()[trace]))
	}
	for _, p := range hopeless() {
		lines = append(append(lines, untraced(t, "json", p)...), untraced(t, "jsonl", p)...)
	}

	seen, shapes := map[string]bool{}, map[string]bool{}
	for _, l := range lines {
		root := decoded(t, l)
		all := places("", root, nil)
		if s := shape(all); shapes[s] {
			continue // such a line was tried
		} else {
			shapes[s] = true
		}
		for _, p := range all {
			if key := p.key(); !isIndex(key) {
				seen[key] = true
			}
			for what, wrong := range p.spoilt() {
				wrong.do()
				if s.Validate(root) == nil {
					t.Errorf("%s at %s is accepted in %s", what, p.name, l)
				}
				wrong.undo()
			}
		}
		if err := s.Validate(root); err != nil {
			t.Fatalf("%s was not restored: %v", l, err)
		}
	}
	if d := cmp.Diff(properties(decoded(t, report.Schema)), slices.Sorted(maps.Keys(seen))); d != "" {
		t.Errorf("-in the schema +in the lines\n%s", d)
	}
}

// shape is what distinguishes documents but for their values.
func shape(all []place) string {
	var s strings.Builder
	for _, p := range all {
		fmt.Fprintf(&s, "%s %T\n", p.name, p.value)
	}
	return s.String()
}

// change is something done to a document.
type change struct{ do, undo func() }

// spoilt are the ways to spoil a document in one place.
func (p *place) spoilt() map[string]change {
	all := map[string]change{}
	if object, ok := p.value.(map[string]any); ok {
		all["an added field"] = change{func() { object["added"] = json.Number("1") }, func() { delete(object, "added") }}
		for k, v := range object {
			if k == "error" {
				continue // without it, it may be a trace
			}
			all["the lack of "+k] = change{func() { delete(object, k) }, func() { object[k] = v }}
		}
	}
	if p.set == nil {
		return all
	}
	for _, wrong := range p.otherTypes() {
		all[fmt.Sprintf("%#v", wrong)] = change{func() { p.set(wrong) }, func() { p.set(p.value) }}
	}
	return all
}

// otherTypes are values of types that may not stand in a place.
func (p *place) otherTypes() []any {
	all := []any{json.Number("7"), "seven", true, []any{}, map[string]any{}}
	switch v := p.value.(type) {
	case nil: // where a number, a string or an object may stand too
		if key := p.key(); key == "dont_fragment" || key == "classic" || key == "seek_mtu" {
			return []any{json.Number("7"), "seven", []any{}}
		}
		return []any{true, []any{}}
	case json.Number:
		if key := p.key(); key != "wait_here" && key != "wait_near" {
			all = append(all, v+".5")
		}
		return all[1:]
	}
	return slices.DeleteFunc(all, func(other any) bool { return reflect.TypeOf(other) == reflect.TypeOf(p.value) })
}

func isIndex(key string) bool { return strings.Trim(key, "0123456789") == "" }

// properties are the names of all fields that a schema describes, sorted.
func properties(schema any) []string {
	found := map[string]bool{}
	for _, p := range places("", schema, nil) {
		if object, ok := p.value.(map[string]any); ok && p.key() == "properties" {
			for k := range object {
				found[k] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// What is of the right type may still say nothing that makes sense.
func TestTheSchemaKnowsWhatMakesSense(t *testing.T) {
	tests := map[string]any{
		".schema":                                "tracewire/2",
		".target.addr":                           "target.example",
		".source.addr":                           "192.0.2.256",
		".source.mac":                            "02-00-00-00-00-01",
		".source.next_hop":                       "",
		".protocol":                              "sctp",
		".tool":                                  "",
		".options.first_ttl":                     json.Number("0"),
		".options.max_ttl":                       json.Number("256"),
		".options.queries":                       json.Number("0"),
		".options.wait_ns":                       json.Number("-1"),
		".options.wait_here":                     json.Number("-0.5"),
		".options.src_port":                      json.Number("65536"),
		".options.identifier":                    json.Number("65536"),
		".options.id":                            json.Number("65536"),
		".options.tos":                           json.Number("256"),
		".options.seed":                          json.Number("9007199254740992"),
		".clock.tx":                              "hardware",
		".clock.rx":                              "user",
		".started":                               "2026-01-02T03:04:05Z",
		".ended":                                 "2026-01-02T03:04:05.000000006+01:00",
		".counters.sent":                         json.Number("-1"),
		".hops.0.ttl":                            json.Number("0"),
		".hops.0.probes.0.ttl":                   json.Number("256"),
		".hops.0.probes.0.round":                 json.Number("0"),
		".hops.0.probes.0.number":                json.Number("-1"),
		".hops.0.probes.0.identifier":            json.Number("65536"),
		".hops.0.probes.0.sequence":              json.Number("4294967296"),
		".hops.0.probes.0.sent":                  "yesterday",
		".hops.0.probes.0.sent_clock":            "hardware",
		".hops.0.probes.0.status":                "outstanding",
		".hops.0.probes.0.reply.from":            "gateway.example",
		".hops.0.probes.0.reply.received":        "2026-01-02 03:04:05.000053006Z",
		".hops.0.probes.0.reply.kind":            "timeout",
		".hops.0.probes.0.reply.hop":             json.Number("0"),
		".hops.0.probes.0.reply.hop_basis":       "guess",
		".hops.0.probes.0.reply.icmp_type":       json.Number("256"),
		".hops.0.probes.0.reply.icmp_code":       json.Number("-1"),
		".hops.0.probes.0.reply.mtu":             json.Number("4294967296"),
		".hops.0.probes.0.reply.ttl":             json.Number("256"),
		".hops.0.probes.0.reply.matched_by":      "luck",
		".hops.0.probes.0.reply.quoted.ttl":      json.Number("256"),
		".hops.0.probes.0.reply.quoted.tos":      json.Number("256"),
		".hops.0.probes.0.reply.quoted.id":       json.Number("65536"),
		".hops.0.probes.0.reply.quoted.length":   json.Number("65536"),
		".hops.0.probes.0.reply.quoted.checksum": json.Number("65536"),
	}
	s := schema(t)
	for name, wrong := range tests {
		t.Run(name, func(t *testing.T) {
			root := decoded(t, rendered(t, "json", names, traces()["all"]))
			all := places("", root, nil)
			i := slices.IndexFunc(all, func(p place) bool { return p.name == name })
			if i < 0 {
				t.Fatal("there is no such value")
			}
			all[i].set(wrong)
			if s.Validate(root) == nil {
				t.Errorf("%v is accepted", wrong)
			}
		})
	}
}

// A protocol that probes can have is one that the schema names.
func TestTheSchemaNamesEveryProtocol(t *testing.T) {
	for _, protocol := range craft.Protocols() {
		if n := strings.Count(report.Schema, fmt.Sprintf("%q", protocol.Name)); n < 3 {
			t.Errorf("%s is named %d times, not in each kind of document", protocol.Name, n)
		}
		if name := report.ProtocolName(protocol.Number); name != protocol.Name {
			t.Errorf("%s is called %q", protocol.Name, name)
		}
	}
}
