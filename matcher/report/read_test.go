package report_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
	"github.com/tracewire/tracewire/matcher/report"
)

// golden is a document with extensions and findings.
func golden(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile("../../testdata/golden/tcpdump_mpls_traceroute.json")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// One value is wrong, and errors.Is can tell how.
func TestDocumentsThatAreRefused(t *testing.T) {
	good := golden(t)
	tests := map[string]struct {
		old, new string
		want     error
	}{
		"another version":           {`"tracewire/1"`, `"tracewire/2"`, report.ErrVersion},
		"a diff":                    {`"tracewire/1"`, `"tracewire-diff/1"`, report.ErrVersion},
		"no version":                {`"schema"`, `"other"`, report.ErrVersion},
		"a version that is null":    {`"tracewire/1"`, `null`, report.ErrVersion},
		"a version that is 1":       {`"tracewire/1"`, `1`, report.ErrMalformed},
		"nothing":                   {good, ``, report.ErrMalformed},
		"null":                      {good, `null`, report.ErrMalformed},
		"a list":                    {good, `[` + good + `]`, report.ErrMalformed},
		"half":                      {good, good[:len(good)/2], report.ErrMalformed},
		"two":                       {good, good + good, report.ErrMalformed},
		"no target":                 {`"target"`, `"other"`, report.ErrMalformed},
		"no hops":                   {`"hops"`, `"other"`, report.ErrMalformed},
		"no clock":                  {`"clock"`, `"other"`, report.ErrMalformed},
		"another protocol":          {`"protocol":"udp"`, `"protocol":"sctp"`, report.ErrUnknownValue},
		"another kind":              {`"kind":"time-exceeded"`, `"kind":"time-flies"`, report.ErrUnknownValue},
		"another status":            {`"status":"reply"`, `"status":"lost"`, report.ErrUnknownValue},
		"another finding":           {`"kind":"mpls"`, `"kind":"magic"`, report.ErrUnknownValue},
		"another confidence":        {`"confidence":"`, `"confidence":"very `, report.ErrUnknownValue},
		"a status without a reply":  {`"status":"reply"`, `"status":"timeout"`, report.ErrMalformed},
		"a TTL of 256":              {`"ttl":1,"round"`, `"ttl":256,"round"`, report.ErrMalformed},
		"a TTL of 0":                {`"ttl":1,"round"`, `"ttl":0,"round"`, report.ErrMalformed},
		"a TTL that is null":        {`"ttl":1,"round"`, `"ttl":null,"round"`, report.ErrMalformed},
		"a number that comes twice": {`"number":1,`, `"number":0,`, report.ErrMalformed},
		"a number that is missing":  {`"number":0,`, `"number":99999,`, report.ErrMalformed},
		"a negative number":         {`"number":0,`, `"number":-1,`, report.ErrMalformed},
		"a time in another zone":    {`Z","sent_clock"`, `+00:00","sent_clock"`, report.ErrMalformed},
		"a time in milliseconds":    {`000Z","sent_clock"`, `Z","sent_clock"`, report.ErrMalformed},
		"an address with a zone":    {`"source":{"addr":"`, `"source":{"addr":"fe80::1%eth0","x":"`, report.ErrMalformed},
		"an address that is none":   {`"source":{"addr":"`, `"source":{"addr":"","x":"`, report.ErrMalformed},
		"a MAC address in capitals": {`"mac":null`, `"mac":"AA:BB:CC:DD:EE:FF"`, report.ErrMalformed},
		"a quote that is missing":   {`"quoted":{`, `"other":{`, report.ErrMalformed},
		"a negative counter":        {`"foreign":0`, `"foreign":-1`, report.ErrMalformed},
		"a label of 21 bits":        {`"labels":[{"label":`, `"labels":[{"label":1048576,"x":`, report.ErrMalformed},
		"evidence without a probe":  {`"evidence":[`, `"evidence":[9,`, report.ErrMalformed},
		"no labels":                 {`"labels":[{`, `"labels":[],"x":[{`, report.ErrMalformed},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(good, test.old) {
				t.Fatalf("there is no %s", test.old)
			}
			trace, err := report.Unmarshal([]byte(strings.Replace(good, test.old, test.new, 1)))
			if !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
			if (trace == nil) != (err != nil) {
				t.Errorf("trace %v, error %v", trace, err)
			}
			for _, other := range []error{report.ErrVersion, report.ErrMalformed, report.ErrUnknownValue} {
				if other != test.want && errors.Is(err, other) {
					t.Errorf("%v is %v too", err, other)
				}
			}
		})
	}
}

