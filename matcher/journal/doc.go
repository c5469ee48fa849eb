// Package journal says how a recording holds the entries of traces.
//
// A recording is a pcapng file with every captured frame. What else changes a result,
// the other entries of path.Entry, stands in comments beside the frames: a word that
// names the version, tracewire/2, a space, and JSON. A comment is applied before the
// frame that it stands on, in the order of the file. Sentences for people stand beside
// them, and are not parsed.
//
// A Log writes a recording, a Reader reads its entries: as the same entries always give
// the same Paths, a replay tells what was told when the recording was made.
package journal
