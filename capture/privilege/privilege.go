// Package privilege tells the capabilities that a process has from its program's
// file from those that its user has anyway, and gives capabilities up.
//
// A program that is installed with a file capability (setcap(8)) can open packet
// sockets for any user. It has to see to it that the user gains what the program
// is for, and nothing else.
package privilege

import "errors"

// Errors of this package.
var (
	// ErrSetID: the program's file is set-user-ID or set-group-ID, so that it
	// reads and writes files as somebody else than its user.
	ErrSetID = errors.New("privilege: the program must not be set-user-ID or set-group-ID; " +
		"give it the capability cap_net_raw instead (setcap)")
	// ErrKept: the kernel did not take the capabilities.
	ErrKept = errors.New("privilege: the capabilities can't be given up")
)
