//go:build !linux

package device

import (
	"io"
	"net/netip"

	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/craft"
)

func bind(_ *craft.Protocol, at netip.AddrPort) (io.Closer, error) {
	return nil, bindError(at, capture.ErrUnsupported)
}
