package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tracewire/tracewire/capture/capturetest/topology"
	"github.com/tracewire/tracewire/testdata/topologies"
)

// load returns the topology that a word on the command line means: a file, or
// else a shipped one by its name. Errors in it are those of topology.Parse.
func load(word string) (*topology.Topology, error) {
	name, data, err := source(word)
	if err != nil {
		return nil, err
	}
	return topology.Parse(name, data)
}

// source returns the text of a topology, and what to call it in errors.
func source(word string) (name string, data []byte, err error) {
	if isShipped(word) && !isFile(word) {
		data, err = topologies.Read(word)
		return word + ".toml", data, err
	}
	data, err = os.ReadFile(word)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, unknownTopology(word)
	}
	return word, data, err
}

func isShipped(name string) bool { return slices.Contains(topologies.Names(), name) }

// isFile tells whether there is such a file: whoever has one of a shipped
// topology's name wrote it, or began it with 'tracelab show'. A directory is
// more likely to be called so by chance.
func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && !info.IsDir()
}

// loadShipped returns a topology that comes with tracelab.
func loadShipped(name string) (*topology.Topology, error) {
	data, err := topologies.Read(name)
	if err != nil {
		return nil, err
	}
	return topology.Parse(name+".toml", data)
}

// unknownTopology is fs.ErrNotExist, of what may have been meant as a name.
type unknownTopology string

func (w unknownTopology) Error() string {
	return fmt.Sprintf("%q is neither a topology nor a file", string(w))
}

func (unknownTopology) Is(target error) bool { return target == fs.ErrNotExist }

// loadOne is load for commands that do something with a topology rather than
// check it: of several faults it tells the first.
func loadOne(word string) (*topology.Topology, error) {
	t, err := load(word)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return t, err
	}
	first, more, several := strings.Cut(err.Error(), "\n")
	switch {
	case several:
		return nil, hinted{errors.New(first), fmt.Sprintf("and %d more: see 'tracelab check %s'", 1+strings.Count(more, "\n"), word)}
	case isShipped(word):
		return nil, hinted{err, "the file hides the topology of that name that comes with tracelab"}
	}
	return nil, err
}

// completeTopologies completes the names of shipped topologies, and of files.
func completeTopologies(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return shipped(), cobra.ShellCompDirectiveDefault
}

// shipped are the topologies' names, with their descriptions.
func shipped() []cobra.Completion {
	var all []cobra.Completion
	for _, name := range topologies.Names() {
		description := ""
		if t, err := loadShipped(name); err == nil {
			description = t.Description
		}
		all = append(all, cobra.CompletionWithDesc(name, description))
	}
	return all
}
