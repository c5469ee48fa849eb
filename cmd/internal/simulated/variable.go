package simulated

// Variable is the environment variable by which tracelab has tracewire trace
// through a simulated network in its own process: the number of an open file that
// holds the topology.
const Variable = "TRACEWIRE_LAB"