// A later version may add fields, and documents of an earlier one lack some.
func TestFieldsThatAreAddedOrAbsent(t *testing.T) {
	good := golden(t)
	changed := strings.NewReplacer(
		`"name":null,`, `"added":{"x":[1]},`, `"extra_replies":[]`, `"also_added":1`, `"gaps":[],`, ``, `"path_mtu":null,`, ``,
	).Replace(good)
	if changed == good {
		t.Fatal("nothing changed")
	}
	trace, err := report.Unmarshal([]byte(changed))
	if err != nil {
		t.Fatal(err)
	}
	got, err := report.Marshal(trace)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(good, string(got)); d != "" {
		t.Errorf("-good +changed\n%s", d)
	}
}

// Every name that the schema lists is read, and written again.
func TestEveryNameInTheSchemaIsKnown(t *testing.T) {
	var s struct {
		Defs map[string]json.RawMessage `json:"$defs"`
	}
	if err := json.Unmarshal([]byte(report.Schema), &s); err != nil {
		t.Fatal(err)
	}
	enum := func(def string, field ...string) (names []string) {
		var v any
		if err := json.Unmarshal(s.Defs[def], &v); err != nil {
			t.Fatal(err)
		}
		for _, key := range append(field, "enum") {
			o, ok := v.(map[string]any)
			if !ok || o[key] == nil {
				t.Fatalf("%s has no %v", def, field)
			}
			v = o[key]
		}
		for _, name := range v.([]any) {
			if name != nil {
				names = append(names, name.(string))
			}
		}
		return names
	}
	good := golden(t)
	tests := map[string]struct {
		names []string
		old   string // what has the name, which is %
	}{
		"hop_basis":  {enum("reply", "properties", "hop_basis"), `"hop_basis":"%"`},
		"matched_by": {enum("reply", "properties", "matched_by"), `"matched_by":"%"`},
		"finding":    {enum("finding", "properties", "kind"), `"findings":[{"kind":"%"`},
		"confidence": {enum("finding", "properties", "confidence"), `"confidence":"%"`},
	}
	for name, test := range tests {
		for _, n := range test.names {
			before, after, _ := strings.Cut(test.old, "%")
			at := strings.Index(good, before)
			if at < 0 {
				t.Fatalf("%s: there is no %s", name, before)
			}
			at += len(before)
			end := at + strings.Index(good[at:], after)
			changed := good[:at] + n + good[end:]
			trace, err := report.Unmarshal([]byte(changed))
			if err != nil {
				t.Errorf("%s %s: %v", name, n, err)
				continue
			}
			if got, err := report.Marshal(trace); err != nil || string(got) != changed {
				t.Errorf("%s %s becomes %s: %v", name, n, got, err)
			}
		}
	}
	for _, kind := range enum("reply", "properties", "kind") {
		checkKind(t, kind)
	}
	for _, cause := range enum("gaps", "items", "properties", "cause") {
		checkCause(t, good, cause)
	}
}

// checkKind reads and writes a trace with a reply of a kind.
func checkKind(t *testing.T, kind string) {
	t.Helper()
	k := matcher.TimeExceeded
	for k < matcher.RST && k.String() != kind {
		k++
	}
	p := small()
	p.Probes[0].Reply.Kind = k
	if k >= matcher.UDP {
		p.Probes[0].Reply.Quoted, p.Probes[0].Reply.ICMPType = matcher.Quote{}, 0
	}
	first, err := report.Marshal(&report.Trace{Path: p})
	if err != nil || !strings.Contains(string(first), `"kind":"`+kind+`"`) {
		t.Fatalf("%s: %v", first, err)
	}
	trace, err := report.Unmarshal(first)
	if err != nil {
		t.Fatalf("%s: %v", kind, err)
	}
	if got := trace.Path.Probes[0].Reply.Kind; got != k {
		t.Errorf("%v, want %v", got, k)
	}
}

func checkCause(t *testing.T, good, cause string) {
	t.Helper()
	const gap = `{"from":"2026-01-02T03:04:05.000000000Z","to":"2026-01-02T03:04:06.000000000Z","cause":"%","frames":3,"probes":[]}`
	changed := strings.Replace(good, `"gaps":[]`, `"gaps":[`+strings.Replace(gap, "%", cause, 1)+`]`, 1)
	trace, err := report.Unmarshal([]byte(changed))
	if err != nil {
		t.Fatalf("%s: %v", cause, err)
	}
	if got, err := report.Marshal(trace); err != nil || string(got) != changed {
		t.Errorf("%s becomes %s: %v", cause, got, err)
	}
	want := netip.Addr{}
	if cause == "address-removed" {
		want = trace.Path.Source.Addr
	}
	if got := trace.Path.Gaps[0].Addr; got != want {
		t.Errorf("%s: the address is %v, want %v", cause, got, want)
	}
}

