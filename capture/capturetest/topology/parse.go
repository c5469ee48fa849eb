package topology

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"github.com/pelletier/go-toml/v2"
)

// ReadFile reads and checks the topology in a file, as Parse does.
func ReadFile(name string) (*Topology, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("topology: %w", err)
	}
	return Parse(name, data)
}

// byteOrderMark is what some editors begin a file with.
var byteOrderMark = []byte("\ufeff")

// Parse reads a topology written in TOML and checks it. Name is what errors
// call the file. Defaults are not filled in: see Topology.WithDefaults.
//
// The error joins all faults found, a line for each, in the order of the file:
//
//	lab.toml:12:3: router "r3": answer.delay -1ms is negative
//
// A file that is not TOML has only its first fault reported.
func Parse(name string, data []byte) (*Topology, error) {
	data = bytes.TrimPrefix(data, byteOrderMark)
	tree := map[string]any{}
	if err := toml.Unmarshal(data, &tree); err != nil {
		return nil, syntaxError(name, err)
	}
	root := placesOf(data)

	var found faults
	var t Topology
	d := decoder{report: found.add}
	d.table(root, "", tree, reflect.ValueOf(&t).Elem())
	if t.Name == "" && !root.key("name").faulty {
		found.add(root.key("name"), "the topology has no name")
	}
	c := newChecker(&t, root, &found)
	c.check()
	if len(found) > 0 {
		return nil, found.in(name, linesOf(data))
	}
	return &t, nil
}

func syntaxError(name string, err error) error {
	reason := oneLine(strings.TrimPrefix(err.Error(), "toml: "))
	if at, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, column := at.Position()
		return fmt.Errorf("%s:%d:%d: %s", name, line, column, reason)
	}
	return fmt.Errorf("%s: %s", name, reason)
}

// Validate checks a topology that was built in Go. The error joins all faults
// found, a line for each.
func (t *Topology) Validate() error {
	var found faults
	c := newChecker(t, nil, &found)
	c.check()
	errs := make([]error, len(found))
	for i, f := range found {
		errs[i] = errors.New("topology: " + oneLine(f.reason))
	}
	return errors.Join(errs...)
}

// faults are what is wrong with a topology.
type faults []fault

type fault struct {
	at     *place
	reason string
}

func (f *faults) add(at *place, reason string) { *f = append(*f, fault{at, reason}) }

// in is the faults as those of a file, in its order.
func (f faults) in(file string, l lines) error {
	slices.SortStableFunc(f, func(a, b fault) int { return cmp.Compare(a.at.offset, b.at.offset) })
	errs := make([]error, len(f))
	for i, f := range f {
		line, column := l.position(f.at.offset)
		errs[i] = fmt.Errorf("%s:%d:%d: %s", file, line, column, oneLine(f.reason))
	}
	return errors.Join(errs...)
}

// oneLine replaces what a name in the reason may hold that would not print in
// its line.
func oneLine(reason string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, reason)
}
