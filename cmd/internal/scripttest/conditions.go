// Package scripttest is what the tests of the commands' scripts share: the
// conditions by which a script is skipped, further commands, and a check that each
// script declares the programs that it runs.
package scripttest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tracewire/tracewire/capture/kernelnet"
)

// Condition returns a testscript.Params.Condition. In scripts it is used so:
//
//	[!program:nmap] skip 'nmap is not installed'
//	[!namespaces] skip 'no network namespaces here'
//
// [program:NAME] holds where the program is in PATH, and [namespaces] where
// lacksNamespaces returns "" and not what is amiss. With TRACEWIRE_REQUIRE_LABS=1 a
// condition that does not hold fails the script instead.
func Condition(lacksNamespaces func() string) func(string) (bool, error) {
	return func(condition string) (bool, error) {
		why := ""
		name, ok := strings.CutPrefix(condition, "program:")
		switch {
		case ok && name != "":
			why = kernelnet.Missing(name)
		case condition == "namespaces" && lacksNamespaces != nil:
			why = lacksNamespaces()
		default:
			return false, errors.New("no such condition")
		}
		if why != "" && kernelnet.Required() {
			return false, fmt.Errorf("%s (%s=1)", why, kernelnet.RequireVariable)
		}
		return why == "", nil
	}
}
