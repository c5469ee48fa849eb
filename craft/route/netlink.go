package route

import (
	"errors"
	"fmt"
)

// ErrNetlink: the kernel can't be asked for its routes, since netlink sockets are
// missing or forbidden here, as in some containers and sandboxes.
var ErrNetlink = errors.New("the kernel's routes can't be asked for, since there is no netlink here")

// because returns err, or the ErrNetlink that it comes from if no netlink socket can be
// opened: other errors say then what is not so, as that there is no such interface.
func because(err error, open func() error) error {
	if err == nil {
		return nil
	}
	if failed := open(); failed != nil {
		return fmt.Errorf("route: %w (%w)", ErrNetlink, failed)
	}
	return err
}
