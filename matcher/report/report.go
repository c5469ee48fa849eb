// Package report writes and reads what a trace found as JSON: the documents of
// 'tracewire --format json', and the lines of '--format jsonl'.
//
// A Trace is what is known of a trace in Go: a path.Path, and what is concluded from
// it. A Document is the same as JSON has it, field by field; the Event types are the
// lines of jsonl. Schema describes both for other programs.
//
//	Path, findings … = Trace ── New ──► Document ── Marshal ──► bytes
//	                   Trace ◄─ Trace ─ Document ◄─ Unmarshal ─ bytes
//
// Both ways keep everything that a document has: a Trace that was read from a
// document gives the same document, byte for byte. What a document does not have is
// listed at Document.Trace.
//
// The rules of the format:
//
//   - A line is one document or one event. What is not printable is escaped.
//   - Every field is always written. In the types below, a nil pointer is null: the
//     value is not known, or there is none. A reader takes a field that is absent for
//     null, and ignores fields it does not know.
//   - Fields and values may be added to tracewire/1; nothing is taken away, and nothing
//     changes its meaning, without another version.
//
// Reading is safe on untrusted input: it does not panic, its memory is proportional
// to the input, and what it accepts satisfies Schema. Names in documents come from
// the network: escape them before you print them.
package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/netip"

	_ "embed"

	"github.com/tracewire/tracewire/matcher/findings"
	"github.com/tracewire/tracewire/matcher/path"
)

// Version is the schema that documents and the first event of a trace name.
const Version = "tracewire/1"

// Schema is the JSON Schema (draft 2020-12) of documents, events and list entries.
//
//go:embed tracewire-1.schema.json
var Schema string

// Errors of reading.
var (
	// ErrVersion means that a document names another schema than Version, or none.
	ErrVersion = errors.New("report: unknown schema version")

	// ErrMalformed means that the input is not JSON, lacks what every document has,
	// or has a value that Schema excludes.
	ErrMalformed = errors.New("report: malformed document")

	// ErrUnknownValue means that a field has a name, as of a kind of finding, that
	// this version of the package does not know. A newer one may have written it.
	// Document still has it.
	ErrUnknownValue = errors.New("report: unknown value")
)

// Trace is a trace, and what is concluded from it. A Document has all of it.
type Trace struct {
	Path *path.Path
	Details
}

// Details are what a document has besides the Path. The zero value is none.
type Details struct {
	// Findings are those that findings.Of returns for the Path. They cannot be
	// computed from a Path that was read from a document, which lacks some headers.
	Findings []findings.Finding

	// MTUs are the MTUs along the path, as tracewire.MTUs returns them; nil if they
	// were not sought, or not found.
	MTUs []MTU

	// Error says why the host could not be traced; "" if it was. The Path then has
	// what is known of the trace that was wanted, and no probes.
	Error string

	// Names are the names of responders, as far as they are known.
	Names map[netip.Addr]string
}

// Marshal returns the document of a trace: a line, with its line feed.
func Marshal(t *Trace) ([]byte, error) { return New(t).Marshal() }

// Write writes the document of a trace, with one call of Write.
func Write(w io.Writer, t *Trace) error {
	line, err := Marshal(t)
	if err != nil {
		return err
	}
	_, err = w.Write(line)
	return err
}

// Unmarshal reads a document. An error is ErrVersion, ErrMalformed or ErrUnknownValue, by
// errors.Is. The Trace holds no memory of the input.
func Unmarshal(document []byte) (*Trace, error) {
	d, err := UnmarshalDocument(document)
	if err != nil {
		return nil, err
	}
	return d.Trace()
}

// Read reads documents until the end of r, one after the other: what 'tracewire
// --format json' writes of any number of traces. It ends with the first error, which
// is one of those of Unmarshal or the one of r.
func Read(r io.Reader) iter.Seq2[*Trace, error] {
	return func(yield func(*Trace, error) bool) {
		for raw, err := range values(r) {
			var t *Trace
			if err == nil {
				t, err = Unmarshal(raw)
			}
			if !yield(t, err) || err != nil {
				return
			}
		}
	}
}

// values are the JSON values in r. What one call yields is valid until the next.
func values(r io.Reader) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		in := json.NewDecoder(r)
		for {
			var raw json.RawMessage
			err := in.Decode(&raw)
			if err == io.EOF || !yield(raw, readError(err)) || err != nil {
				return
			}
		}
	}
}

// readError is what reading JSON met: ErrMalformed, unless the input itself failed.
func readError(err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return err
}

// UnmarshalDocument reads a document as it is. It checks that the input is JSON of the
// types that Document has, and its schema; Document.Trace checks the values.
func UnmarshalDocument(document []byte) (*Document, error) {
	if err := checkVersion(document, Version); err != nil {
		return nil, err
	}
	d := new(Document)
	if err := unmarshal(document, d); err != nil {
		return nil, err
	}
	return d, nil
}

// checkVersion looks at the schema alone: another version may have other types.
func checkVersion(document []byte, want string) error {
	var head struct {
		Schema *string `json:"schema"`
	}
	if !bytes.HasPrefix(bytes.TrimLeft(document, " \t\r\n"), []byte("{")) {
		return fmt.Errorf("%w: not a JSON object", ErrMalformed)
	}
	if err := unmarshal(document, &head); err != nil {
		return err
	}
	if head.Schema == nil {
		return fmt.Errorf("%w: no schema is named, want %s", ErrVersion, want)
	}
	if *head.Schema != want {
		return fmt.Errorf("%w: %.40q, want %s", ErrVersion, *head.Schema, want)
	}
	return nil
}

// unmarshal is json.Unmarshal, whose errors are ErrMalformed.
func unmarshal(b []byte, to any) error {
	if err := json.Unmarshal(b, to); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}
