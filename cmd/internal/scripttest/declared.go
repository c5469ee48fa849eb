package scripttest

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/tools/txtar"
)

// Undeclared returns the programs that the scripts in a directory run although a
// machine may lack them, and that no line like
//
//	[!program:nmap] skip 'nmap is not installed'
//
// before them declares: each as "SCRIPT:LINE: PROGRAM". Programs that every Debian
// has need no declaration, nor do the project's own. It looks into "tracelab run",
// "sh -c" and the like. The error is that of a script that cannot be read.
func Undeclared(dir string) (found []string, err error) {
	scripts, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err == nil && len(scripts) == 0 {
		err = fmt.Errorf("scripttest: no scripts in %s", dir)
	}
	for _, name := range scripts {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			return nil, err
		}
		found = append(found, undeclared(filepath.Base(name), string(archive.Comment))...)
	}
	return found, err
}

// declaration is a condition that names a program.
var declaration = regexp.MustCompile(`^\[(!?)program:([^\]]+)\]$`)

func undeclared(name, script string) (found []string) {
	declared := map[string]bool{}
	number := 0
	for line := range strings.Lines(script) {
		number++
		words := split(line)
		here := map[string]bool{}
		for len(words) > 0 && strings.HasPrefix(words[0], "[") {
			if m := declaration.FindStringSubmatch(words[0]); m != nil {
				here[m[2]] = m[1] == ""
				if m[1] == "!" && slices.Contains(words, "skip") {
					declared[m[2]] = true
				}
			}
			words = words[1:]
		}
		for _, program := range run(command(words)) {
			if !declared[program] && !here[program] && !everywhere[program] {
				found = append(found, fmt.Sprintf("%s:%d: %s", name, number, program))
			}
		}
	}
	return found
}

// split returns the words of a script's line. In quotes ” is a quote.
func split(line string) (words []string) {
	word, quoted, begun := "", false, false
	end := func() {
		if begun {
			words = append(words, word)
		}
		word, begun = "", false
	}
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quoted && c == '\'' && i+1 < len(line) && line[i+1] == '\'':
			word += "'"
			i++
		case c == '\'':
			quoted, begun = !quoted, true
		case quoted:
			word += string(c)
		case c == '#' && !begun:
			end()
			return words
		case c == ' ' || c == '\t' || c == '\n':
			end()
		default:
			word, begun = word+string(c), true
		}
	}
	end()
	return words
}

// command is what a line of a script runs, if anything: a program and its
// arguments.
func command(words []string) []string {
	if len(words) > 0 && (words[0] == "!" || words[0] == "?") {
		words = words[1:]
	}
	switch {
	case len(words) > 1 && words[0] == "exec":
		return words[1:]
	case len(words) > 2 && words[0] == "status" && words[1] == "127":
		return nil // it is not to be found
	case len(words) > 2 && (words[0] == "status" || words[0] == "await"):
		return words[2:]
	}
	return nil
}

// programName is what programs that are found in PATH are called.
var programName = regexp.MustCompile(`^[A-Za-z][\w+-]*$`)

// run returns the programs that a command runs, itself and those within.
func run(command []string) (programs []string) {
	if len(command) == 0 || !programName.MatchString(command[0]) {
		return nil // a file of the script, or no command
	}
	program, args := command[0], command[1:]
	switch program {
	case "tracelab":
		return run(inLab(args))
	case "sh", "bash":
		programs = append(programs, program)
		if len(args) > 1 && args[0] == "-c" {
			programs = append(programs, runByShell(args[1])...)
		}
		return programs
	case "timeout", "setpriv", "unshare", "env", "nice":
		rest := slices.IndexFunc(args, func(a string) bool { return !strings.HasPrefix(a, "-") && !strings.Contains(a, "=") })
		if program == "timeout" {
			rest++ // the time
		}
		if rest >= 0 && rest < len(args) {
			return append([]string{program}, run(args[rest:])...)
		}
	}
	return []string{program}
}

// inLab is the command in the arguments of tracelab, if they are "run" and that.
func inLab(args []string) []string {
	if len(args) == 0 || args[0] != "run" {
		return nil
	}
	args = args[1:]
	for len(args) > 0 && strings.HasPrefix(args[0], "--") {
		args = args[1:]
	}
	if len(args) < 2 {
		return nil
	}
	if args = args[1:]; args[0] == "--" {
		args = args[1:]
	}
	return args
}

// separators end a command of a shell.
var separators = regexp.MustCompile("[;&|(){}\n]+")

// runByShell returns the programs that a shell's script runs. It knows as much of
// the shell's language as the scripts use.
func runByShell(script string) (programs []string) {
	for _, part := range separators.Split(script, -1) {
		words := strings.Fields(part)
		for len(words) > 0 && (keywords[words[0]] || strings.Contains(words[0], "=")) {
			words = words[1:]
		}
		programs = append(programs, run(words)...)
	}
	return programs
}

var keywords = map[string]bool{
	"while": true, "until": true, "if": true, "then": true, "else": true, "fi": true, "do": true, "done": true, "!": true, "exec": true,
}

// everywhere are programs that every Debian has, the shell's own commands, and the
// project's.
var everywhere = map[string]bool{
	"tracewire": true, "tracelab": true,
	"sh": true, "echo": true, "kill": true, "trap": true, "wait": true, "pwd": true, "printf": true, "test": true, "exit": true, "cd": true,
	"ulimit": true, "read": true, "set": true, "export": true, "umask": true, "command": true, "eval": true, "exec": true,
	"true": true, "false": true, "cat": true, "ls": true, "id": true, "head": true, "tail": true, "wc": true, "env": true, "sleep": true,
	"timeout": true, "rm": true, "cp": true, "mkfifo": true, "nice": true, "sed": true, "grep": true, "gzip": true, "getent": true, "mount": true,
}
