// Package help is the help command of the programs, and mends that for completion:
// cobra's own report no error for a command, or a shell, that does not exist.
package help

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// Command returns the help command of a program. refuse makes an error of what is
// wrong where there is no such command.
func Command(program *cobra.Command, refuse func(wrong string) error) *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Help about any command",
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return names(program), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			about, rest, err := program.Find(args)
			if err != nil || len(rest) > 0 {
				return refuse(fmt.Sprintf("there is no help on %q: '%s help' lists the commands", strings.Join(args, " "), program.Name()))
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}

// CheckCompletion adds the completion command to a program, and has it refuse a shell
// that it doesn't know: cobra's own shows its help, and reports no error.
func CheckCompletion(program *cobra.Command, refuse func(wrong string) error) {
	program.InitDefaultCompletionCmd()
	for _, c := range program.Commands() {
		if c.Name() != "completion" {
			continue
		}
		c.Args = cobra.ArbitraryArgs
		c.RunE = func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return refuse(fmt.Sprintf("there is no completion for %q", args[0]))
			}
			return c.Help()
		}
	}
}

// names are the commands and topics that there is help on.
func names(program *cobra.Command) (all []string) {
	for _, c := range program.Commands() {
		if c.IsAvailableCommand() || c.IsAdditionalHelpTopicCommand() {
			all = append(all, c.Name())
		}
	}
	return all
}
