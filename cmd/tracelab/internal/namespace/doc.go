// Package namespace runs a program again in fresh user, network, mount and
// process namespaces, and there, as their root, a command.
//
// Three processes take part. The launcher (Launch) is the one that the user
// started; it makes the namespaces, waits and passes signals on. Inside, the
// same program runs again as process 1 (Inside tells it so): it furnishes the
// namespaces, simulates what is to be simulated, and starts the command (Exec).
// When process 1 ends, the kernel ends whatever else is left inside, and the
// namespaces with it. No file outside is touched.
package namespace
