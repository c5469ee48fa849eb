package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// A recording that the first version wrote replays to what that version replayed, byte
// for byte. See the INDEX beside them for the one value that has changed since.
func TestGoldenRecordingsOfTheFirstVersion(t *testing.T) {
	const suffix = ".pcapng.gz"
	all, err := filepath.Glob("../../testdata/recordings/*" + suffix)
	if err != nil || len(all) != 10 {
		t.Fatalf("%d recordings, want the 10 of the INDEX: %v", len(all), err)
	}
	for _, recording := range all {
		name := "recordings/" + strings.TrimSuffix(filepath.Base(recording), suffix)
		for format, args := range map[string][]string{".json": {"--format", "json"}, ".txt": {"-n"}} {
			got, _, code := replayed(t, nil, append(args, "--all", recording)...)
			golden(t, name+format, got)
			if code != exitOK {
				t.Errorf("%s: exit code %d", name, code)
			}
		}
	}
}
