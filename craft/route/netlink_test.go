package route

import (
	"errors"
	"strings"
	"syscall"
	"testing"
)

// Where netlink is not there, that is what is wrong, whatever an error says.
func TestBecauseOfNetlink(t *testing.T) {
	there := func() error { return nil }
	missing := func() error { return syscall.EAFNOSUPPORT }
	if err := because(nil, missing); err != nil {
		t.Error(err)
	}
	if err := because(ErrInterface, there); !errors.Is(err, ErrInterface) || errors.Is(err, ErrNetlink) {
		t.Error(err)
	}
	err := because(ErrInterface, missing)
	if !errors.Is(err, ErrNetlink) || errors.Is(err, ErrInterface) || !errors.Is(err, syscall.EAFNOSUPPORT) {
		t.Error(err)
	}
	if want := "there is no netlink here (address family not supported by protocol)"; !strings.HasSuffix(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
}
