//go:build !linux

package netns

import "fmt"

// Do calls f where name is empty; else it returns ErrUnsupported.
func Do(name string, f func() error) error {
	if name == "" {
		return f()
	}
	return fmt.Errorf("netns: %s: %w", name, ErrUnsupported)
}

// Inherit returns f.
func Inherit(f func() error) (func() error, error) { return f, nil }
