// Package kernelnet builds networks of real Linux routers for tests: network
// namespaces joined by veth pairs, where the kernel itself forwards, answers
// and rejects. It needs no root.
//
// A test binary enters a user and network namespace of its own before its
// tests run:
//
//	func TestMain(m *testing.M) { os.Exit(kernelnet.Wrap(m).Run()) }
//
// and a test then traces through the simplest network there is, host – r1 – …
// – r8, or builds one:
//
//	c := kernelnet.NewChain(t, 8, nil)
//
//	n := kernelnet.New(t)
//	r1, far := n.Router("r1"), n.Router("far")
//	n.Link(n.Host(), r1, "10.77.1.0/24")
//	n.Link(r1, far, "10.77.2.0/24")
//	far.Address("10.99.0.1")
//	far.Route("default", "10.77.2.1")
//	r1.Route("10.99.0.1", "10.77.2.2")
//	n.Host().Route("default", "10.77.1.2")
//
// The test process itself is in the namespace of Network.Host: what it sends,
// in-process or from a subprocess, starts there. All methods report failure
// through the test they were made for, so they belong on its goroutine.
//
// UserHost is a host whose programs run as an ordinary user, and Install gives such a
// user a program with a file capability, as setcap does.
//
// Where the system forbids user namespaces, or a program or /dev/net/tun is
// missing, such tests skip and say what to do; with TRACEWIRE_REQUIRE_LABS=1 in
// the environment they fail instead. VLANs and WireGuard, which not every kernel
// has, need nothing of it but /dev/net/tun.
//
// The package works on Linux only; elsewhere it is empty.
package kernelnet
