// Command skipped lists the tests and scripts that a run of 'go test -json' has
// skipped, grouped by the reason, for people to read.
//
//	skipped FILE
//
// FILE holds what 'go test -json' wrote; it may also be named by the environment
// variable GOTESTSUM_JSONFILE, which gotestsum sets for its --post-run-command.
package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "skipped:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout io.Writer) error {
	name := os.Getenv("GOTESTSUM_JSONFILE")
	if len(args) > 0 {
		name = args[0]
	}
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	all, err := read(file)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return list(stdout, all)
}

// skip is a test or a script that was skipped.
type skip struct {
	pkg, test string
	reason    string
}

// event is what 'go test -json' writes (go doc test2json).
type event struct {
	Action, Package, Test, Output string
}

// read returns what was skipped, in the order of the run.
func read(r io.Reader) (all []skip, err error) {
	output := map[[2]string][]string{}
	decoder := json.NewDecoder(r)
	for {
		var e event
		switch err := decoder.Decode(&e); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, err
		}
		key := [2]string{e.Package, e.Test}
		switch {
		case e.Test == "": // of a package, it only says that there are no tests
		case e.Action == "output":
			output[key] = append(output[key], e.Output)
		case e.Action == "skip":
			all = append(all, skip{e.Package, e.Test, reason(output[key])})
			delete(output, key)
		case e.Action == "pass", e.Action == "fail":
			delete(output, key)
		}
	}
}

var (
	// scriptSkips is the line of a script that skipped it.
	scriptSkips = regexp.MustCompile(`^\s*> (?:\[[^\]]*\] *)*skip(?: '(.*)')?\s*$`)
	// logged is the beginning of what a test logs.
	logged = regexp.MustCompile(`^\s+\S+\.go:\d+: `)
	// framing is what the testing package writes around that.
	framing = regexp.MustCompile(`^\s*(?:=== |--- )`)
)

// reason is why a test was skipped, by its output: the last that it logged, or what
// its script says.
func reason(output []string) string {
	var script, last string
	for _, line := range output {
		switch m := scriptSkips.FindStringSubmatch(line); {
		case m != nil:
			script = cmp.Or(strings.ReplaceAll(m[1], "''", "'"), "the script does not say why")
		case framing.MatchString(line):
		case logged.MatchString(line):
			last = strings.TrimSpace(logged.ReplaceAllString(line, ""))
		default:
			last = strings.TrimSpace(last + " " + strings.TrimSpace(line))
		}
	}
	return cmp.Or(script, last, "no reason is given")
}

// group is what was skipped for one reason.
type group struct {
	reason string
	skips  []skip
}

// grouped returns the groups, the largest first. What a reason says behind a
// semicolon is what to do about it; the longest such text is the group's.
func grouped(all []skip) (groups []*group) {
	known := map[string]*group{}
	for _, s := range all {
		key, _, _ := strings.Cut(s.reason, "; ")
		g, ok := known[key]
		if !ok {
			g = &group{}
			known[key] = g
			groups = append(groups, g)
		}
		g.skips = append(g.skips, s)
		if len(s.reason) > len(g.reason) {
			g.reason = s.reason
		}
	}
	slices.SortStableFunc(groups, func(a, b *group) int {
		return cmp.Or(cmp.Compare(len(b.skips), len(a.skips)), cmp.Compare(a.reason, b.reason))
	})
	return groups
}

// list writes what was skipped.
func list(w io.Writer, all []skip) error {
	var b strings.Builder
	switch len(all) {
	case 0:
		b.WriteString("\nSkipped: nothing.\n")
	case 1:
		b.WriteString("\nSkipped: 1 test or script.\n")
	default:
		fmt.Fprintf(&b, "\nSkipped: %d tests and scripts.\n", len(all))
	}
	prefix := commonPrefix(all)
	for _, g := range grouped(all) {
		fmt.Fprintf(&b, "\n  %s:\n", g.reason)
		for _, s := range g.skips {
			fmt.Fprintf(&b, "    %-30s %s\n", cmp.Or(strings.TrimPrefix(strings.TrimPrefix(s.pkg, prefix), "/"), "."), s.test)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// commonPrefix is the module's path, as far as the packages show it: what they
// begin with, up to the third slash.
func commonPrefix(all []skip) string {
	if len(all) == 0 {
		return ""
	}
	parts := strings.SplitN(all[0].pkg, "/", 4)
	return strings.Join(parts[:min(len(parts), 3)], "/")
}
