//go:build !linux

package device

import (
	"io"
	"net/netip"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture"
)

func bind(_ layers.IPProtocol, at netip.AddrPort) (io.Closer, error) {
	return nil, bindError(at, capture.ErrUnsupported)
}
