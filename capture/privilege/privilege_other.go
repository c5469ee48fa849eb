//go:build !linux

package privilege

// Borrowed reports false: only Linux has file capabilities.
func Borrowed() (bool, error) { return false, nil }

// Drop does nothing.
func Drop() error { return nil }