// A window scale has four bits, of which 15 is not allowed (RFC 7323, section 2.3).
func TestWindowScales(t *testing.T) {
	for scale := range 16 {
		p := small()
		p.Protocol = layers.IPProtocolTCP
		p.Parameters.TCP = craft.TCP{Flags: craft.FlagSYN, Scaling: true, Scale: uint8(scale)}
		line, err := report.Marshal(&report.Trace{Path: p})
		if err != nil {
			t.Fatal(err)
		}
		trace, err := report.Unmarshal(line)
		if scale == 15 {
			if !errors.Is(err, report.ErrMalformed) {
				t.Errorf("15: %v", err)
			}
			continue
		}
		if err != nil || trace.Path.Parameters.TCP != p.Parameters.TCP {
			t.Errorf("%d: %v", scale, err)
		}
	}
}

// small is a trace of one probe that a router answered.
func small() *path.Path {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	return &path.Path{
		Target:   path.Target{Host: "target.example", Addr: netip.MustParseAddr("198.51.100.7")},
		Source:   path.Source{Addr: netip.MustParseAddr("192.0.2.1")},
		Protocol: layers.IPProtocolUDP, Started: at, Ended: at.Add(time.Second),
		Parameters: path.Parameters{FirstTTL: 1, MaxTTL: 1},
		Probes: []path.Probe{{TTL: 1, Round: 1, Status: path.Replied, Sent: at, Reply: &path.Reply{
			Reply: matcher.Reply{
				From: netip.MustParseAddr("10.0.1.1"), Received: at.Add(time.Millisecond), Kind: matcher.TimeExceeded, ICMPType: 11,
				MatchedBy: matcher.ByCookie, TTL: 64, Quoted: matcher.Quote{TTL: 1, Length: 60},
			},
			RTT: time.Millisecond, HasRTT: true, Hop: 1, Basis: path.BySentTTL,
		}}},
	}
}

// Names that routers state need not be UTF-8. They come back byte for byte, except in
// malformed objects.
func TestNamesThatAreNotUTF8(t *testing.T) {
	const name = "et-0/0/3 \xff\xfe\x00\u202e\ufffd\""
	p := small()
	p.Probes[0].Reply.Extensions = &matcher.Extensions{Offset: 128, Objects: []matcher.ExtensionObject{
		{Class: 2, Type: 2, Length: 40, Interface: &matcher.InterfaceInfo{Name: "plain \""}},
		{Class: 2, Type: 2, Length: 40, Interface: &matcher.InterfaceInfo{Name: name}, Malformed: true, Payload: []byte{1, 2}},
		{Class: 2, Type: 2, Length: 40, Interface: &matcher.InterfaceInfo{Name: name}},
		{Class: 1, Type: 1, Length: 8, Labels: []matcher.Label{{Label: 7}}},
		{Class: 5, Type: 2, Length: 40, Node: &matcher.NodeInfo{Name: "\xff"}},
	}}
	first, err := report.Marshal(&report.Trace{Path: p})
	if err != nil {
		t.Fatal(err)
	}
	trace, err := report.Unmarshal(first)
	if err != nil {
		t.Fatal(err)
	}
	objects := trace.Path.Probes[0].Reply.Extensions.Objects
	for i, got := range []string{objects[0].Interface.Name, objects[2].Interface.Name, objects[4].Node.Name} {
		if want := []string{"plain \"", name, "\xff"}[i]; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	second, err := report.Marshal(trace)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(first), string(second)); d != "" {
		t.Errorf("-first +second\n%s", d)
	}
}

// The text of extensions is not trusted with names: it must agree with the name field.
func TestNamesThatTheTextContradicts(t *testing.T) {
	p := small()
	p.Probes[0].Reply.Extensions = &matcher.Extensions{Offset: 128, Objects: []matcher.ExtensionObject{
		{Class: 5, Type: 2, Length: 40, Node: &matcher.NodeInfo{Name: "a\xff"}},
	}}
	line, err := report.Marshal(&report.Trace{Path: p})
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Replace(line, []byte(`a\\xff`), []byte(`b\\xff`), 1)
	if bytes.Equal(line, changed) {
		t.Fatalf("nothing changed: %s", line)
	}
	trace, err := report.Unmarshal(changed)
	if err != nil {
		t.Fatal(err)
	}
	if got := trace.Path.Probes[0].Reply.Extensions.Objects[0].Node.Name; got != "a\ufffd" {
		t.Errorf("%q", got)
	}
}

