package route

import "golang.org/x/sys/unix"

// openNetlink opens a netlink socket, and closes it.
func openNetlink() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}
