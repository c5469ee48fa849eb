package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tracewire/tracewire/cmd/internal/graph"
	"github.com/tracewire/tracewire/cmd/internal/outfile"
)

// graphFormats are what a graph can be written as.
var graphFormats = []string{"dot", "svg"}

func graphCommand(stdout io.Writer) *cobra.Command {
	var format, to string
	c := &cobra.Command{
		Use:   "graph TOPOLOGY",
		Short: "Draw a topology",
		Long: "graph draws a topology, with its delays and what is peculiar about its nodes: as\n" +
			"SVG for a browser, or as DOT for graphviz, which is needed for neither.",
		Example:           "  tracelab graph demo -o demo.svg\n  tracelab graph demo --format dot",
		Args:              exactlyOne("which topology?"),
		ValidArgsFunction: completeTopologies,
		RunE: func(c *cobra.Command, args []string) error {
			if format == "" {
				format = formatOf(to)
			}
			if format == "" {
				return usagef("%s ends with neither .svg nor .dot: give --format too", to)
			}
			if !slices.Contains(graphFormats, format) {
				return usagef("--format %q is none of %s", format, strings.Join(graphFormats, ", "))
			}
			t, err := loadOne(args[0])
			if err != nil {
				return err
			}
			drawn := graph.FromTopology(t)
			text := drawn.DOT()
			if format == "svg" {
				text = drawn.SVG()
			}
			if to != "" {
				return writeGraph(c.Context(), to, text, args[0])
			}
			_, err = io.WriteString(stdout, text)
			return err
		},
	}
	c.Flags().StringVar(&format, "format", "", "write `dot|svg` (default what FILE ends with, else dot)")
	c.Flags().StringVarP(&to, "output", "o", "", "write to `FILE`, not standard output")
	_ = c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(graphFormats, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// writeGraph writes a drawing to a file, which the topology is not in.
func writeGraph(ctx context.Context, name, text, of string) error {
	var others []os.FileInfo
	if info, err := os.Stat(of); err == nil {
		others = append(others, info)
	}
	switch err := outfile.WriteFile(ctx, name, []byte(text), others...); {
	case errors.Is(err, outfile.ErrShared):
		return usagef("%s is the topology: write to another file", name)
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// formatOf is the format that a file's name asks for, or "" if it asks for
// another.
func formatOf(file string) string {
	switch strings.ToLower(filepath.Ext(file)) {
	case ".svg":
		return "svg"
	case ".dot", ".gv", "":
		return "dot"
	}
	return ""
}