// An unknown kind of finding does not hide the rest from those who read the Document.
func TestDocumentsWithNamesOfLaterVersions(t *testing.T) {
	newer := strings.Replace(golden(t), `"kind":"mpls"`, `"kind":"magic"`, 1)
	d, err := report.UnmarshalDocument([]byte(newer))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(d.Findings, func(f report.Finding) bool { return f.Kind == "magic" }) {
		t.Error(d.Findings)
	}
	got, err := d.Marshal()
	if err != nil || string(got) != newer {
		t.Errorf("%s: %v", got, err)
	}
}

func TestEventsThatAreRefused(t *testing.T) {
	tests := map[string]struct {
		line string
		want error
	}{
		"another kind":    {`{"event":"party"}`, report.ErrUnknownValue},
		"no kind":         {golden(t), report.ErrMalformed},
		"null":            {`null`, report.ErrMalformed},
		"another version": {`{"event":"start","schema":"tracewire/2"}`, report.ErrVersion},
		"a wrong type":    {`{"event":"timeout","number":"one"}`, report.ErrMalformed},
		"no JSON":         {`{"event":`, report.ErrMalformed},
	}
	for name, test := range tests {
		if e, err := report.UnmarshalEvent([]byte(test.line)); !errors.Is(err, test.want) || e != nil {
			t.Errorf("%s: %v, %v, want %v", name, e, err, test.want)
		}
	}
}

// Read yields all documents before the first that is broken, and nothing after it.
func TestReadStopsAtTheFirstError(t *testing.T) {
	good := golden(t)
	var got []error
	for _, err := range report.Read(strings.NewReader(good + good + `{"schema":"tracewire/9"}` + good)) {
		got = append(got, err)
	}
	if len(got) != 3 || got[0] != nil || got[1] != nil || !errors.Is(got[2], report.ErrVersion) {
		t.Error(got)
	}
	for _, cut := range []string{good[:len(good)-9], good + "{"} {
		var last error
		for _, last = range report.Read(strings.NewReader(cut)) {
			continue
		}
		if !errors.Is(last, report.ErrMalformed) {
			t.Error(last)
		}
	}
}

func TestDiffsAreRead(t *testing.T) {
	a, b := small(), small()
	b.Probes[0].Reply.From = netip.MustParseAddr("10.9.9.9")
	d := report.NewDiff(report.NewSide("a", a), report.NewSide("b", b), path.Diff(a, b, nil))
	line, err := d.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	back, err := report.UnmarshalDiff(line)
	if err != nil {
		t.Fatal(err)
	}
	again, err := back.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(line), string(again)); d != "" || len(back.Changes) == 0 {
		t.Errorf("-first +second\n%s", d)
	}
	if _, err := report.UnmarshalDiff([]byte(golden(t))); !errors.Is(err, report.ErrVersion) {
		t.Error(err)
	}
}

// untraced are hosts that could not be traced: nothing is known of one, little of
// another, and all that was wanted of a third.
func untraced() (all []*report.Trace) {
	unknown := small()
	unknown.Target.Addr, unknown.Source, unknown.Protocol = netip.Addr{}, path.Source{}, 0
	unknown.Parameters = path.Parameters{}
	noRoute := small()
	noRoute.Source, noRoute.Protocol, noRoute.Parameters = path.Source{}, 0, path.Parameters{}
	for _, p := range []*path.Path{unknown, noRoute, small()} {
		p.Probes = nil
		all = append(all, &report.Trace{Path: p, Details: report.Details{Error: "why"}})
	}
	return all
}

func TestRoundTripOfHostsThatWereNotTraced(t *testing.T) {
	s := schema(t, report.Schema)
	for _, trace := range untraced() {
		first, err := report.Marshal(trace)
		if err != nil {
			t.Fatal(err)
		}
		if !checkAccepted(t, s, first) {
			t.Errorf("it is not read: %s", first)
		}
		back, err := report.Unmarshal(first)
		if err != nil {
			t.Fatal(err)
		}
		if back.Error != "why" {
			t.Errorf("the error is %q", back.Error)
		}
		if d := cmp.Diff(trace.Path, back.Path, comparing...); d != "" {
			t.Errorf("-written +read\n%s", d)
		}
		withoutError := strings.Replace(string(first), `"error":"why",`, ``, 1)
		if _, err := report.Unmarshal([]byte(withoutError)); (err == nil) != (back.Path.Protocol != 0) {
			t.Errorf("without its error: %v", err)
		}
	}
}
