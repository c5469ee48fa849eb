//go:build linux && !amd64

package namespace

// oldIDCalls are those that younger architectures do without.
var oldIDCalls []uint32
