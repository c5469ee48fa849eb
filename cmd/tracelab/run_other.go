//go:build !linux

package main

import (
	"errors"
	"io"
)

// runIn cannot run anything here.
func runIn(lab, io.Reader, io.Writer, io.Writer) error {
	return exitError{exitRun, hinted{
		errors.New("only Linux has the namespaces that run needs"),
		"run it in a Linux virtual machine or container",
	}}
}
