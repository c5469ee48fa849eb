// Package device opens the interfaces that probes leave by and replies come by.
//
// A Device is one way to capture and send: the handles on one interface, or on several
// that replies can arrive by, their filter, and a goroutine that reads them. It knows no
// traces, only the Subscriber that its frames go to. A Set holds the Devices that are
// open, so that all who need the same share one, and the source ports that probes come
// from. It resolves the way to a target: route, source, port and next hop.
//
// # Goroutines and locks
//
// The reader goroutine of a Device alone ranges over its Conn, and calls the
// Subscriber without holding any lock of this package. The lock of a Set guards which
// Devices and ports are in use; that of a Device, whether anything is expected of it.
// Neither is held while the other is taken, nor while anything is opened or closed.
package device
