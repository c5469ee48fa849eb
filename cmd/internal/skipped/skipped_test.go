package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tracewire/tracewire/capture/kernelnet"
	"github.com/tracewire/tracewire/cmd/internal/scripttest"
)

func TestMain(m *testing.M) { testscript.Main(m, nil) }

// sampleVariable makes the samples run.
const sampleVariable = "SKIPPED_SAMPLES"

// TestSample is what TestList runs: tests and scripts that are skipped in every
// way in which this project skips some.
func TestSample(t *testing.T) {
	if os.Getenv(sampleVariable) == "" {
		return // it is run by TestList
	}
	t.Run("program", func(t *testing.T) { kernelnet.RequirePrograms(t, "no-such-program") })
	t.Run("format", func(t *testing.T) { kernelnet.Lacking(t, "no %s here; make it", "tunnel") })
	t.Run("lines", func(t *testing.T) {
		t.Log("not the reason")
		t.Skip("first line\nsecond line")
	})
	t.Run("silent", func(t *testing.T) { t.SkipNow() })
	t.Run("passed", func(t *testing.T) { t.Log("skip 'this is not one'") })
	dir := t.TempDir()
	for name, text := range map[string]string{
		"first":  "[!program:no-such-program] skip 'no-such-program is not installed'\n",
		"later":  "exec echo '--- SKIP: x'\n\n# A comment.\n[unix] [!namespaces] skip 'it''s refused'\nexec nothing\n",
		"silent": "skip\n",
		"runs":   "exec echo skip\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name+".txtar"), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	testscript.Run(t, testscript.Params{Dir: dir, Condition: scripttest.Condition(func() string { return "refused" })})
}

// The list names each test and each script that was skipped, with its reason.
func TestList(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tests.json")
	cmd := exec.Command("go", "test", "-json", "-run", "^TestSample$", ".")
	cmd.Env = append(os.Environ(), sampleVariable+"=1", kernelnet.RequireVariable+"=")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.WriteFile(file, out, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{file}, nil} {
		t.Setenv("GOTESTSUM_JSONFILE", file)
		var got strings.Builder
		if err := run(args, &got); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(wantList, got.String()); d != "" {
			t.Error(d)
		}
	}
}

const wantList = `
Skipped: 7 tests and scripts.

  no-such-program is not installed; 'make peers' installs what tests compare with:
    cmd/internal/skipped           TestSample/program
    cmd/internal/skipped           TestSample/first

  first line second line:
    cmd/internal/skipped           TestSample/lines

  it's refused:
    cmd/internal/skipped           TestSample/later

  no reason is given:
    cmd/internal/skipped           TestSample/silent

  no tunnel here; make it:
    cmd/internal/skipped           TestSample/format

  the script does not say why:
    cmd/internal/skipped           TestSample/silent#01
`

func TestListOfNothing(t *testing.T) {
	var got strings.Builder
	all, err := read(strings.NewReader(`{"Action":"skip","Package":"example.org/m/p"}` + "\n" + `{"Action":"pass","Package":"example.org/m/p","Test":"T"}`))
	if err != nil || list(&got, all) != nil || got.String() != "\nSkipped: nothing.\n" {
		t.Error(got.String(), err)
	}
}

func TestListOfGarbage(t *testing.T) {
	if _, err := read(strings.NewReader("{")); err == nil {
		t.Error("no error")
	}
	if err := run([]string{"no such file"}, nil); err == nil {
		t.Error("no error")
	}
}
