package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/tracewire/tracewire/matcher/report"
)

// The help on findings has every kind that a document can have.
func TestHelpHasEveryFinding(t *testing.T) {
	var schema struct {
		Defs map[string]struct {
			Properties struct {
				Kind struct{ Enum []string }
			}
		} `json:"$defs"`
	}
	if err := json.Unmarshal([]byte(report.Schema), &schema); err != nil {
		t.Fatal(err)
	}
	kinds := schema.Defs["finding"].Properties.Kind.Enum
	if len(kinds) < 20 {
		t.Fatalf("the schema has the kinds %v", kinds)
	}
	for _, kind := range kinds {
		if !strings.Contains(findingsHelp, kind) {
			t.Errorf("the help lacks %s", kind)
		}
	}
}
