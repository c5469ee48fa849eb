// Package randomnet makes random networks for tests, and says what is right in
// them.
//
// A seed gives a topology (New) in which routers balance, translate, reject,
// limit, label and misquote as chance decides. Every key that a topology has is set
// in some of them: TestEverySwitchOccurs counts. Links of New lose nothing; links of
// Lossy do. Delays are a few milliseconds at most, so that programs can be run in many
// of these networks.
//
// Truth says who may answer from which hop. It follows from the topology alone: it
// shares no code with the simulator, nor with what is tested in it.
package randomnet
