// Package randomnet makes random networks for tests, and says what is right in
// them.
//
// A seed gives a topology (New) in which routers balance, translate, reject,
// limit, label and misquote as chance decides; every key that a topology has is
// set in some of them (TestEverySwitchOccurs counts). Its links lose nothing; those
// of Lossy do. Wait is never long: a way there takes at most 25 ms.
//
// Truth says who may answer from which hop. It follows from the topology alone: it
// shares no code with the simulator, nor with what is tested in it.
package randomnet
